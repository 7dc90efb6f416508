"""promtool and prometheus as build.sh makes them, and what they are missing."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def tool(name: str) -> Path:
    """The command. Without it the test is skipped at a desk and fails on CI."""
    print_folder = [str(HERE / "build.sh"), "--print"]
    answer = subprocess.run(print_folder, check=True, capture_output=True, text=True)
    folder = Path(answer.stdout.strip())
    if not (folder / "complete").exists():
        lacking = f"Prometheus is not in {folder}: run `make cluster-deps`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
    return folder / name
