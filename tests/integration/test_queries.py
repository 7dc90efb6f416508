"""A real Prometheus scrapes the three real registries, and answers every query of the chart."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from bench.scrape.answers import Answer, Span, ask_all
from bench.scrape.watched import JOB, SPACE
from controller_builders import make_condition, make_status
from controller_cluster import until
from monitoring.uses import NOT_OURS
from ports import free_port
from prometheus.server import Prometheus, Target
from prometheus_client import CollectorRegistry, start_http_server
from prorl_api.status import CheckpointStatus, ConditionType, Phase, Progress
from prorl_operator.metrics import Metrics as OperatorMetrics
from prorl_trainer.algo.signals import BOUNDS
from prorl_trainer.observe.engine_metrics import ENGINE_COUNTERS, ENGINE_GAUGES
from prorl_trainer.observe.metrics import COUNTERS, GAUGES
from prorl_trainer.observe.metrics import Metrics as CoordinatorMetrics
from prorl_trainer.observe.ray_metrics import ClusterUse
from prorl_trainer.rollout.stats import EngineStats
from prorl_verifier.metrics import Metrics as VerifierMetrics
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import INFRA_ERROR, PASS, Verdict

SCRAPES = 4
LONG_AGO = "2026-01-01T00:00:10Z"
OF_A_STEP = ("reward_mean_math", "reward_std_math", "shaped_reward_mean_math",
             "shaped_reward_std_math", "accuracy_domain_math", "pass_at_4",
             "generate_seconds", "learn_seconds", "sync_seconds", "step_seconds")  # fmt: skip


class Watched:
    """The three processes' metrics of a job that goes on."""

    def __init__(self) -> None:
        self.operator = OperatorMetrics()
        self.coordinator = CoordinatorMetrics()
        self.verifier = VerifierMetrics()
        self.verifier.describe(Isolation.NAMESPACES, "1", "0" * 8)
        self.steps = 0

    def go_on(self) -> None:
        """A step, with something of everything."""
        self.steps += 1
        self._coordinate()
        self._judge()
        self._operate()

    def _coordinate(self) -> None:
        values = dict.fromkeys((*GAUGES, *OF_A_STEP), float(self.steps))
        for bound in BOUNDS:
            values |= {bound.signal: 1.0, f"health_{bound.signal}": 1.0}
        self.coordinator.step(values)
        for name in COUNTERS:
            self.coordinator.count(name)
        self.coordinator.count_reset("Interval")
        numbers = dict.fromkeys((*ENGINE_GAUGES, *ENGINE_COUNTERS), self.steps)
        self.coordinator.engines.told("engine-a", EngineStats(**numbers))
        places = {"trainer": 1.0, "rollout": 1.0, "gpu": 0.0}
        self.coordinator.ray.told(
            ClusterUse(
                alive=3, dead=1, used=places, free=places, store_used_bytes=0, store_free_bytes=1e8
            )
        )

    def _judge(self) -> None:
        for outcome in (PASS, INFRA_ERROR):
            verdict = Verdict(id="a", outcome=outcome, score=None, reason="", seconds=0.01)
            self.verifier.verdicts("math", [verdict])
            self.verifier.canary("math", verdict, wrong=True)
        self.verifier.restarts.inc()
        self.verifier.refused.labels("429").inc()
        self.verifier.canary_round.set_to_current_time()

    def _operate(self) -> None:
        checkpoint = CheckpointStatus(
            last_step=self.steps, last_time=LONG_AGO, uri="pvc://c/x", size_bytes=1
        )
        status = make_status(
            progress=Progress(step=self.steps, total_steps=1000, last_time=LONG_AGO),
            checkpoint=checkpoint,
            conditions=[make_condition(kind) for kind in ConditionType],
            restarts=self.steps,
            disruptions=self.steps,
        )
        self.operator.show_job((SPACE, JOB), status)
        for phase in Phase:
            failed = status.model_copy(update={"phase": phase})
            self.operator.show_job((SPACE, f"other-{phase.lower()}"), failed)
        self.operator.pods_disrupted.labels(SPACE, JOB, "trainer", "Deleted").inc()
        self.operator.leader.set(1)
        self.operator.watch_event.set_to_current_time()
        self.operator.reconciles.labels("success").inc()
        self.operator.reconcile_seconds.observe(0.01)
        self.operator.requests.labels("PATCH", "200").inc()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answer]]:
    """Of all queries, over a few scrapes."""
    job = {"namespace": SPACE, "prorl_job": JOB}
    watched, start = Watched(), time.time()
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("prometheus")
        prometheus = stack.enter_context(Prometheus(directory=directory))
        targets = [
            _serve(stack, watched.operator.registry, {"pod": "operator"}),
            _serve(stack, watched.coordinator.registry, job | {"pod": "coordinator"}),
            _serve(stack, watched.verifier.registry, job | {"pod": "verifier"}),
        ]
        watched.go_on()
        prometheus.scrape(targets)

        def scraped() -> bool:
            watched.go_on()
            found = prometheus.now("min(count_over_time(up[1h])) and count(up == 1) == 3")
            return bool(found) and float(found[0]["value"][1]) >= SCRAPES

        until(f"{SCRAPES} scrapes", scraped, 60)
        yield list(ask_all(prometheus, Span(start=start, end=time.time()), NOT_OURS))


def _serve(stack: ExitStack, registry: CollectorRegistry, labels: dict[str, str]) -> Target:
    port = free_port()
    server, _ = start_http_server(port, addr="127.0.0.1", registry=registry)
    stack.callback(server.shutdown)
    return Target(port=port, labels=labels)


def test_every_query_has_an_answer_or_asks_for_metrics_of_others(answers: list[Answer]) -> None:
    assert [one.asked for one in answers if one.verdict == "EMPTY"] == []
    assert len(answers) > 100
