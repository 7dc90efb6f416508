"""Rules over fields of spec.algorithm; a part of rules.RULES."""

from collections.abc import Iterator

from prorl_api.job import ProRLJobSpec
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


def _normalisation(spec: ProRLJobSpec) -> Iterator[Finding]:
    advantage = spec.algorithm.advantage
    wanted = advantage.normalisation
    if wanted is Normalisation.SEQUENCE and advantage.estimator not in NORMALISING:
        yield (
            "spec.algorithm.advantage.normalisation",
            f"{wanted} has no effect: {advantage.estimator} does not normalise over the batch",
        )


def _updates(spec: ProRLJobSpec) -> Iterator[Finding]:
    updates, prompts = spec.algorithm.updates_per_step, spec.algorithm.prompts_per_step
    if updates > prompts:
        yield (
            "spec.algorithm.updatesPerStep",
            f"{updates} is more than promptsPerStep {prompts}: every update needs a whole group",
        )


ALGORITHM_RULES: tuple[Rule, ...] = (
    Rule(
        path="spec.algorithm",
        field="samplesPerPrompt",
        cel="self.samplesPerPrompt >= 2 || self.advantage.estimator == 'reinforce++'",
        say="'%d is less than 2: with the group baseline of %s the advantage of a single sample is "
        "always 0'.format([self.samplesPerPrompt, self.advantage.estimator])",
        meaning="At least 2 unless the estimator is reinforce++: with a group baseline the "
        "advantage of a single sample is always 0.",
        check=_samples,
    ),
    Rule(
        path="spec.algorithm",
        field="dynamicSampling",
        cel="self.samplesPerPrompt >= 2 || !self.dynamicSampling.enabled",
        say="'must be off with samplesPerPrompt 1: rewards of a single sample never differ, every "
        "group would be drawn again'",
        meaning="Off with samplesPerPrompt 1: rewards of a single sample never differ.",
        check=_filter,
    ),
    Rule(
        path="spec.algorithm.advantage",
        field="normalisation",
        cel="self.normalisation == 'token' || self.estimator.startsWith('reinforce++')",
        say="self.normalisation + ' has no effect: ' + self.estimator + "
        "' does not normalise over the batch'",
        meaning="Only the reinforce++ estimators normalise over the batch.",
        check=_normalisation,
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
