"""Rules over what happens while a job trains: validation, resets; a part of rules.RULES."""

from collections.abc import Iterator

from prorl_api.job import ProRLJobSpec
from prorl_api.rule import Finding, Rule
from prorl_api.spec_reset import NewReference


def _pass_k(spec: ProRLJobSpec) -> Iterator[Finding]:
    validation = spec.data.validation
    if validation is None:
        return
    limit = validation.samples_per_prompt
    if any(k > limit for k in validation.pass_k or ()):
        yield "spec.data.validation.passK", f"has a k above samplesPerPrompt {limit}"


def _best(spec: ProRLJobSpec) -> Iterator[Finding]:
    wanted = spec.reference_reset.new_reference is NewReference.BEST
    if wanted and (spec.data.validation is None or spec.checkpoint.keep_best == 0):
        yield (
            "spec.referenceReset.newReference",
            "Best needs spec.data.validation and a spec.checkpoint.keepBest of at least 1",
        )


LIFECYCLE_RULES: tuple[Rule, ...] = (
    Rule(
        path="spec.data.validation",
        field="passK",
        cel="!has(self.passK) || self.passK.all(k, k <= self.samplesPerPrompt)",
        say="'has a k above samplesPerPrompt %d'.format([self.samplesPerPrompt])",
        meaning="Every k is at most samplesPerPrompt.",
        check=_pass_k,
    ),
    Rule(
        path="spec",
        field="referenceReset.newReference",
        cel="self.referenceReset.newReference != 'Best' || "
        "(has(self.data.validation) && self.checkpoint.keepBest > 0)",
        say="'Best needs spec.data.validation and a spec.checkpoint.keepBest of at least 1'",
        meaning="Best needs spec.data.validation and a spec.checkpoint.keepBest of at least 1.",
        check=_best,
    ),
)
