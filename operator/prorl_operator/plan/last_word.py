"""What a container has said at its end."""

from prorl_api.exit_codes import MEANING, ExitCode
from prorl_api.wire import TerminationMessage
from pydantic import ValidationError

from prorl_operator.plan.observed import PodView

_KNOWN_CODES = frozenset(int(code) for code in ExitCode)


def parse_termination(pod: PodView) -> TerminationMessage:
    """The container's final word; made up from the exit code where it left none."""
    try:
        return TerminationMessage.model_validate_json(pod.exit_message)
    except ValidationError:
        return _made_up_word(pod)


def known_exit_code(pod: PodView) -> ExitCode:
    """INTERNAL for a code that is not in the enum."""
    return ExitCode(pod.exit_code) if pod.exit_code in _KNOWN_CODES else ExitCode.INTERNAL


def _made_up_word(pod: PodView) -> TerminationMessage:
    code = -1 if pod.exit_code is None else pod.exit_code
    known = known_exit_code(pod)
    own = pod.exit_reason if pod.exit_reason not in ("", "Error", "Completed") else ""
    said = pod.exit_message.strip()[-1024:]
    return TerminationMessage(
        outcome="Succeeded" if code == 0 else "Failed",
        exit_code=code,
        reason=(own or known.reason)[:64],
        message=said or MEANING[known],
    )
