"""Growth of a run's peak memory with the uint8 images it trains on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from subjects.base import Measured, Side
from subjects.encoded import folder

#: One clean cell, trained for an epoch; prints its record's peak in MiB.
_RUN = """
import sys
from ucbench.matrix import requests
from ucbench.matrix.matrix import expand
from ucbench.session import open_session
from ucbench.steps import run_session

here = open_session(device=sys.argv[2], dtype=sys.argv[3], threads=int(sys.argv[4]))
cells = expand(requests.axes(dataset=sys.argv[1], poisoner="lsp", victim=sys.argv[5]), here.registry)
(record,) = run_session([cell for cell in cells if cell.craft.is_clean], here)
assert record["status"] == "ok", record
print(record["cost"]["peak_memory_mib"])
"""


class Fast(Side):
    def measure(self) -> Measured:
        """``seconds`` holds the figure: bytes of peak memory per byte of images.

        Two runs in separate processes, the larger with eleven times as many images. Both include the memory of torch
        and of a batch's activations, so the difference leaves it out.
        """
        larger, smaller = self.sizes.held, max(20, self.sizes.held // 11)
        peaks = [self._peak(count) for count in (smaller, larger)]
        growth = (peaks[1] - peaks[0]) * 2**20
        stored = (larger - smaller) * 3 * self.sizes.side**2
        notes = {"images": [smaller, larger], "peak_memory_mib": peaks, "uint8_mib": round(stored / 2**20, 1)}
        return Measured(growth / stored, larger, notes=notes)

    def _peak(self, count: int) -> int:
        numerics = self.setting.numerics
        dataset = f"parquet:{folder(self.setting.scratch, count, self.sizes.side)}"
        victim = f"resnet18:width={self.sizes.width},epochs=1,batch={self.sizes.batch}"
        arguments = [dataset, numerics.device, numerics.dtype, str(numerics.threads), victim]
        with tempfile.TemporaryDirectory(dir=self.setting.scratch) as home:
            done = subprocess.run(
                [sys.executable, "-c", _RUN, *arguments],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "UCBENCH_HOME": home},
            )
        return int(json.loads(done.stdout.splitlines()[-1]))
