"""A job's status as text: pure, from the object and the last lines of the coordinator's log."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prorl_api.spec_roles import Role
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from prorl_cli.view import sparkline

Manifest = Mapping[str, Any]
History = dict[str, list[float]]
CURVES = ("reward_mean", "kl")
_STEP_LINE = re.compile(r"\bstep=\d+ done (?P<values>\S.*)")
_VALUE = re.compile(r"(\w+)=(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?!\S)")
"""Finite ones only: a curve has no place for others."""


def job_row(job: Manifest, now: datetime) -> tuple[str, ...]:
    """Cells of one line of `prorl list`."""
    meta, status = job["metadata"], job.get("status", {})
    progress = status.get("progress", {})
    return (
        meta["namespace"],
        meta["name"],
        status.get("phase", "-"),
        _step_text(progress),
        _text(progress.get("rewardMean")),
        _text(progress.get("kl")),
        _text(status.get("reference", {}).get("version")),
        _text(status.get("checkpoint", {}).get("lastStep")),
        _text(status.get("restarts")),
        age_text(meta.get("creationTimestamp"), now),
    )


def screen(
    job: Manifest, events: Sequence[Manifest], past: History, now: datetime
) -> RenderableType:
    """Everything of one job that fits a screen."""
    meta, status = job["metadata"], job.get("status", {})
    head = Text(f"{meta['namespace']}/{meta['name']}  {status.get('phase', 'not seen yet')}")
    lines: list[RenderableType] = [head, _numbers(status, now)]
    lines += [Text(f"{name:<12} {sparkline(past[name])}") for name in CURVES if past.get(name)]
    lines += [Text(""), _roles(status), Text(""), _conditions(status, now)]
    if events:
        lines += [Text(""), _events(events, now)]
    return Group(*lines)


def history(lines: Iterable[str]) -> History:
    """Values of the finished steps, in order, as the coordinator logs them."""
    found: History = {}
    for line in lines:
        match = _STEP_LINE.search(line)
        for name, value in _VALUE.findall(match["values"]) if match else ():
            found.setdefault(name, []).append(float(value))
    return found


def age_text(moment: datetime | str | None, now: datetime) -> str:
    """ "3d", "5h", "7m" or "2s", as kubectl has it; "-" where there is none."""
    if moment is None:
        return "-"
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _numbers(status: Manifest, now: datetime) -> RenderableType:
    progress, saved = status.get("progress", {}), status.get("checkpoint")
    reference = status.get("reference", {})
    table = Table.grid(padding=(0, 2))
    table.add_row("step", _step_text(progress), "last", age_text(progress.get("lastTime"), now))
    numbers = ("rewardMean", "accuracy", "kl", "entropy")
    for left, right in (numbers[:2], numbers[2:]):
        table.add_row(left, _text(progress.get(left)), right, _text(progress.get(right)))
    checkpoint = "-"
    if saved:
        checkpoint = f"step {saved['lastStep']}, {age_text(saved['lastTime'], now)} ago"
    table.add_row("checkpoint", checkpoint, "reference", _reference(reference))
    table.add_row("attempt", _text(status.get("attempt")), "restarts", _restarts(status))
    return table


def _reference(reference: Manifest) -> str:
    text = f"version {reference.get('version', 0)}"
    if reference.get("lastResetStep") is not None:
        text += f" since step {reference['lastResetStep']} ({reference.get('lastReason')})"
    if reference.get("nextResetStep") is not None:
        text += f", next at {reference['nextResetStep']}"
    return text


def _restarts(status: Manifest) -> str:
    counted, taken = status.get("restartsCounted", 0), status.get("disruptions", 0)
    return f"{status.get('restarts', 0)}, counted {counted}; {taken} disruptions"


def _roles(status: Manifest) -> RenderableType:
    table = Table("role", "ready", "desired", "failed", box=None, pad_edge=False)
    roles = status.get("roles", {})
    for role in Role:
        one = roles.get(role.value, {})
        table.add_row(role.value, *(_text(one.get(k, 0)) for k in ("ready", "desired", "failed")))
    return table


def _conditions(status: Manifest, now: datetime) -> RenderableType:
    table = Table("condition", "", "age", "message", box=None, pad_edge=False)
    for one in status.get("conditions", []):
        age = age_text(one["lastTransitionTime"], now)
        table.add_row(one["type"], one["status"], age, f"{one['reason']}: {one['message']}")
    return table


def _events(events: Sequence[Manifest], now: datetime) -> RenderableType:
    table = Table("event", "age", "note", box=None, pad_edge=False)
    for event in events:
        table.add_row(event["reason"], age_text(event["time"], now), str(event["note"]))
    return table


def _step_text(progress: Manifest) -> str:
    return f"{progress['step']}/{progress['totalSteps']}" if progress else "-"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
