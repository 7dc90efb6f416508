"""The model card: what was done and measured, from the run's own records. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import DataSet
from prorl_api.spec_output import ExportDtype
from prorl_api.wire import MetricsRecord

from prorl_trainer.checkpoint.state import RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """Everything that a card says."""

    state: RunState
    spec: ProRLJobSpec | None
    """None: the job's document is not at hand."""
    records: Sequence[MetricsRecord]
    """Of metrics.jsonl, in order; attempts that were rolled back included."""
    dtype: ExportDtype
    checkpoint_sha256: str
    versions: Mapping[str, str]
    """Libraries that made the export."""


def build_card(facts: CardFacts) -> str:
    """README.md with the front matter that model hubs read."""
    parts = [
        _front_matter(facts),
        f"# {facts.state.job_name}",
        _summary(facts),
        "## Load it",
        LOADING,
        "## Held-out accuracy",
        _accuracy(facts),
        *_training(facts),
        "## Provenance",
        _provenance(facts),
    ]
    return "\n\n".join(parts) + "\n"


LOADING = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THIS_DIRECTORY")
model = AutoModelForCausalLM.from_pretrained("THIS_DIRECTORY", dtype="auto")
```

or `vllm serve THIS_DIRECTORY`. No code of its own is needed."""


def accuracy_by_step(
    records: Sequence[MetricsRecord], last_step: int
) -> dict[int, dict[str, float]]:
    """Step -> measured values of the evaluations that count: the latest of each step."""
    found = {r.step: r for r in records if r.kind == "validation" and r.step <= last_step}
    return {
        step: {k: v for k, v in found[step].values.items() if isinstance(v, int | float)}
        for step in sorted(found)
    }


def _front_matter(facts: CardFacts) -> str:
    uri = facts.spec.model.uri if facts.spec else ""
    values: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["prorl", "reinforcement-learning", "verifiable-rewards"],
    }
    if uri.startswith("hf://"):
        values["base_model"] = uri.removeprefix("hf://")
    return f"---\n{yaml.safe_dump(values, sort_keys=True)}---"


def _summary(facts: CardFacts) -> str:
    state, spec = facts.state, facts.spec
    base = "The initial model of the job"
    if spec is not None:
        revision = f" at revision {spec.model.revision}" if spec.model.revision else ""
        base = f"`{spec.model.uri}`{revision}"
    total = f" of {spec.algorithm.steps}" if spec else ""
    return (
        f"{base}, trained for {state.step}{total} steps of prolonged reinforcement learning with "
        f"verifiable rewards (ProRL operator), {state.tokens:,} response tokens. The weights are "
        f"those after the last of these steps, in {facts.dtype}"
        + (", rounded from float32." if facts.dtype is ExportDtype.BFLOAT16 else ".")
    )


def _accuracy(facts: CardFacts) -> str:
    measured = accuracy_by_step(facts.records, facts.state.step)
    if not measured:
        return "Nothing was held out or measured, so nothing is claimed."
    best = max(measured, key=lambda step: (measured[step].get("accuracy", 0.0), step))
    first, last = min(measured), max(measured)
    names = sorted({name for values in measured.values() for name in values})
    head = f"| | step {first} (first) | step {best} (best) | step {last} (last) |"
    rows = [
        f"| {name} | "
        + " | ".join(_number(measured[step].get(name)) for step in (first, best, last))
        + " |"
        for name in names
    ]
    how = ""
    if facts.spec is not None and facts.spec.data.validation is not None:
        samples = facts.spec.data.validation.samples_per_prompt
        temperature = facts.spec.algorithm.sampling.temperature
        how = (
            f"Mean score of {samples} samples per prompt at temperature {temperature}, measured "
            "during training; `accuracy` is the mean over the sets."
        )
    return "\n".join([head, "|---|---|---|---|", *rows, "", how]).strip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _training(facts: CardFacts) -> Iterator[str]:
    state = facts.state
    resets = "; ".join(f"step {entry.step}: {entry.reason}" for entry in state.reference.log)
    yield "## Training"
    yield f"Reference resets: {resets or 'none'}."
    if facts.spec is None:
        yield f"The recipe is that of the job with spec hash `{state.spec_hash}`."
        return
    yield "## Data"
    yield _data(facts.spec, state)
    yield "## Recipe"
    spec = facts.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    chosen = {key: spec[key] for key in ("model", "data", "algorithm", "referenceReset")}
    for part in chosen.values():
        part.pop("credentialsSecret", None)
    yield f"```yaml\n{yaml.safe_dump(chosen, sort_keys=False)}```"


def _data(spec: ProRLJobSpec, state: RunState) -> str:
    held_out = spec.data.validation.sets if spec.data.validation else []
    uses = [(one, "train") for one in spec.data.train] + [(one, "held out") for one in held_out]
    prints = state.data_fingerprints
    rows = [_data_row(one, use, prints.get(one.name, "")) for one, use in uses]
    head = "| set | use | domain | weight | source | fingerprint of the rows |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _data_row(one: DataSet, use: str, fingerprint: str) -> str:
    weight = f"{one.weight:g}" if use == "train" else ""
    source = f"`{one.uri}`" + (f" at {one.revision}" if one.revision else "")
    return f"| {one.name} | {use} | {one.domain} | {weight} | {source} | {fingerprint} |"


def _provenance(facts: CardFacts) -> str:
    state = facts.state
    values = {
        "job UID": state.job_uid,
        "spec hash": state.spec_hash,
        "checkpoint": f"step {state.step}",
        "sha256 of its manifest": facts.checkpoint_sha256,
        "reference version": str(state.reference.version),
        "trained with": _versions(state.library_versions),
        "exported with": _versions(facts.versions),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in values.items())])


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
