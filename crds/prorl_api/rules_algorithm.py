"""Rules over fields of spec.algorithm; a part of rules.RULES."""

from collections.abc import Iterator

from prorl_api.job import ProRLJobSpec
from prorl_api.presets import presets_with
from prorl_api.rule import Finding, Rule
from prorl_api.spec_algorithm import NORMALISING, Estimator, Normalisation


def _samples(spec: ProRLJobSpec) -> Iterator[Finding]:
    number, estimator = spec.algorithm.samples_per_prompt, spec.algorithm.advantage.estimator
    if number < 2 and estimator is not Estimator.REINFORCE_PP:
        yield (
            "spec.algorithm.samplesPerPrompt",
            f"{number} is less than 2: with the group baseline of {estimator} the advantage of a "
            "single sample is always 0",
        )


def _filter(spec: ProRLJobSpec) -> Iterator[Finding]:
    if spec.algorithm.samples_per_prompt < 2 and spec.algorithm.dynamic_sampling.enabled:
        yield (
            "spec.algorithm.dynamicSampling",
            "must be off with samplesPerPrompt 1: rewards of a single sample never differ, every "
            "group would be drawn again",
        )


def _oversample(spec: ProRLJobSpec) -> Iterator[Finding]:
    sampling = spec.algorithm.dynamic_sampling
    if sampling.oversample > 1 and not sampling.enabled:
        yield (
            "spec.algorithm.dynamicSampling.oversample",
            f"{sampling.oversample} has no effect: with dynamicSampling off every group is kept",
        )


def _normalisation(spec: ProRLJobSpec) -> Iterator[Finding]:
    advantage = spec.algorithm.advantage
    wanted = advantage.normalisation
    if wanted is Normalisation.SEQUENCE and advantage.estimator not in NORMALISING:
        yield (
            "spec.algorithm.advantage.normalisation",
            f"{wanted} has no effect: {advantage.estimator} does not normalise over the batch",
        )


def _cosine(spec: ProRLJobSpec) -> Iterator[Finding]:
    cosine = spec.algorithm.length_penalty.cosine
    if cosine is None:
        return
    path = "spec.algorithm.lengthPenalty.cosine"
    if cosine.eta_min >= cosine.eta_max:
        yield (f"{path}.etaMin", f"{cosine.eta_min} is not less than etaMax {cosine.eta_max}")


def _cosine_weight(spec: ProRLJobSpec) -> Iterator[Finding]:
    cosine = spec.algorithm.length_penalty.cosine
    if cosine is not None and cosine.weight * (cosine.eta_max - cosine.eta_min) >= 1:
        yield (
            "spec.algorithm.lengthPenalty.cosine.weight",
            f"{cosine.weight} times the range from etaMin to etaMax is 1 or more: a long correct "
            "answer would earn less than a short wrong one",
        )


def _overlong(spec: ProRLJobSpec) -> Iterator[Finding]:
    overlong = spec.algorithm.length_penalty.overlong
    cap = spec.algorithm.sampling.max_response_tokens
    if overlong is not None and overlong.buffer_of(cap) > cap:
        yield (
            "spec.algorithm.lengthPenalty.overlong",
            f"bufferTokens {overlong.buffer_tokens} is more than sampling.maxResponseTokens {cap}",
        )


def _updates(spec: ProRLJobSpec) -> Iterator[Finding]:
    updates, prompts = spec.algorithm.updates_per_step, spec.algorithm.prompts_per_step
    if updates > prompts:
        yield (
            "spec.algorithm.updatesPerStep",
            f"{updates} is more than promptsPerStep {prompts}: every update needs a whole group",
        )


def _governed(path: str, default: str) -> str:
    """CEL for a field that the API server may not have filled, because the preset decides it."""
    return f"(has(self.{path}) ? self.{path} : {default})"


_GRPO_PRESETS = presets_with("algorithm.advantage.estimator", Estimator.GRPO)
_UNFILTERED_PRESETS = presets_with("algorithm.dynamicSampling.enabled", False)
_ESTIMATOR = _governed(
    "advantage.estimator", f"(self.preset in {_GRPO_PRESETS} ? 'grpo' : 'reinforce++-baseline')"
)
_FILTERED = _governed("dynamicSampling.enabled", f"!(self.preset in {_UNFILTERED_PRESETS})")

ALGORITHM_RULES: tuple[Rule, ...] = (
    Rule(
        path="spec.algorithm",
        field="samplesPerPrompt",
        cel=f"self.samplesPerPrompt >= 2 || {_ESTIMATOR} == 'reinforce++'",
        say="'%d is less than 2: with the group baseline of %s the advantage of a single sample is "
        "always 0'.format([self.samplesPerPrompt, "
        f"{_ESTIMATOR}])",
        meaning="At least 2 unless the estimator is reinforce++: with a group baseline the "
        "advantage of a single sample is always 0.",
        check=_samples,
    ),
    Rule(
        path="spec.algorithm",
        field="dynamicSampling",
        cel=f"self.samplesPerPrompt >= 2 || !{_FILTERED}",
        say="'must be off with samplesPerPrompt 1: rewards of a single sample never differ, every "
        "group would be drawn again'",
        meaning="Off with samplesPerPrompt 1: rewards of a single sample never differ.",
        check=_filter,
    ),
    Rule(
        path="spec.algorithm",
        field="dynamicSampling.oversample",
        cel=f"self.dynamicSampling.oversample <= 1.0 || {_FILTERED}",
        say="'%s has no effect: with dynamicSampling off every group is kept'"
        ".format([self.dynamicSampling.oversample])",
        meaning="1 with dynamicSampling off: every group is kept.",
        check=_oversample,
    ),
    Rule(
        path="spec.algorithm",
        field="advantage.normalisation",
        cel=f"self.advantage.normalisation == 'token' || {_ESTIMATOR}.startsWith('reinforce++')",
        say="self.advantage.normalisation + ' has no effect: ' + "
        f"{_ESTIMATOR} + ' does not normalise over the batch'",
        meaning="Only the reinforce++ estimators normalise over the batch.",
        check=_normalisation,
    ),
    Rule(
        path="spec.algorithm.lengthPenalty.cosine",
        field="etaMin",
        cel="self.etaMin < self.etaMax",
        # Not string(): the API server takes its length for unbounded and refuses the whole CRD.
        say="'%s is not less than etaMax %s'.format([self.etaMin, self.etaMax])",
        meaning="Less than etaMax.",
        check=_cosine,
    ),
    Rule(
        path="spec.algorithm.lengthPenalty.cosine",
        field="weight",
        cel="self.weight * (self.etaMax - self.etaMin) < 1.0",
        say="'%s times the range from etaMin to etaMax is 1 or more: a long correct answer would "
        "earn less than a short wrong one'.format([self.weight])",
        meaning="Below 1 / (etaMax - etaMin): a long correct answer must earn more than a short "
        "wrong one.",
        check=_cosine_weight,
    ),
    Rule(
        path="spec.algorithm",
        field="lengthPenalty",
        cel="!has(self.lengthPenalty.overlong) || "
        "!has(self.lengthPenalty.overlong.bufferTokens) || "
        "self.lengthPenalty.overlong.bufferTokens <= self.sampling.maxResponseTokens",
        say="'bufferTokens %d is more than sampling.maxResponseTokens %d'.format("
        "[self.lengthPenalty.overlong.bufferTokens, self.sampling.maxResponseTokens])",
        meaning="overlong.bufferTokens is at most sampling.maxResponseTokens.",
        check=_overlong,
    ),
    Rule(
        path="spec.algorithm",
        field="updatesPerStep",
        cel="self.updatesPerStep <= self.promptsPerStep",
        say="'%d is more than promptsPerStep %d: every update needs a whole group'"
        ".format([self.updatesPerStep, self.promptsPerStep])",
        meaning="At most promptsPerStep: every update needs a whole group.",
        check=_updates,
    ),
)
