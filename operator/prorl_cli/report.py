"""What a run leaves for people: a summary in words and report.png."""

from pathlib import Path
from typing import Any

from prorl_api.exit_codes import MEANING, ExitCode
from prorl_api.wire import TerminationMessage

from prorl_cli.progress import Progress
from prorl_cli.view import duration_text

ADVICE: dict[ExitCode, str] = {
    ExitCode.INTERNAL: "Read the log; run again to resume from the last checkpoint.",
    ExitCode.CONFIG: "Correct the manifest; `prorl validate FILE` checks it.",
    ExitCode.DATA: "Correct the dataset that is named above.",
    ExitCode.MODEL: "Correct spec.model.uri, or make the model available there.",
    ExitCode.CHECKPOINT: "Choose another --out, use --fresh, or repair the checkpoints.",
    ExitCode.STORAGE: "Make room, make the directory writable or bring the source back, then run "
    "again to resume.",
    ExitCode.NON_FINITE: "Lower spec.algorithm.learningRate or maxGradNorm.",
    ExitCode.NO_SIGNAL: "Choose easier or harder tasks, more samplesPerPrompt or a warmer model.",
    ExitCode.WEIGHT_SYNC: "Read the log; run again to resume from the last checkpoint.",
    ExitCode.VERIFIER: "Read logs/verifier.log; run again to resume from the last checkpoint.",
    ExitCode.TRAINER_LOST: "Often too little memory; run again to resume.",
    ExitCode.GUARD: "Change spec.guard or what broke it, then run again to resume.",
    ExitCode.ENGINE: "Often too little memory or a model that vLLM does not know; read the log.",
}


def summary(progress: Progress, total_steps: int, seconds: float) -> list[str]:
    """Sentences about what has been reached."""
    lines = [f"{progress.last_step} of {total_steps} steps in {duration_text(seconds)} (min:s)"]
    accuracy = [progress.accuracy[step] for step in sorted(progress.accuracy)]
    if accuracy:
        gain = 100 * (accuracy[-1] - accuracy[0])
        lines.append(
            f"held-out accuracy {accuracy[0]:.3f} -> {accuracy[-1]:.3f} ({gain:+.1f} points)"
        )
    rewards = progress.series("reward_mean")
    if rewards:
        lines.append(f"reward {rewards[0][1]:.3f} -> {rewards[-1][1]:.3f}")
    steps = ", ".join(str(step) for step in sorted(progress.resets)) or "none"
    lines.append(f"reference resets: {len(progress.resets)} (steps: {steps})")
    return lines


def failure(message: TerminationMessage | None, returncode: int, log: Path) -> list[str]:
    """Why a run has ended early, and what to do."""
    code = known_code(message.exit_code if message else returncode)
    if message is None and code is ExitCode.INTERNAL:
        how = f"was killed by signal {-returncode}" if returncode < 0 else f"ended ({returncode})"
        return [
            f"The coordinator {how} without a last word; often there was too little memory.",
            "Run again to resume from the last checkpoint.",
            f"Log: {log}",
        ]
    reason, text = (message.reason, message.message) if message else (code.reason, "")
    lines = [f"{reason}: {text or MEANING[code]}"]
    if code in ADVICE:
        lines.append(ADVICE[code])
    return [*lines, f"Log: {log}"]


def known_code(number: int) -> ExitCode:
    """The exit code, or INTERNAL for anything else."""
    return ExitCode(number) if number in list(ExitCode) else ExitCode.INTERNAL


def draw(progress: Progress, path: Path, title: str) -> None:
    """Reward and accuracy above, KL below, a line at every reference reset."""
    import matplotlib  # takes a second, and only a finished run needs it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6))
    _curve(above, progress.series("reward_mean"), "reward", alpha=0.6)
    _curve(above, sorted(progress.accuracy.items()), "held-out accuracy", marker="o")
    _curve(below, progress.series("kl"), "KL to the reference", color="tab:red")
    for axis in (above, below):
        for index, step in enumerate(sorted(progress.resets)):
            label = "reference reset" if index == 0 else None
            axis.axvline(step, color="gray", linestyle="--", linewidth=1, label=label)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="best")
    above.set_title(title)
    above.set_ylabel("0 to 1")
    below.set_ylabel("nats per token")
    below.set_xlabel("RL step")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _curve(axis: Any, points: list[tuple[int, float]], label: str, **style: Any) -> None:
    if points:
        axis.plot(*zip(*points, strict=True), label=label, **style)
