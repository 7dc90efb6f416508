"""Presets: what a manifest that says nothing gets, and that what it says always wins."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import manifest
from prorl_api.canonical import job_document, spec_hash
from prorl_api.crd import build_schema
from prorl_api.job import ProRLJobSpec, parse_job
from prorl_api.live import live_of
from prorl_api.presets import GOVERNED, PRESETS, value_of, with_preset
from prorl_api.rules import IMMUTABLE, MUTABLE, WHILE_SUSPENDED
from prorl_api.spec_algorithm import AlgorithmSpec, Estimator, KlEstimator, Preset
from prorl_api.spec_lifecycle import CheckpointSpec
from prorl_api.spec_reset import ReferenceResetSpec, ResetOptimizer
from prorl_api.spec_roles import CoordinatorSpec, Role, RolloutSpec, TrainerSpec, VerifierSpec
from prorl_api.wire import JobDocument
from pydantic.alias_generators import to_camel


def spec_of(**algorithm: Any) -> ProRLJobSpec:
    return parse_job(manifest(algorithm=algorithm)).spec


def at(node: Any, path: str) -> Any:
    for key in path.split("."):
        node = node[key]
    return node


def test_no_preset_is_prorl_v2() -> None:
    assert spec_of() == spec_of(preset="prorl-v2")


def test_the_defaults_of_the_types_are_those_of_prorl_v2() -> None:
    # A spec that is made in code, without a manifest, must train by the same recipe.
    plain = ProRLJobSpec.model_validate(manifest()["spec"])
    assert plain == spec_of()


@pytest.mark.parametrize("preset", list(Preset))
def test_a_preset_says_every_value_that_prorl_v2_says(preset: Preset) -> None:
    # Otherwise a part of ProRL v2 would leak into another recipe.
    governed = [path for path in GOVERNED if value_of(Preset.PRORL_V2, path) is not None]
    assert [p for p in governed if value_of(preset, p) is None] == []


@pytest.mark.parametrize("preset", list(Preset))
@pytest.mark.parametrize("path", GOVERNED)
def test_a_preset_fills_what_is_absent_and_null(preset: Preset, path: str) -> None:
    if value_of(preset, path) is None:
        return
    given: dict[str, Any] = {"algorithm": {"preset": str(preset), "clip": None}}
    assert at(with_preset(given), path) == value_of(preset, path)


def test_grpo_is_grpo() -> None:
    algorithm = spec_of(preset="grpo").algorithm
    assert algorithm.advantage.estimator is Estimator.GRPO
    assert (algorithm.kl.estimator, algorithm.kl.coefficient) == (KlEstimator.K3, 0.04)
    assert (algorithm.clip.low, algorithm.clip.high) == (0.2, 0.2)
    assert not algorithm.dynamic_sampling.enabled


def test_prorl_v1_resets_on_a_stall_only_and_clears_the_optimizer() -> None:
    reset = spec_of(preset="prorl-v1").reference_reset
    assert (reset.every_steps, reset.kl_spike.enabled, reset.stall.enabled) == (0, False, True)
    assert reset.optimizer is ResetOptimizer.CLEAR


def test_what_the_manifest_says_wins_down_to_the_leaf() -> None:
    algorithm = spec_of(preset="grpo", clip={"high": 0.5}, kl={"coefficient": 0}).algorithm
    assert (algorithm.clip.low, algorithm.clip.high) == (0.2, 0.5)
    assert (algorithm.kl.estimator, algorithm.kl.coefficient) == (KlEstimator.K3, 0.0)


def test_dapo_shapes_the_last_fifth_and_can_be_told_not_to() -> None:
    overlong = spec_of(preset="dapo").algorithm.length_penalty.overlong
    assert overlong is not None
    assert overlong.buffer_of(20480) == 4096
    off = spec_of(preset="dapo", lengthPenalty={"overlong": {"factor": 0}}).algorithm
    assert off.length_penalty.overlong is not None
    assert off.length_penalty.overlong.factor == 0


@pytest.mark.parametrize("path", GOVERNED)
def test_the_server_does_not_fill_what_a_preset_decides(path: str) -> None:
    node = build_schema()["properties"]["spec"]
    for depth, key in enumerate(keys := path.split(".")):
        default = node.get("default")
        for inner in keys[depth:]:
            default = default.get(inner) if isinstance(default, dict) else None
        assert default is None, (path, key)
        node = node["properties"][key]
    assert "default" not in node


def test_the_resolved_document_is_read_back_as_it_was_whatever_its_preset() -> None:
    job = parse_job(manifest(algorithm={"preset": "dapo"}))
    text = job_document(job).model_dump_json(by_alias=True)
    assert JobDocument.model_validate_json(text).spec == job.spec


def test_two_ways_to_say_the_same_recipe_have_one_hash_but_for_the_name() -> None:
    assert spec_hash(spec_of()) == spec_hash(spec_of(clip={"high": 0.28}))
    assert spec_hash(spec_of()) != spec_hash(spec_of(clip={"high": 0.29}))
    assert spec_hash(spec_of()) != spec_hash(spec_of(preset="grpo"))


def test_from_where_a_job_goes_on_is_no_part_of_what_it_is() -> None:
    def hash_of(**checkpoint: Any) -> str:
        return spec_hash(parse_job(manifest(checkpoint=checkpoint)).spec)

    assert hash_of(resume=40) == hash_of(resume="None") == hash_of()
    assert hash_of(gracePeriodSeconds=7) != hash_of()


def test_a_field_that_changes_nothing_by_default_keeps_the_hash() -> None:
    class Later(ProRLJobSpec):
        added: int = 7

    body = spec_of().model_dump(by_alias=True)
    assert spec_hash(Later.model_validate(body)) == spec_hash(spec_of())
    assert spec_hash(Later.model_validate(body | {"added": 8})) != spec_hash(spec_of())


SPLIT = {
    "rollout": RolloutSpec, "checkpoint": CheckpointSpec, "referenceReset": ReferenceResetSpec,
    "algorithm": AlgorithmSpec, "trainer": TrainerSpec, "verifier": VerifierSpec,
    "coordinator": CoordinatorSpec,
}  # fmt: skip
"""Blocks of which a part may change."""


def test_every_field_either_may_change_or_may_not() -> None:
    names = {to_camel(name) for name in ProRLJobSpec.model_fields}
    for block, model in SPLIT.items():
        names |= {f"{block}.{to_camel(name)}" for name in model.model_fields}
    fixed, mutable = (
        {path.removeprefix("spec.") for path in paths} for paths in (IMMUTABLE, MUTABLE)
    )
    now_and_then = {path.removeprefix("spec.") for path in WHILE_SUSPENDED}
    assert fixed | mutable | now_and_then | set(SPLIT) == names
    assert not now_and_then & (fixed | mutable)
    assert not fixed & mutable


CHANGES: dict[str, dict[str, Any]] = {
    "suspend": {"suspend": True},
    "scheduling": {"scheduling": {"queueName": "q"}},
    **{f"{role}.pod": {role: {"pod": {"nodeSelector": {"a": "b"}}}} for role in Role},
    "rollout.replicas": {"rollout": {"replicas": 3}},
    "guard": {"guard": {"klAbove": 1}},
    "runPolicy": {"runPolicy": {"maxRestarts": 1}},
    "failurePolicy": {"failurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": [14]}]}},
    "export": {"export": {"uri": "pvc://c/d"}},
    "tracking": {"tracking": {"wandb": {"project": "p"}}},
    "algorithm.steps": {"algorithm": {"steps": 7}},
    "checkpoint.everySteps": {"checkpoint": {"everySteps": 7}},
    "checkpoint.everySeconds": {"checkpoint": {"everySeconds": 600}},
    "checkpoint.keep": {"checkpoint": {"keep": 7}},
    "checkpoint.keepBest": {"checkpoint": {"keepBest": 7}},
    "checkpoint.requestToken": {"checkpoint": {"requestToken": "a"}},
    "referenceReset.requestToken": {"referenceReset": {"requestToken": "a"}},
}


@pytest.mark.parametrize(
    "path", [path.removeprefix("spec.") for path in (*MUTABLE, *WHILE_SUSPENDED)]
)
def test_what_may_change_is_no_part_of_what_a_job_is(path: str) -> None:
    """Or a job that was changed while it goes on would refuse its own checkpoints."""
    assert spec_hash(parse_job(manifest(**CHANGES[path])).spec) == spec_hash(spec_of())


def test_what_a_coordinator_is_handed_makes_its_spec_that_of_the_job() -> None:
    live = ("guard", "algorithm.steps", "checkpoint.keepBest", "checkpoint.requestToken")
    changed: dict[str, Any] = {}
    for path in live:
        for block, values in CHANGES[path].items():
            changed[block] = changed.get(block, {}) | values
    job = parse_job(manifest(**changed))
    assert live_of(job).over(spec_of()) == job.spec != spec_of()


SHAPELESS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(
        st.sampled_from(["algorithm", "preset", "clip", "kl", "low", "x"]), inner, max_size=4
    ),
    max_leaves=12,
)


@given(SHAPELESS)
def test_merging_never_raises_nor_loses_what_was_given(spec: Any) -> None:
    merged = with_preset(spec)
    assert _contains(merged, spec)


def _contains(merged: Any, given: Any) -> bool:
    if given is None:
        return True
    if isinstance(given, dict) and isinstance(merged, dict):
        return all(_contains(merged.get(key), value) for key, value in given.items())
    return bool(merged == given)


def test_presets_are_complete() -> None:
    assert set(PRESETS) == set(Preset)
