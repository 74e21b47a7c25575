"""Compare ucbench's fast paths with plain loops, on the same network, batch, data and number of updates.

    python benchmarks/performance/compare.py [SUBJECT ...] [--json FILE] [--repeats 3] [--width 64] ...

Without a subject, all are measured. Each side runs in a separate process. First a check in float32 shows that both
compute the same; then both warm up. The order alternates between repeats, and medians are compared. ``--tiny`` checks
within seconds that everything runs; its timings mean nothing.

    python benchmarks/performance/compare.py --official DIR [SUBJECT ...]

measures the official repositories' step functions in place of the plain loops, from clones in DIR, both sides in this
process, and shows the best of the repeats.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from official import against_official, goal
from subjects import SUBJECTS
from subjects.base import TINY, Comparison, Figure, Measured, Setting, Sizes, agreement
from subjects.hosts import Elsewhere, Here

from ucbench.numerics import Numerics, cpu_flags, environment, resolve

Row = dict[str, Any]
#: The time that stands for several.
Typical = Callable[[Sequence[float]], float]
#: Figures measured only once: they take long and hardly vary.
ONCE = ("memory",)
#: Least number of starts of the command.
STARTS = 5


def compared(
    subject: Comparison, hosts: dict[str, Any], repeats: int, target: float | None, typical: Typical = statistics.median
) -> Row:
    """Check, warm up and measure both sides of one subject."""
    plain, fast = hosts["plain"], hosts["ucbench"]
    loads = {side: subject.load(side) for side in hosts}
    inputs, evidence = fast.call(loads["ucbench"], "check")
    comparison = agreement(evidence, plain.call(loads["plain"], "check", inputs))
    warm = plain.call(loads["plain"], "measure")
    fast.call(loads["ucbench"], "aim", warm.notes)
    fast.call(loads["ucbench"], "measure")
    measured: dict[str, list[Measured]] = {"plain": [], "ucbench": []}
    for repeat in range(repeats):
        order = ("plain", "ucbench") if repeat % 2 == 0 else ("ucbench", "plain")
        for side in order:
            measured[side].append(hosts[side].call(loads[side], "measure"))
    for side, host in hosts.items():
        host.forget(loads[side])
    sides = {side: _summary(values, typical) for side, values in measured.items()}
    # Rounded as it is written, so that a record says of its own numbers whether the goal is met.
    ratio = round(sides["plain"]["seconds"] / sides["ucbench"]["seconds"], 3)
    return {
        "subject": subject.name,
        "title": subject.title,
        **sides,
        "ratio": ratio,
        "target": None if target is None else {"at_least": target, "unit": "times as fast"},
        "met": None if target is None else ratio >= target and sides["ucbench"]["notes"].get("reached", True),
        "agrees": {"yes": comparison.agrees, "largest_difference": comparison.largest, "of": comparison.of},
    }


def figured(subject: Figure, hosts: dict[str, Any], repeats: int) -> Row:
    """Measure one figure of ucbench."""
    count = 1 if subject.name in ONCE else max(repeats, STARTS if subject.load.startswith("subjects.startup") else 1)
    values = [hosts["ucbench"].call(subject.load, "measure") for _ in range(count)]
    hosts["ucbench"].forget(subject.load)
    median = round(statistics.median(value.seconds for value in values), 4)
    return {
        "subject": subject.name,
        "title": subject.title,
        "value": median,
        "values": [round(value.seconds, 4) for value in values],
        "unit": subject.unit,
        "notes": values[-1].notes,
        "target": {"at_most": subject.limit, "unit": subject.unit},
        "met": median <= subject.limit,
    }


def _summary(values: Sequence[Measured], typical: Typical) -> Row:
    seconds = typical([value.seconds for value in values])
    return {
        "seconds": seconds,
        "all_seconds": [value.seconds for value in values],
        "images": values[-1].images,
        "images_per_second": round(values[-1].images / seconds, 1),
        "updates": values[-1].updates,
        "notes": values[-1].notes,
    }


def machine(numerics: Numerics) -> Row:
    """The machine and the software versions of the measurement."""
    versions = {name: _version(name) for name in ("torch", "torchvision", "timm", "numpy", "pillow", "kornia")}
    return {**environment(numerics), "plain_dtype": "float32", "platform": platform.platform(), "versions": versions}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def line(row: Row) -> str:
    """A row of the table."""
    if "problem" in row:
        return f"| {row['title']} | failed: {row['problem'].splitlines()[-1]} |  |  |  |  |  |"
    met = {None: "", True: "yes", False: "no"}[row["met"]]
    if "value" in row:
        limit = row["target"]["at_most"]
        return f"| {row['title']} |  | {row['value']:.2f} {row['unit']} |  | <= {limit:g} {row['unit']} | {met} |  |"
    speeds = [f"{row[side]['images_per_second']:,.0f}" for side in ("plain", "ucbench")]
    if row["plain"]["images"] != row["ucbench"]["images"]:
        seconds = (row[side]["seconds"] for side in ("plain", "ucbench"))
        speeds = [f"{speed} ({spent:.1f} s)" for speed, spent in zip(speeds, seconds, strict=True)]
    target = f">= {row['target']['at_least']:g}x" if row["target"] else ""
    agrees = f"{'yes' if row['agrees']['yes'] else 'NO'}, {row['agrees']['largest_difference']:.1e}"
    least = ">= " if row["ucbench"]["notes"].get("at_least") else ""
    return f"| {row['title']} | {' | '.join(speeds)} | {least}{row['ratio']:.2f}x | {target} | {met} | {agrees} |"


HEAD = """\
| what | plain, images/s | ucbench, images/s | ratio | target | met | agrees, largest difference |
|---|---|---|---|---|---|---|"""
#: Extensions of a processor that decide what bfloat16 and float32 gain.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def against(row: Row, numerics: Numerics) -> str:
    """A row of the table against official code, with what the processor can do."""
    can = ", ".join(flag for flag in FLAGS if flag in cpu_flags()) if numerics.device == "cpu" else numerics.device
    return f"{line(row)} {numerics.dtype}; {can} |"


def compare(
    subjects: Sequence[Comparison | Figure],
    setting: Setting,
    *,
    repeats: int,
    apart: bool,
    report: Callable[[Row], None],
) -> Row:
    """Measure the subjects and print the table row by row.

    Args:
        apart: run each side in a separate process.
        report: called after every row with all results so far.
    """
    host_type, numerics = Elsewhere if apart else Here, setting.numerics
    hosts = {kind: host_type(kind, setting) for kind in ("plain", "ucbench")}
    rows: list[Row] = []
    results = {
        "machine": machine(numerics),
        "flags": [flag for flag in FLAGS if flag in cpu_flags()],
        "against": "official" if setting.official else "plain",
        "sizes": dataclasses.asdict(setting.sizes),
        "repeats": repeats,
        "rows": rows,
    }
    print(
        "\n".join(
            f"{line}{more}" for line, more in zip(HEAD.splitlines(), (" numerics |", "---|"), strict=True)
        ).replace("plain,", "official,")
        if setting.official
        else HEAD,
        flush=True,
    )
    try:
        for subject in subjects:
            started = time.perf_counter()
            try:
                if isinstance(subject, Figure):
                    row = figured(subject, hosts, repeats)
                elif setting.official:
                    target = goal(subject, numerics.device, numerics.dtype)
                    row = compared(subject, hosts, repeats, target, min)
                else:
                    row = compared(subject, hosts, repeats, subject.target(numerics.device))
            except RuntimeError as problem:  # measure the other subjects nevertheless
                row = {"subject": subject.name, "title": subject.title, "problem": str(problem).strip()}
            rows.append({**row, "wall_seconds": round(time.perf_counter() - started, 1)})
            print(against(row, numerics) if setting.official else line(row), flush=True)
            report(results)
    finally:
        for host in hosts.values():
            host.close()
    return results


def merged(results: Row, path: Path) -> Row:
    """The results with the rows of other subjects that lie in ``path``, if those are of the same machine and sizes."""
    if not path.exists():
        return results
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if any(earlier.get(name) != results[name] for name in ("machine", "flags", "against", "sizes")):
        return results
    new = {row["subject"] for row in results["rows"]}
    return {**results, "rows": [*(row for row in earlier["rows"] if row["subject"] not in new), *results["rows"]]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--official", type=Path, metavar="DIR", help="folder of clones of the official repositories")
    parser.add_argument("--json", type=Path, help="file for all results; rows of other subjects in it stay")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="smallest sizes, both sides in this process")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="of ucbench; plain loops use float32")
    parser.add_argument("--threads", type=int, help="of each side; all cores by default")
    parser.add_argument("--fast-kernels", action="store_true", help="ucbench without its determinism flag")
    for size in dataclasses.fields(Sizes):
        text = f"{size.metadata['help']} (default: {size.default})".replace("%", "%%")
        parser.add_argument(f"--{size.name.replace('_', '-')}", type=type(size.default), help=text)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    subjects = against_official() if options.official else SUBJECTS
    unknown = [name for name in options.subject if name not in subjects]
    if unknown:
        parser.error(f"no subject {unknown[0]!r}; there are {', '.join(subjects)}")
    if options.official and not options.official.is_dir():
        parser.error(f"--official {options.official} is no folder")
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    options_given = {size.name: getattr(options, size.name) for size in dataclasses.fields(Sizes)}
    sizes = dataclasses.replace(
        TINY if options.tiny else Sizes(), **{name: value for name, value in options_given.items() if value is not None}
    )
    numerics = resolve(options.device, options.dtype, options.threads, deterministic=not options.fast_kernels)
    chosen = [subjects[name] for name in options.subject or subjects]

    def report(results: Row) -> None:
        if options.json:
            text = json.dumps(merged(results, options.json), indent=2)
            options.json.write_text(text + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(sizes, numerics, Path(scratch), options.official)
        apart = not (options.tiny or options.official)
        results = compare(chosen, setting, repeats=options.repeats, apart=apart, report=report)
    here = results["machine"]
    precision = f"{here['dtype']} ({results['against']}: float32)"
    print(f"\n{here['processor']}, {here['device']}, {precision}, {here['threads']} threads")
    return 1 if any("problem" in row or not row.get("agrees", {"yes": True})["yes"] for row in results["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
