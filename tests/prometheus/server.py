"""A real Prometheus that scrapes what it is told to."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cluster.processes import Processes
from ports import free_port
from prometheus.tools import tool

START_TIMEOUT_S = 60
LOOPBACK = "127.0.0.1"
Series = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One port of this machine, and the labels that the chart's monitors would add."""

    port: int
    labels: dict[str, str]
    host: str = LOOPBACK


@dataclass(kw_only=True)
class Prometheus:
    """Use as a context manager; `scrape` may be called again with other targets."""

    directory: Path
    interval: str = "1s"
    port: int = field(default_factory=free_port)
    processes: Processes = field(init=False)

    def __post_init__(self) -> None:
        self.processes = Processes(directory=self.directory)

    def __enter__(self) -> "Prometheus":
        self.scrape(())
        found = [{"files": [str(self.directory / "targets.json")]}]
        job = {"job_name": "prorl", "honor_labels": True, "file_sd_configs": found}
        config = {
            "global": {"scrape_interval": self.interval, "scrape_timeout": self.interval},
            "scrape_configs": [job],
        }
        (self.directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
        try:
            self.processes.start(
                tool("prometheus"), f"--config.file={self.directory / 'prometheus.yaml'}",
                f"--storage.tsdb.path={self.directory / 'tsdb'}",
                f"--web.listen-address={LOOPBACK}:{self.port}", "--log.level=warn",
            )  # fmt: skip
            self._await_ready()
        except BaseException:
            self.processes.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop()

    def scrape(self, targets: Sequence[Target]) -> None:
        """From now on these and no others."""
        entries = [{"targets": [f"{one.host}:{one.port}"], "labels": one.labels} for one in targets]
        made = self.directory / "targets.new"
        made.write_text(json.dumps(entries))
        made.rename(self.directory / "targets.json")

    def now(self, expr: str) -> list[Series]:
        """Instant query: series with `metric` and `value`. A wrong query raises HTTPError."""
        return list(self._get("query", query=expr)["result"])

    def over(self, expr: str, *, start: float, end: float, step: float) -> list[Series]:
        """Range query: series with `metric` and `values`."""
        times = {"start": str(start), "end": str(end), "step": str(step)}
        return list(self._get("query_range", query=expr, **times)["result"])

    def _get(self, path: str, **values: str) -> dict[str, Any]:
        words = urllib.parse.urlencode(values)
        url = f"http://{LOOPBACK}:{self.port}/api/v1/{path}?{words}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return dict(json.loads(answer.read())["data"])

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            self.processes.check()
            try:
                with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/-/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"Prometheus was not ready after {START_TIMEOUT_S} s")
