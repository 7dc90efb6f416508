"""spec.failurePolicy: which rule decides about the end of a pod."""

from collections.abc import Sequence

from prorl_api.spec_failure import FailureRule

from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.last_word import parse_termination
from prorl_operator.plan.observed import PodView


def find_rule(
    pod: PodView, disruption: Disruption | None, rules: Sequence[FailureRule]
) -> FailureRule | None:
    """The first that matches. `disruption`: what has taken the pod."""
    return next((rule for rule in rules if _matches(rule, pod, disruption)), None)


def _matches(rule: FailureRule, pod: PodView, disruption: Disruption | None) -> bool:
    if rule.roles and pod.slot.role not in rule.roles:
        return False
    if rule.on_exit_codes is not None:
        return disruption is None and pod.exit_code in rule.on_exit_codes
    reasons = {disruption} if disruption else {pod.exit_reason, parse_termination(pod).reason}
    return not reasons.isdisjoint(rule.on_reasons or ())
