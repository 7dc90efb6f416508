"""What is asked of a running loop from outside: stop, save now, let a pod go."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prorl_api.commands import MAX_COMMANDS, Command, CommandKind, CommandResult, CommandState
from prorl_api.live import LiveSpec
from prorl_api.spec_guard import GuardSpec
from prorl_api.spec_roles import Role
from prorl_api.wire import Notice, NoticeResult

from prorl_trainer.checkpoint.state import ResetEntry, RunState


@dataclass(kw_only=True, slots=True)
class Control:
    """Requests that the loop answers at its next safe point. Used from one event loop only."""

    stop_requested: bool = False
    live: LiveSpec | None = None
    """What the run is to take over; None: nothing has changed since it began."""
    paused_by: GuardSpec | None = None
    """The loop waits for Resume, or for another spec.guard than this."""
    drain: Callable[[str], bool] = lambda _: True
    """Takes the requests away from the engines at an address; True: no engine is there any more."""
    trainers_leaving: dict[str, str] = field(default_factory=dict)
    """Pods of trainers that have been told to go: name -> address."""
    _kinds: dict[str, CommandKind] = field(default_factory=dict)
    _results: dict[str, CommandResult] = field(default_factory=dict)
    """Both by the commands' IDs, in the order of their arrival."""
    _durable_resets: Mapping[str, ResetEntry] = field(default_factory=dict)
    _released: dict[str, int | None] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """From now on SIGTERM and SIGINT ask for a stop.

        Call it again after Ray is connected: Ray puts a handler of its own in front of ours, which
        ends the process three seconds after the signal, saved or not.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Asks for a save and an orderly end."""
        self.stop_requested = True
        self._changed.set()

    def command(self, command: Command) -> CommandResult:
        """Accepts a command; the same id again reports its state."""
        if command.id not in self._results:
            self._kinds[command.id] = command.kind
            self._results[command.id] = self._begin(command)
            self._changed.set()
        return self._results[command.id]

    def _begin(self, command: Command) -> CommandResult:
        if command.kind is CommandKind.RESUME:
            return self._resume(command.id)
        if command.live is not None:
            return self._change(command.id, command.live)
        if command.id in self._durable_resets:
            return _reset_answer(command.id, self._durable_resets[command.id])
        if command.kind is CommandKind.STOP:
            self.stop()
        return CommandResult(id=command.id, state=CommandState.ACCEPTED)

    @property
    def results(self) -> list[CommandResult]:
        """Of the last commands, oldest first."""
        return list(self._results.values())[-MAX_COMMANDS:]

    @property
    def reset_requests(self) -> list[str]:
        """Commands that ask for a reset of the reference which is not durable yet."""
        return self._pending(CommandKind.RESET_REFERENCE)

    def _pending(self, *kinds: CommandKind) -> list[str]:
        results = self._results.items()
        accepted = (one for one, result in results if result.state is CommandState.ACCEPTED)
        return [one for one in accepted if self._kinds[one] in kinds]

    def durable(self, state: RunState, *, finished: int) -> None:
        """A checkpoint of this state stands; the requests that it answers are done. Who asks for
        one means the last finished step, which the run may have reached while it was written."""
        self._durable_resets = state.reference.done_requests
        for one in self.reset_requests:
            if one in self._durable_resets:
                self._results[one] = _reset_answer(one, self._durable_resets[one])
        if state.step == finished:
            self._answer_saves(state.step, CommandKind.CHECKPOINT)

    def _answer_saves(self, step: int, *kinds: CommandKind) -> None:
        for one in self._pending(*kinds):
            self._results[one] = CommandResult(id=one, state=CommandState.DONE, step=step)

    @property
    def paused(self) -> bool:
        """Nobody has said yet that the run may go on."""
        return self.paused_by is not None

    def pause(self, guard: GuardSpec) -> None:
        """The loop waits until somebody says Resume or changes this guard."""
        self.paused_by = guard

    def _change(self, command_id: str, live: LiveSpec) -> CommandResult:
        if self.live is None or live.generation > self.live.generation:
            self.live = live
            if live.guard != self.paused_by:
                self.paused_by = None
        return CommandResult(id=command_id, state=CommandState.DONE)

    def _resume(self, command_id: str) -> CommandResult:
        if not self.paused:
            return CommandResult(
                id=command_id, state=CommandState.FAILED, message="The run is not paused."
            )
        self.paused_by = None
        return CommandResult(id=command_id, state=CommandState.DONE)

    def notice(self, notice: Notice, address: str) -> NoticeResult:
        """A trainer may go after the next save, a rollout pod when its engines have finished what
        they have; any other pod at once."""
        if notice.role is Role.ROLLOUT:
            return NoticeResult(may_go=self.drain(address))
        if notice.role is not Role.TRAINER or notice.pod in self._released:
            return NoticeResult(may_go=True, saved_step=self._released.get(notice.pod))
        self.trainers_leaving[notice.pod] = address
        self._changed.set()
        return NoticeResult(may_go=False)

    @property
    def save_requested(self) -> bool:
        """Somebody waits for a durable checkpoint."""
        waiting = self._pending(CommandKind.CHECKPOINT, CommandKind.STOP)
        return self.stop_requested or bool(waiting or self.trainers_leaving)

    def saved(self, step: int) -> dict[str, str]:
        """Everybody who waited for a save has it. Returns the trainers that go: name -> address."""
        self._answer_saves(step, CommandKind.CHECKPOINT, CommandKind.STOP)
        leaving, self.trainers_leaving = self.trainers_leaving, {}
        self._released.update(dict.fromkeys(leaving, step))
        return leaving

    def release_all(self) -> None:
        """Nothing can be saved now (no learner is up): whoever waits may go."""
        self._released.update(dict.fromkeys(self.trainers_leaving, None))
        self.trainers_leaving = {}

    async def changed(self) -> None:
        """Returns after the next request."""
        self._changed.clear()
        await self._changed.wait()


def _reset_answer(command_id: str, made: ResetEntry) -> CommandResult:
    message = f"The reference is version {made.ref_version}, reset after step {made.step}."
    return CommandResult(id=command_id, state=CommandState.DONE, step=made.step, message=message)
