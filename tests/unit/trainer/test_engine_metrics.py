"""What engines say, as series: bounded labels, gone with the engine, and counts that only grow."""

from dataclasses import fields, replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prorl_trainer.observe.engine_metrics import ENGINE_COUNTERS, ENGINE_GAUGES, EngineMetrics
from prorl_trainer.rollout.stats import EngineStats

Series = dict[str, float]


class Read:
    """Metrics, and what a scrape of them shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = EngineMetrics(self.registry)

    def series(self) -> Series:
        lines = generate_latest(self.registry).decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line[0] != "#" and "_created" not in line]
        return {name.removeprefix("prorl_engine_"): float(value) for name, value in pairs}


def test_every_field_is_exported_as_what_it_is() -> None:
    assert {f.name for f in fields(EngineStats)} == {*ENGINE_GAUGES, *ENGINE_COUNTERS}
    read = Read()
    read.metrics.told("engine-a", EngineStats(
        requests_running=3, requests_waiting=0, kv_cache_usage_ratio=0.5, preemptions=1,
        prompt_tokens=100, generated_tokens=40, prefix_cache_queried_tokens=100,
        prefix_cache_hit_tokens=64,
    ))  # fmt: skip
    assert read.series() == {
        'requests_running{engine="0"}': 3, 'requests_waiting{engine="0"}': 0,
        'kv_cache_usage_ratio{engine="0"}': 0.5, "preemptions_total": 1,
        "prompt_tokens_total": 100, "generated_tokens_total": 40,
        "prefix_cache_queried_tokens_total": 100, "prefix_cache_hit_tokens_total": 64,
    }  # fmt: skip


def test_what_an_engine_cannot_tell_has_no_series() -> None:
    read = Read()
    read.metrics.told("engine-a", EngineStats(requests_running=2))
    assert {name for name in read.series() if "engine=" in name} == {'requests_running{engine="0"}'}


def test_a_replacement_takes_over_the_label_and_what_was_counted_stays() -> None:
    read = Read()
    read.metrics.told("engine-a", EngineStats(requests_running=1, generated_tokens=10))
    read.metrics.told("engine-b", EngineStats(requests_running=2, generated_tokens=5))
    read.metrics.gone("engine-a")
    assert 'requests_running{engine="0"}' not in read.series()
    read.metrics.told("engine-c", EngineStats(requests_running=3, generated_tokens=1))
    found = read.series()
    assert found['requests_running{engine="0"}'] == 3
    assert found['requests_running{engine="1"}'] == 2
    assert found["generated_tokens_total"] == 16


def test_an_engine_that_ended_before_it_said_anything_leaves_the_others_alone() -> None:
    read = Read()
    read.metrics.told("engine-a", EngineStats(requests_running=1))
    before = read.series()
    read.metrics.gone("engine-b")
    assert read.series() == before


PLACES = 4
EVENTS = st.lists(
    st.tuples(st.integers(0, PLACES - 1), st.one_of(st.none(), st.integers(0, 9))), max_size=40
)
"""A place, and by how much its engine has gone on; None: it ends, and another one follows."""


@given(EVENTS)
def test_whatever_engines_come_and_go_the_sums_are_those_of_all_and_labels_of_the_living(
    events: list[tuple[int, int | None]],
) -> None:
    read, names = Read(), (f"engine-{number}" for number in count())
    living: dict[int, tuple[str, EngineStats]] = {}
    total, most, before = 0, 0, 0.0
    for place, more in events:
        if more is None:
            name, _ = living.pop(place, ("engine-never-heard-of", None))
            read.metrics.gone(name)
        else:
            name, stats = living.get(place, (next(names), EngineStats()))
            tokens = stats.generated_tokens + more
            stats = replace(stats, requests_running=tokens, generated_tokens=tokens)
            living[place] = (name, stats)
            read.metrics.told(name, stats)
            total += more
        most = max(most, len(living))
        found = read.series()
        assert found["generated_tokens_total"] == total >= before
        before = total
        running = {k: v for k, v in found.items() if k.startswith("requests_running")}
        assert sorted(running.values()) == sorted(s.generated_tokens for _, s in living.values())
        assert running.keys() <= {f'requests_running{{engine="{n}"}}' for n in range(most)}
