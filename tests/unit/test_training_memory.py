"""The allocator keeps what was freed."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, numpy as np
from ucbench.training.memory import keep_freed_memory
if {ask}:
    assert keep_freed_memory()
def work():
    blocks = [np.ones(4 << 20, np.uint8) for _ in range(8)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_keep_freed_memory_reuses_blocks_without_page_faults():
    faults = {
        ask: int(
            subprocess.run([sys.executable, "-c", PROGRAM.format(ask=ask)], capture_output=True, check=True).stdout
        )
        for ask in (True, False)
    }
    assert faults[True] < faults[False] / 10
