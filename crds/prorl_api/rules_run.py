"""Rules over spec.runPolicy, spec.failurePolicy and spec.scheduling; a part of rules.RULES."""

from collections.abc import Iterator

from prorl_api.exit_codes import ExitCode
from prorl_api.job import ProRLJobSpec
from prorl_api.rule import Finding, Rule
from prorl_api.spec_failure import FailureAction, FailureRule
from prorl_api.spec_scheduling import Gang


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


OTHER_CODES = (2, 126, 127)
"""Of the interpreter and the shell: bad arguments, not executable, not found."""
KNOWN_CODES = sorted({int(code) for code in ExitCode if code} | set(OTHER_CODES))
FIRST_SIGNAL, LAST_SIGNAL = 129, 192
_IS_KNOWN = f"(c in {KNOWN_CODES} || (c >= {FIRST_SIGNAL} && c <= {LAST_SIGNAL}))"
_CHARGED = (FailureAction.RESTART_TRAINERS, FailureAction.REPLACE_POD)


def _each(spec: ProRLJobSpec) -> Iterator[tuple[str, FailureRule]]:
    for index, rule in enumerate(spec.failure_policy.rules):
        yield f"spec.failurePolicy.rules[{index}]", rule


def _one_trigger(spec: ProRLJobSpec) -> Iterator[Finding]:
    for path, rule in _each(spec):
        if (rule.on_exit_codes is None) == (rule.on_reasons is None):
            found = "neither" if rule.on_reasons is None else "both"
            yield path, f"exactly one of onExitCodes and onReasons must be set, found {found}"


def _codes(spec: ProRLJobSpec) -> Iterator[Finding]:
    for path, rule in _each(spec):
        known = (*KNOWN_CODES, *range(FIRST_SIGNAL, LAST_SIGNAL + 1))
        unknown = [code for code in rule.on_exit_codes or () if code not in known]
        if unknown:
            named = ", ".join(str(code) for code in unknown)
            yield f"{path}.onExitCodes", f"no pod ends with [{named}]"


def _count(spec: ProRLJobSpec) -> Iterator[Finding]:
    for path, rule in _each(spec):
        if rule.count is not None and rule.action not in _CHARGED:
            yield f"{path}.count", f"means nothing for the action {rule.action}"


def _gang(spec: ProRLJobSpec) -> Iterator[Finding]:
    scheduling = spec.scheduling
    if scheduling.gang is not Gang.NONE and scheduling.queue_name is None:
        yield "spec.scheduling.gang", f"{scheduling.gang} needs queueName"


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
    Rule(
        path="spec.failurePolicy.rules[]",
        cel="has(self.onExitCodes) != has(self.onReasons)",
        say="'exactly one of onExitCodes and onReasons must be set, found ' + "
        "(has(self.onReasons) ? 'both' : 'neither')",
        meaning="Exactly one of onExitCodes and onReasons must be set.",
        check=_one_trigger,
    ),
    Rule(
        path="spec.failurePolicy.rules[]",
        field="onExitCodes",
        cel=f"!has(self.onExitCodes) || self.onExitCodes.all(c, {_IS_KNOWN})",
        say="'no pod ends with %s'.format("
        f"[has(self.onExitCodes) ? self.onExitCodes.filter(c, !{_IS_KNOWN}) : []])",
        meaning="Exit codes of the trainer image, 2, 126, 127, or 128 and a signal (129 to 192).",
        check=_codes,
    ),
    Rule(
        path="spec.failurePolicy.rules[]",
        field="count",
        cel="!has(self.count) || self.action in ['RestartTrainers', 'ReplacePod']",
        say="'means nothing for the action ' + self.action",
        meaning="Only for RestartTrainers and ReplacePod.",
        check=_count,
    ),
    Rule(
        path="spec.scheduling",
        field="gang",
        cel="self.gang == 'None' || has(self.queueName)",
        say="self.gang + ' needs queueName'",
        meaning="Kueue needs queueName.",
        check=_gang,
    ),
)
