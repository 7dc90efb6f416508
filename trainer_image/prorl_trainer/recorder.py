"""What the loop tells the world: tracker, Prometheus and status in one call each."""

import logging
import time
from datetime import UTC, datetime

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_guard import GuardAction
from prorl_api.status import CheckpointStatus, Progress, ReferenceStatus

from prorl_trainer.algo.signals import BOUNDS, Level
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import ReferenceState, RunState
from prorl_trainer.health import PREFIX
from prorl_trainer.observe.metrics import Metrics
from prorl_trainer.observe.status import StatusHolder
from prorl_trainer.observe.trackers import Trackers
from prorl_trainer.reference import next_interval_step
from prorl_trainer.saves import SaveTimes

log = logging.getLogger(__name__)

LOGGED = (
    "reward_mean", "kl", "entropy", "kept_ratio", "response_tokens_mean", "step_seconds",
    "replayed",
)  # fmt: skip
"""Of every step that has them; `prorl status` draws its curves from these lines."""


def timestamp(unix_seconds: float) -> str:
    """RFC 3339 in UTC, as Kubernetes writes it."""
    return datetime.fromtimestamp(unix_seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Recorder:
    """One method per event of a run."""

    def __init__(
        self, spec: ProRLJobSpec, tracker: Trackers, metrics: Metrics, status: StatusHolder
    ) -> None:
        self._spec = spec
        self._tracker = tracker
        self._metrics = metrics
        self._status = status
        self._levels: dict[str, float] = {}
        self._durable = ReferenceState()

    def configure(self, spec: ProRLJobSpec) -> None:
        """The run goes on by this spec."""
        self._spec = spec

    def start(self, state: RunState) -> None:
        """The run goes on after state.step steps."""
        self._metrics.record(self._position(state))
        self._tracker.record("start", state.step, {}, time.time())
        self._status.progress(self._progress(state, {}))
        self._tell_durable(state)
        self._status.guard(state.guard.last)

    def step(self, state: RunState, values: dict[str, float]) -> None:
        """A step is finished."""
        self._tracker.record("step", state.step, values, time.time())
        self._metrics.step(values | self._position(state))
        self._tell_health(state.step, values)
        self._metrics.count("tokens", values["tokens"] - values.get("replayed_tokens", 0.0))
        self._metrics.count("non_finite_steps", values["non_finite"])
        self._metrics.count("verifier_infra_errors", values["unjudged"])
        self._status.progress(self._progress(state, values))
        self._status.reference(self._reference(state))
        told = (f"{name}={values[name]:.4g}" for name in LOGGED if name in values)
        log.info("step=%d done %s", state.step, " ".join(told))

    def validation(self, state: RunState, values: dict[str, float]) -> None:
        """Held-out accuracy was measured."""
        self._tracker.record("validation", state.step, values, time.time())
        self._metrics.record(values)
        self._tell_health(state.step, values)
        current = self._status.document().progress
        self._status.progress(current.model_copy(update={"accuracy": state.accuracy}))
        log.info("step=%d accuracy=%.3f", state.step, values["accuracy"])

    def reset(self, state: RunState) -> None:
        """The reference was replaced: real, and in the status, with the next checkpoint."""
        entry = state.reference.log[-1]
        values = {
            "reference_version": entry.ref_version,
            "reason": entry.reason,
            "source_step": entry.source_step,
            **entry.values,
        }
        self._tracker.record("reset", state.step, values, time.time())
        self._metrics.count_reset(entry.reason)
        numbers = " ".join(f"{name}={value}" for name, value in values.items())
        log.info("step=%d reference reset %s", state.step, numbers)

    def guard(self, state: RunState) -> None:
        """A rule of spec.guard was acted on; after a rollback the run goes on from state.step."""
        last = state.guard.last
        assert last is not None
        values = last.model_dump(mode="json", by_alias=True)
        self._tracker.record("guard", last.last_step, values, time.time())
        if last.last_action is GuardAction.ROLLBACK:
            self._tracker.record("start", state.step, {}, time.time())
            self._status.progress(self._progress(state, {}))
            self._tell_durable(state)
        self._status.guard(last)
        self._metrics.count("guard_actions")
        log.warning("step=%d guard=%s %s", last.last_step, last.last_action, last.message)

    def checkpoint(self, manifest: Manifest, state: RunState, uri: str, times: SaveTimes) -> None:
        """A checkpoint of this state is durable."""
        seconds = {"blocked_seconds": times.blocked, "write_seconds": times.written}
        values = seconds | {"size_bytes": manifest.size_bytes}
        self._tracker.record("checkpoint", manifest.step, values, time.time())
        self._metrics.record({f"checkpoint_{name}": value for name, value in seconds.items()})
        self.found_checkpoint(manifest, uri)
        self._tell_durable(state)

    def found_checkpoint(self, manifest: Manifest, uri: str) -> None:
        """A checkpoint stands: just committed, loaded, or gone back to."""
        self._metrics.record(
            {
                "checkpoint_step": manifest.step,
                "checkpoint_bytes": manifest.size_bytes,
                "checkpoint_timestamp_seconds": manifest.created,
            }
        )
        self._status.checkpoint(
            CheckpointStatus(
                last_step=manifest.step,
                last_time=timestamp(manifest.created),
                uri=uri,
                size_bytes=manifest.size_bytes,
            )
        )

    def end(self, state: RunState) -> None:
        """This attempt has ended, for whatever reason."""
        try:
            self._tracker.record("end", state.step, {}, time.time())
        finally:
            self._tracker.close()

    def _tell_health(self, step: int, values: dict[str, float]) -> None:
        """A line for each signal whose level has changed."""
        for bound in BOUNDS:
            level = values.get(f"{PREFIX}{bound.signal}")
            if level is None or level == self._levels.get(bound.signal, 0):
                continue
            self._levels[bound.signal] = level
            log.warning(
                "step=%d health signal=%s level=%s value=%.4g warn=%s alert=%s action=%s", step,
                bound.signal, Level(int(level)).name, values[bound.signal], bound.warn, bound.alert,
                bound.action,
            )  # fmt: skip

    def _position(self, state: RunState) -> dict[str, float]:
        interval = self._spec.checkpoint.every_steps
        return {"step": state.step, "checkpoint_interval_steps": interval}

    def _progress(self, state: RunState, values: dict[str, float]) -> Progress:
        return Progress(
            step=state.step,
            total_steps=self._spec.algorithm.steps,
            last_time=timestamp(time.time()) if values else None,
            tokens=state.tokens,
            reward_mean=state.reward_mean,
            accuracy=state.accuracy,
            kl=values.get("kl"),
            entropy=values.get("entropy"),
        )

    def _tell_durable(self, state: RunState) -> None:
        self._durable = state.reference
        self._status.reference(self._reference(state))

    def _reference(self, state: RunState) -> ReferenceStatus:
        return ReferenceStatus(
            version=self._durable.version,
            last_reset_step=self._durable.last_reset_step,
            last_reason=self._durable.last_reason,
            next_reset_step=next_interval_step(self._spec, state, state.step + 1),
        )
