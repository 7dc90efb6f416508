"""The pictures of docs/recipe/."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from bench.learning.records import Run, Series, smooth

matplotlib.use("Agg")
from matplotlib import pyplot

DPI = 85
SMOOTH_SHORT = 10
"""Steps of the running mean in the curves of the ablations."""
SMOOTH_LONG = 50
SMOOTH_KL = 20
"""Fewer, or the mean would not show that a reset puts the KL to 0."""
HELD_OUT = "-held-out"
"""Ending of the names of held-out sets in recipe.yaml."""
REASONS = {"Interval": "tab:gray", "KlSpike": "tab:red", "Stall": "blue"}
"""Colour of a reset by its reason."""


def draw_ablations(runs: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Mean over the seeds per configuration, a band from the least to the most."""
    panels: list[tuple[str, Callable[[Run], Series]]] = [
        ("held-out accuracy", lambda run: run.held_out("accuracy")),
        (
            f"entropy of what is trained on, nats per token (mean of {SMOOTH_SHORT})",
            lambda run: smooth(run.series("entropy"), SMOOTH_SHORT),
        ),
        (
            f"KL to the reference, nats per token (mean of {SMOOTH_SHORT})",
            lambda run: smooth(run.series("kl"), SMOOTH_SHORT),
        ),
    ]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(14, 4.4))
    for axis, (label, series) in zip(axes, panels, strict=True):
        for index, (name, found) in enumerate(runs.items()):
            _band(axis, [series(run) for run in found], name, f"C{index}")
        axis.set(xlabel="RL step")
        axis.set_title(label, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right", fontsize=9)
    _save(figure, path)


def _band(axis: Any, curves: Sequence[Series], label: str, color: str) -> None:
    """Steps are those that all curves have."""
    tables = [dict(curve) for curve in curves]
    steps = [step for step, _ in curves[0] if all(step in table for table in tables)]
    columns = [[table[step] for table in tables] for step in steps]
    axis.plot(steps, [sum(c) / len(c) for c in columns], label=label, color=color, linewidth=1.5)
    axis.fill_between(steps, [min(c) for c in columns], [max(c) for c in columns], color=color,
                      alpha=0.1, linewidth=0)  # fmt: skip


def draw_long(run: Run, is_cosine_on: Callable[[int], bool], path: Path) -> None:
    """Panels over the same steps, with every reference reset and turn of the cosine term."""
    figure, axes = pyplot.subplots(4, 2, sharex=True, figsize=(14, 13))
    panels = (_accuracy, _sets, _kl, _entropy, _reward, _kept, _lengths, _clips)
    for draw, axis in zip(panels, axes.flat, strict=True):
        draw(axis, run)
        _shade(axis, run, is_cosine_on)
        _mark_resets(axis, run, labelled=draw is _kl)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="best", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("RL step; shaded: the cosine length term is on")
    _save(figure, path)


def _accuracy(axis: Any, run: Run) -> None:
    for name, label in (("accuracy", "pass@1"), ("pass_at_8", "pass@8")):
        if points := run.held_out(name):
            axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    axis.set(title="held-out prompts: mean of the sets", ylim=(0, 1))


def _sets(axis: Any, run: Run) -> None:
    for name in sorted(name for name in run.first_validation if name.endswith(HELD_OUT)):
        label = name.removeprefix("accuracy_").removesuffix(HELD_OUT)
        if name.startswith("accuracy_"):
            axis.plot(*zip(*run.held_out(name), strict=True), linewidth=1.2, label=label)
    axis.set(title="held-out pass@1 per set", ylim=(0, 1))


def _reward(axis: Any, run: Run) -> None:
    for name in ("reward_mean", "reward_mean_logic", "reward_mean_math"):
        _line(axis, run, name, name.removeprefix("reward_mean_").replace("reward_mean", "all"))
    axis.set(title=f"reward of what was drawn (mean of {SMOOTH_LONG} steps)", ylim=(0, 1))


def _kl(axis: Any, run: Run) -> None:
    axis.plot(*zip(*run.series("kl"), strict=True), linewidth=0.5, alpha=0.35, color="tab:red")
    points = smooth(run.series("kl"), SMOOTH_KL)
    label = f"mean of {SMOOTH_KL} steps"
    axis.plot(*zip(*points, strict=True), linewidth=1.2, color="darkred", label=label)
    axis.set(title="KL to the reference, nats per token")


def _entropy(axis: Any, run: Run) -> None:
    points = run.series("entropy")
    axis.plot(*zip(*points, strict=True), linewidth=0.5, alpha=0.4, color="tab:green")
    _line(axis, run, "entropy", f"mean of {SMOOTH_LONG} steps", color="tab:green")
    axis.set(title="entropy, nats per token", ylim=(0, None))


def _kept(axis: Any, run: Run) -> None:
    _line(axis, run, "kept_ratio", "kept of the drawn groups", color="tab:purple")
    axis.set(title=f"dynamic sampling (mean of {SMOOTH_LONG} steps)", ylim=(0, 1))


def _lengths(axis: Any, run: Run) -> None:
    _line(axis, run, "response_tokens_mean", "tokens per response", color="tab:brown")
    axis.set(title=f"response length (mean of {SMOOTH_LONG} steps)")


def _clips(axis: Any, run: Run) -> None:
    for name, label in (("clip_fraction_low", "low"), ("clip_fraction_high", "high")):
        _line(axis, run, name, label)
    axis.set(title=f"share of clipped tokens (mean of {SMOOTH_LONG} steps)")


def _line(axis: Any, run: Run, name: str, label: str, **style: Any) -> None:
    if points := smooth(run.series(name), SMOOTH_LONG):
        axis.plot(*zip(*points, strict=True), label=label, linewidth=1.2, **style)


def _shade(axis: Any, run: Run, is_on: Callable[[int], bool]) -> None:
    for step in run.steps:
        if is_on(step):
            axis.axvspan(step - 1, step, color="tab:olive", alpha=0.15, linewidth=0)


def _mark_resets(axis: Any, run: Run, *, labelled: bool) -> None:
    seen = set[str]()
    for step, reason in sorted(run.resets.items()):
        label = f"reset: {reason}" if labelled and reason not in seen else None
        color = REASONS.get(reason, "black")
        axis.axvline(step, color=color, linestyle=":", linewidth=1.3, label=label)
        seen.add(reason)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
