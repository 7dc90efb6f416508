"""Says one word to a running coordinator: `python -m prorl_trainer.command Resume`.

Inside the coordinator's pod it needs nothing else; on a machine with a `prorl run` it is given the
run's directory. The answer is printed; the exit code is 1 when the command was not done.
"""

import argparse
import json
import sys
import urllib.request
import uuid
from pathlib import Path

from prorl_api import runtime
from prorl_api.commands import Command, CommandKind, CommandResult, CommandState

from prorl_trainer.context import LOOPBACK

TIMEOUT_S = 10.0
WORDS = [kind for kind in CommandKind if kind is not CommandKind.CONFIGURE]
"""Configure needs more than a word."""


def main() -> None:
    """Exits with 0 when the command was accepted or done."""
    arguments = _parser().parse_args()
    try:
        url, token = _address(arguments.run_dir)
        command = Command(id=f"command-{uuid.uuid4().hex[:8]}", kind=arguments.kind)
        result = send(url, token, command)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"The coordinator was not reached: {error}")
    print(result.model_dump_json(by_alias=True))
    sys.exit(1 if result.state is CommandState.FAILED else 0)


def send(url: str, token: str, command: Command) -> CommandResult:
    """POSTs it. Raises OSError (urllib's errors are of that kind), ValueError."""
    request = urllib.request.Request(
        f"{url}/v1/commands",
        data=command.model_dump_json(by_alias=True).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return CommandResult.model_validate_json(answer.read())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prorl_trainer.command", description=__doc__)
    parser.add_argument("kind", type=CommandKind, choices=WORDS)
    parser.add_argument("--run-dir", type=Path, help="run directory of a `prorl run`")
    return parser


def _address(run_dir: Path | None) -> tuple[str, str]:
    if run_dir is not None:
        url = json.loads((run_dir / "endpoint.json").read_text())["url"]
        return url, (run_dir / "token").read_text().strip()
    token = Path(runtime.API_TOKEN_FILE).read_text().strip()
    return f"http://{LOOPBACK}:{runtime.COORDINATOR_PORT}", token


if __name__ == "__main__":
    main()
