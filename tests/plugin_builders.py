"""Custom verifiers that are installed for real, and workers that judge by them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prorl_verifier import plugins
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.pools import plugin_crew


def install(
    monkeypatch: pytest.MonkeyPatch, directory: Path, points: Mapping[str, str], source: str = ""
) -> None:
    """What an installer leaves in site-packages: the module `installed_here` with `source`, and a
    distribution that has the entry points `points`."""
    (directory / "installed_here.py").write_text(source)
    info = directory / "installed_here-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-here\nVersion: 1\n")
    lines = [f"[{plugins.GROUP}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(directory))


@asynccontextmanager
async def plugin_pool(*, timeout_s: float = 60.0) -> AsyncIterator[WorkerPool]:
    """One worker of the kind that the service has."""
    crew = plugin_crew(workers=1, timeout_s=timeout_s)
    pool = WorkerPool(crew, max_queue=100, metrics=Metrics())
    pool.open()
    try:
        yield pool
    finally:
        await pool.close()
