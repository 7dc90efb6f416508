"""kubectl apply, and what a user then sees until the job has ended."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from cluster.product import Product

POLL_S = 0.5
ENDED = ("Succeeded", "Failed")


def follow(product: Product, file: Path) -> int:
    """Applies the file; a line for every change of phase, pods or step. 0 if the job succeeds."""
    name = yaml.safe_load(file.read_text())["metadata"]["name"]
    if product.find("prorljob", name) is not None:
        print(f"==> deleting the earlier job {name} and, to start afresh, its claim", flush=True)
        product.kubectl("delete", "prorljob", name, "--wait")
        product.kubectl("delete", "pvc", f"{name}-checkpoints", "--ignore-not-found", "--wait")
    print(f"==> kubectl apply -f {file}", flush=True)
    product.kubectl("apply", "-f", str(file))
    begin = time.monotonic()
    first_step: float | None = None
    for status in _changes(product, name):
        seconds = time.monotonic() - begin
        if first_step is None and _step(status):
            first_step = seconds
        print(f"{seconds:6.1f} s  {_line(status)}", flush=True)
    print()
    print(product.kubectl("get", "prorljob", name, "-o", "wide"))
    print(product.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}"))
    if first_step is not None:
        print(f"apply to first finished step: at most {first_step:.1f} s")
    return 0 if status["phase"] == "Succeeded" else 1


def _changes(product: Product, name: str) -> Iterator[dict[str, Any]]:
    """Until the job has ended."""
    shown = ""
    while True:
        status = (product.find("prorljob", name) or {}).get("status", {})
        if status and _line(status) != shown:
            shown = _line(status)
            yield status
        if status.get("phase") in ENDED:
            return
        time.sleep(POLL_S)


def _step(status: dict[str, Any]) -> int:
    return int(status.get("progress", {}).get("step", 0))


def _line(status: dict[str, Any]) -> str:
    progress, roles = status.get("progress", {}), status.get("roles", {})
    ready = " ".join(f"{role} {r['ready']}/{r['desired']}" for role, r in sorted(roles.items()))
    numbers = {key: progress[key] for key in ("rewardMean", "accuracy", "kl") if key in progress}
    reference = status.get("reference", {}).get("version", "-")
    checkpoint = status.get("checkpoint", {}).get("lastStep", "-")
    waits = "" if status.get("phase") in ("Running", *ENDED) else f"  {_progressing(status)}"
    return (
        f"{status.get('phase', ''):<10} step {progress.get('step', '-'):>3}  reference {reference}"
        f"  checkpoint {checkpoint:>3}  {json.dumps(numbers)}  [{ready}]{waits}"
    )


def _progressing(status: dict[str, Any]) -> str:
    conditions = {c["type"]: c["message"] for c in status.get("conditions", [])}
    return str(conditions.get("Progressing", ""))
