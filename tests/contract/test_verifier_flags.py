"""What the operator writes into a verifier's command is what the service reads."""

import pytest
from controller_builders import make_job
from prorl_api import runtime
from prorl_api.spec_roles import IsolationLevel, Role
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.pods import build_pod
from prorl_verifier.__main__ import build_parser
from prorl_verifier.remote import Remote
from prorl_verifier.sandbox.levels import WORDS


def test_the_levels_of_isolation_are_the_same_in_the_same_order() -> None:
    assert tuple(IsolationLevel) == WORDS


@pytest.mark.parametrize("level", IsolationLevel)
def test_a_verifiers_command_is_understood(level: IsolationLevel) -> None:
    remotes = [{"name": f"judge-{i}", "url": f"http://h{i}:80/a?b=c=d"} for i in range(2)]
    job = make_job(
        verifier={"minimumIsolation": level, "timeoutSeconds": 7, "remotes": remotes},
    )
    slot = Slot(role=Role.VERIFIER, index=0)
    pod = build_pod(job, slot, 0, default_image="i", ledger=Ledger())
    words = pod["spec"]["containers"][0]["command"][len(runtime.VERIFIER_COMMAND) :]
    flags = build_parser().parse_args(words)
    assert (flags.minimum_isolation, flags.timeout_seconds) == (level, 7.0)
    assert (flags.workers, flags.code_workers) == (2, 2)
    assert flags.remote == [Remote(**remote) for remote in remotes]
