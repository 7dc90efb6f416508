"""Rules over spec.runPolicy; a part of rules.RULES."""

from collections.abc import Iterator

from prorl_api.job import ProRLJobSpec
from prorl_api.rule import Finding, Rule


def _backoff(spec: ProRLJobSpec) -> Iterator[Finding]:
    backoff = spec.run_policy.backoff
    if backoff.base_seconds > backoff.max_seconds:
        yield (
            "spec.runPolicy.backoff.baseSeconds",
            f"{backoff.base_seconds} is more than maxSeconds {backoff.max_seconds}",
        )


def _pending_deadline(spec: ProRLJobSpec) -> Iterator[Finding]:
    policy = spec.run_policy
    deadline, longest = policy.pending_deadline_seconds, policy.backoff.max_seconds
    if deadline is not None and deadline <= longest:
        yield (
            "spec.runPolicy.pendingDeadlineSeconds",
            f"{deadline} is not more than backoff.maxSeconds {longest}",
        )


RUN_RULES: tuple[Rule, ...] = (
    Rule(
        path="spec.runPolicy.backoff",
        field="baseSeconds",
        cel="self.baseSeconds <= self.maxSeconds",
        say="'%d is more than maxSeconds %d'.format([self.baseSeconds, self.maxSeconds])",
        meaning="At most maxSeconds.",
        check=_backoff,
    ),
    Rule(
        path="spec.runPolicy",
        field="pendingDeadlineSeconds",
        cel="!has(self.pendingDeadlineSeconds) || "
        "self.pendingDeadlineSeconds > self.backoff.maxSeconds",
        say="'%d is not more than backoff.maxSeconds %d'"
        ".format([self.pendingDeadlineSeconds, self.backoff.maxSeconds])",
        meaning="More than backoff.maxSeconds: a pod that waits for its turn is not there either.",
        check=_pending_deadline,
    ),
)
