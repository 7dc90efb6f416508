"""The operator's image needs its own extra only: no torch, Ray or vLLM."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("PRORL_CACHE", Path.home() / ".cache" / "prorl"))

PROGRAM = """
import importlib, importlib.util, pkgutil, prorl_operator
for module in pkgutil.walk_packages(prorl_operator.__path__, "prorl_operator."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for heavy in ("torch", "ray", "vllm", "transformers"):
    assert importlib.util.find_spec(heavy) is None, heavy
"""


@pytest.mark.timeout(180)
def test_the_operator_imports_in_an_environment_of_its_own_extra(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{CACHE / 'tools' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None, "uv is missing; `make env` installs it"
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(tmp_path / "venv")}
    environment.pop("VIRTUAL_ENV", None)
    environment.pop("PYTHONPATH", None)
    subprocess.run(
        [uv, "sync", "--frozen", "--quiet", "--extra", "operator"],
        cwd=ROOT, env=environment, check=True,
    )  # fmt: skip
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-c", PROGRAM], cwd=tmp_path, env=environment, check=True)
