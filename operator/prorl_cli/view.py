"""Live progress: a panel on a terminal, plain lines everywhere else."""

import itertools
import re
import time
from collections.abc import Callable
from typing import Protocol

from prorl_api.wire import Stage
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from prorl_cli.progress import Progress

SPARKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 60
ETA_STEPS = 20
"""The time left is judged by the median of so many steps."""
PLAIN_EVERY_S = 10.0


class View(Protocol):
    """Shows progress until it is closed."""

    def show(self, progress: Progress, note: str) -> None:
        """Called about twice a second; `note` is what the command itself is doing."""

    def close(self) -> None:
        """Leaves the last picture standing."""


def make_view(console: Console, name: str, total_steps: int) -> View:
    """A live panel if the console is a terminal."""
    if console.is_terminal:
        return LiveView(console, name, total_steps)
    return PlainView(
        lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True), total_steps
    )


class LiveView:
    """A rich panel that is redrawn."""

    def __init__(self, console: Console, name: str, total_steps: int) -> None:
        self._name = name
        self._total_steps = total_steps
        self._live = Live(console=console, refresh_per_second=4)
        self._live.start()

    def show(self, progress: Progress, note: str) -> None:
        """Draws the panel."""
        self._live.update(render(progress, self._name, self._total_steps, note))

    def close(self) -> None:
        """Ends the drawing."""
        self._live.stop()


class PlainView:
    """One line per change of stage, validation or reset, and one every few seconds of steps."""

    def __init__(
        self,
        write: Callable[[str], None],
        total_steps: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._total_steps = total_steps
        self._clock = clock
        self._said: set[str] = set()
        self._stage = ""
        self._stage_time = float("-inf")
        self._step = 0
        self._time = float("-inf")

    def show(self, progress: Progress, note: str) -> None:
        """Writes what is new."""
        self._say_stage(note or stage_text(progress))
        for step, accuracy in progress.accuracy.items():
            self._say_once(f"step {step}: held-out accuracy {accuracy:.3f}")
        for step, values in progress.resets.items():
            version = values.get("reference_version")
            self._say_once(f"step {step}: reference reset, version {version}")
        for done in progress.guard:
            action, from_step = done.get("lastAction"), done.get("wentOnFrom")
            self._say_once(f"guard: {action} (from step {from_step}): {done.get('message')}")
        step, now = progress.last_step, self._clock()
        self._step = min(self._step, step)  # a rollback goes back
        is_last = step == self._total_steps
        if step > self._step and (is_last or now - self._time >= PLAIN_EVERY_S):
            self._step, self._time = step, now
            self._write(f"step {step}/{self._total_steps}: {numbers_text(progress)}")

    def _say_stage(self, line: str) -> None:
        """A number that counts up in it is no news for some seconds."""
        now = self._clock()
        counting = _without_numbers(line) == _without_numbers(self._stage)
        if line == self._stage or (counting and now - self._stage_time < PLAIN_EVERY_S):
            return
        self._stage, self._stage_time = line, now
        self._write(line)

    def _say_once(self, line: str) -> None:
        if line and line not in self._said:
            self._said.add(line)
            self._write(line)

    def close(self) -> None:
        """Nothing is left open."""


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+", "#", line)


def render(progress: Progress, name: str, total_steps: int, note: str) -> RenderableType:
    """The panel: stage, bar, numbers, a curve of the reward."""
    step = progress.last_step
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(ratio=1)
    bar.add_column(justify="right", no_wrap=True)
    bar.add_row(
        ProgressBar(total=total_steps, completed=step),
        f"step {step}/{total_steps}  {duration_text(seconds_left(progress, total_steps))} left",
    )
    rewards = [value for _, value in progress.series("reward_mean")]
    lines: list[RenderableType] = [Text(note or stage_text(progress)), bar]
    lines.append(Text(numbers_text(progress)))
    lines.append(Text(f"reward {sparkline(rewards)}", style="green"))
    return Panel(Group(*lines), title=name, title_align="left")


def stage_text(progress: Progress) -> str:
    """What the coordinator says it is doing."""
    status = progress.status
    if status is None:
        return "Starting"
    if status.stage is Stage.TRAINING:
        return "Training"
    return f"{status.stage.value}: {status.message}" if status.message else status.stage.value


def numbers_text(progress: Progress) -> str:
    """The numbers that matter; a dash where there is none yet."""
    accuracy = list(progress.accuracy.values())
    parts = [
        ("reward", _number(progress.last("reward_mean"))),
        ("accuracy", _number(accuracy[-1] if accuracy else None)),
        ("KL", _number(progress.last("kl"), digits=5)),
        ("entropy", _number(progress.last("entropy"))),
        ("reference", _number(progress.last("reference_version"), digits=0)),
        ("checkpoint", "-" if progress.checkpoint_step is None else str(progress.checkpoint_step)),
    ]
    return "  ".join(f"{label} {text}" for label, text in parts)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def seconds_left(progress: Progress, total_steps: int) -> float | None:
    """Median duration of the last steps times the steps that are left; None before the first."""
    recent = sorted(value for _, value in progress.series("step_seconds")[-ETA_STEPS:])
    if not recent:
        return None
    return recent[len(recent) // 2] * max(0, total_steps - progress.last_step)


def duration_text(seconds: float | None) -> str:
    """3725 -> "1:02:05"; "-:--" when unknown."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def sparkline(values: list[float]) -> str:
    """Means of equally many values per character, scaled to the range of what is shown."""
    if not values:
        return ""
    width = min(SPARK_WIDTH, len(values))
    edges = [round(i * len(values) / width) for i in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(SPARKS[round((mean - low) * scale)] for mean in means)
