"""Every metric family of operator, coordinator and verifier, read from their registries."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prorl_operator.metrics import Metrics as OperatorMetrics
from prorl_trainer.observe.metrics import GAUGES
from prorl_trainer.observe.metrics import Metrics as CoordinatorMetrics
from prorl_verifier.metrics import Metrics as VerifierMetrics


class Component(StrEnum):
    """Who exports it."""

    OPERATOR = "operator"
    COORDINATOR = "coordinator"
    VERIFIER = "verifier"


SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
"""Of the names in the text format, by type; other types have the family's own name."""
UNITS = {
    "_timestamp_seconds": "Unix seconds",
    "_per_second": "per second",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_ratio": "0 to 1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """One family."""

    family: str
    kind: str
    labels: tuple[str, ...]
    """Its own; what Prometheus adds is not among them."""
    text: str
    component: Component

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which queries may ask for it."""
        return tuple(f"{self.family}{suffix}" for suffix in SUFFIXES.get(self.kind, ("",)))

    @property
    def name(self) -> str:
        """As the page calls it: without the three suffixes of a histogram."""
        return self.family if self.kind == "histogram" else self.names[0]

    @property
    def unit(self) -> str:
        """From the name; the text says what a plain number is."""
        found = (unit for suffix, unit in UNITS.items() if self.family.endswith(suffix))
        return next(found, "")


def exported() -> list[Exported]:
    """All of them, by component, then in the order of the code."""
    coordinator = CoordinatorMetrics()
    coordinator.record(dict.fromkeys(GAUGES, 0.0))
    return [
        *_families(OperatorMetrics().registry, Component.OPERATOR),
        *_families(coordinator.registry, Component.COORDINATOR),
        *_families(VerifierMetrics().registry, Component.VERIFIER),
    ]


def _families(registry: CollectorRegistry, component: Component) -> Iterator[Exported]:
    # The public collect() tells no label names of a family that has no series yet.
    for collector in registry._collector_to_names:
        labels = tuple(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            yield _exported(family, labels, component)


def _exported(family: Metric, labels: tuple[str, ...], component: Component) -> Exported:
    kind = "gauge" if family.type == "stateset" else family.type
    if family.type == "stateset":
        labels = (family.name,)
    return Exported(
        family=family.name,
        kind=kind,
        labels=labels,
        text=family.documentation,
        component=component,
    )
