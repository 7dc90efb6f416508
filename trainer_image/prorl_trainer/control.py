"""What is asked of a running loop from outside: stop, save now, let a pod go."""

import asyncio
import signal
from dataclasses import dataclass, field

from prorl_api.spec_roles import Role
from prorl_api.wire import Command, CommandKind, CommandResult, CommandState, Notice, NoticeResult


@dataclass(kw_only=True, slots=True)
class Control:
    """Requests that the loop answers at its next safe point. Used from one event loop only."""

    stop_requested: bool = False
    paused: bool = False
    """The loop waits for Resume."""
    trainers_leaving: dict[str, str] = field(default_factory=dict)
    """Pods of trainers that have been told to go: name -> address."""
    _commands: dict[str, CommandResult] = field(default_factory=dict)
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
        if command.id not in self._commands:
            self._commands[command.id] = CommandResult(id=command.id, state=CommandState.ACCEPTED)
            if command.kind is CommandKind.STOP:
                self.stop()
            elif command.kind is CommandKind.RESUME:
                self._commands[command.id] = self._resume(command.id)
        return self._commands[command.id]

    def pause(self) -> None:
        """The loop waits until somebody says Resume."""
        self.paused = True

    def _resume(self, command_id: str) -> CommandResult:
        if not self.paused:
            return CommandResult(
                id=command_id, state=CommandState.FAILED, message="The run is not paused."
            )
        self.paused = False
        self._changed.set()
        return CommandResult(id=command_id, state=CommandState.DONE)

    def notice(self, notice: Notice, address: str) -> NoticeResult:
        """A trainer may go after the next save; any other pod at once."""
        if notice.role is not Role.TRAINER or notice.pod in self._released:
            return NoticeResult(may_go=True, saved_step=self._released.get(notice.pod))
        self.trainers_leaving[notice.pod] = address
        self._changed.set()
        return NoticeResult(may_go=False)

    @property
    def save_requested(self) -> bool:
        """Somebody waits for a durable checkpoint."""
        pending = any(r.state is CommandState.ACCEPTED for r in self._commands.values())
        return self.stop_requested or pending or bool(self.trainers_leaving)

    def saved(self, step: int) -> dict[str, str]:
        """Everybody who waited for a save has it. Returns the trainers that go: name -> address."""
        for result_id, result in self._commands.items():
            if result.state is CommandState.ACCEPTED:
                self._commands[result_id] = CommandResult(
                    id=result_id, state=CommandState.DONE, step=step
                )
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
