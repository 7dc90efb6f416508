"""What the benches share: the machine, medians with their range, and a table."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
ANSWER = "answer of the child: "


def machine() -> Row:
    """Size and load of this machine; a loaded one gives noisy times."""
    info = Path("/proc/meminfo").read_text().split("\n")
    memory = {line.split(":")[0]: int(line.split()[1]) for line in info if line}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory["MemTotal"] / 2**20, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def free_bytes() -> int:
    """Memory that a new process can have."""
    for line in Path("/proc/meminfo").read_text().split("\n"):
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")


def own_memory(field: str) -> int:
    """VmRSS or VmHWM (its peak) of this process in bytes."""
    for line in Path("/proc/self/status").read_text().split("\n"):
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def in_new_process(script: str, *arguments: object) -> Row:
    """What `script --child ARGUMENTS` answers. Raises CalledProcessError when it fails: killed for
    its memory, say."""
    command = [sys.executable, script, "--child", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    [line] = [x for x in done.stdout.split("\n") if x.startswith(ANSWER)]
    row: Row = json.loads(line.removeprefix(ANSWER))
    return row


def answer(row: Row) -> None:
    """In the child. Libraries may print before and after it."""
    print(f"\n{ANSWER}{json.dumps(row)}", flush=True)


def spread(values: Sequence[float], digits: int = 5) -> Row:
    """Median and range of the repeats."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def shown(values: Row, digits: int = 2, notation: str = "f") -> str:
    """`median [min-max]`; with notation "e" for numbers near 0."""
    median, least, most = (f"{values[n]:.{digits}{notation}}" for n in ("median", "min", "max"))
    return f"{median} [{least}-{most}]"


def report(bench: str, row: Row) -> None:
    """One JSON line; every bench prints one per point."""
    print(json.dumps({"bench": bench, **row}), flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The same for people, its columns aligned."""
    lines = [list(map(str, line)) for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [[c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines]
    print("\n" + markdown(aligned[0], aligned[1:]))


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as the docs have it."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def describe(found: Row) -> None:
    """The machine, as the last line under a table."""
    print("\n" + ", ".join(f"{k} {v}" for k, v in found.items()))
