"""A planted secret is in nothing that the operator writes but the Secret itself."""

import base64
import json
import logging
from typing import Any

import pytest
from controller_builders import COORDINATOR, ROLLOUT, TRAINER, UID, make_ended
from prorl_operator.build.secrets import Purpose, token

KEY = b"canary-of-the-operators-key"


def _forms(secret: bytes) -> set[str]:
    """How it could be written."""
    return {secret.decode(), secret.hex(), base64.b64encode(secret).decode()}


SECRETS = _forms(KEY).union(*(_forms(token(KEY, UID, one).encode()) for one in Purpose))


@pytest.fixture
def planted(world: Any) -> Any:
    """An operator with that key."""
    world.key = KEY
    world.restart()
    return world


async def _live_through_much(world: Any) -> None:
    """A start, progress, a refused pod, a failure and the end."""
    await world.start()
    world.trains(8)
    await world.reconcile(after_s=60)
    world.api.refuse("q-rollout-0-2")
    world.watch.kubelet[ROLLOUT] = make_ended(ROLLOUT, 1)
    await world.reconcile(after_s=60)
    world.watch.kubelet[TRAINER] = make_ended(TRAINER, 19)
    await world.reconcile(after_s=60)
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 10)
    await world.reconcile(after_s=60)


async def test_tokens_are_in_no_object_status_event_annotation_log_or_metric(
    planted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await _live_through_much(planted)
    assert planted.status["phase"] == "Failed"
    assert len(planted.events) >= 3
    written = {key: json.dumps(one) for key, one in planted.api.objects.items()}
    secret = written.pop(("Secret", "q-tokens"))
    assert sum(one in secret for one in SECRETS) == len(Purpose), "the canary itself is planted"
    written["log", ""] = caplog.text
    written["metrics", ""] = planted.metrics.render().decode()
    assert [key for key, text in written.items() if any(one in text for one in SECRETS)] == []
