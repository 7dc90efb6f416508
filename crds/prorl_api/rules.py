"""Rules over several fields: one list, evaluated as CEL at admission and in Python offline.

`path` is where the rule sits in the schema, and `cel` sees that node as `self`. `say` is CEL for
the message. `check` gives the same messages for a parsed spec, each with the field to blame.
"""

import re
from collections.abc import Callable, Iterator

from pydantic.alias_generators import to_camel

from prorl_api.base import ApiModel
from prorl_api.job import ProRLJobSpec
from prorl_api.rule import Finding, Rule
from prorl_api.rules_algorithm import ALGORITHM_RULES
from prorl_api.rules_data import DATA_RULES
from prorl_api.rules_lifecycle import LIFECYCLE_RULES
from prorl_api.rules_run import RUN_RULES
from prorl_api.rules_verifier import VERIFIER_RULES
from prorl_api.safe_path import SAFE_CEL, SAFE_MEANING, SAFE_SAY, unsafe
from prorl_api.spec_algorithm import AlgorithmSpec
from prorl_api.spec_lifecycle import LIVE_CHECKPOINT, CheckpointSpec
from prorl_api.spec_reset import ReferenceResetSpec
from prorl_api.spec_roles import (
    LABEL_KEY_PATTERN,
    PodSpec,
    Role,
    RolloutSpec,
    TrainerSpec,
    VerifierSpec,
)


def _min_replicas(spec: ProRLJobSpec) -> Iterator[Finding]:
    least, replicas = spec.rollout.min_replicas, spec.rollout.replicas
    if least > replicas:
        yield "spec.rollout.minReplicas", f"{least} is more than spec.rollout.replicas {replicas}"


def _revision(spec: ProRLJobSpec) -> Iterator[Finding]:
    if spec.model.revision and not spec.model.uri.startswith("hf://"):
        yield "spec.model.revision", f"only hf:// models have one; uri is {spec.model.uri}"


def _model_path(spec: ProRLJobSpec) -> Iterator[Finding]:
    if message := unsafe(spec.model.uri):
        yield "spec.model.uri", message


def _export_path(spec: ProRLJobSpec) -> Iterator[Finding]:
    if spec.export is not None and (message := unsafe(spec.export.uri)):
        yield "spec.export.uri", message


def _storage(spec: ProRLJobSpec) -> Iterator[Finding]:
    pvc = spec.checkpoint.storage.pvc
    if (pvc.claim_name is None) == (pvc.size is None):
        found = "neither" if pvc.size is None else "both"
        yield (
            "spec.checkpoint.storage.pvc",
            f"exactly one of claimName and size must be set, found {found}",
        )


def _storage_class(spec: ProRLJobSpec) -> Iterator[Finding]:
    pvc = spec.checkpoint.storage.pvc
    if pvc.storage_class is not None and pvc.size is None:
        yield (
            "spec.checkpoint.storage.pvc.storageClass",
            f"{pvc.storage_class} needs size: an existing claim has its class",
        )


def _label_keys(role: str) -> Callable[[ProRLJobSpec], Iterator[Finding]]:
    def check(spec: ProRLJobSpec) -> Iterator[Finding]:
        pod: PodSpec = getattr(spec, role).pod
        for key in pod.node_selector:
            if len(key) > 317 or not re.search(LABEL_KEY_PATTERN, key):
                yield f"spec.{role}.pod.nodeSelector", f"{key[:60]} is not a label key"

    return check


RULES: tuple[Rule, ...] = (
    *ALGORITHM_RULES,
    *DATA_RULES,
    *LIFECYCLE_RULES,
    *RUN_RULES,
    *VERIFIER_RULES,
    Rule(
        path="spec.rollout",
        field="minReplicas",
        cel="self.minReplicas <= self.replicas",
        say="'%d is more than spec.rollout.replicas %d'.format([self.minReplicas, self.replicas])",
        meaning="At most spec.rollout.replicas.",
        check=_min_replicas,
    ),
    Rule(
        path="spec.model",
        field="revision",
        cel="self.revision == '' || self.uri.startsWith('hf://')",
        say="'only hf:// models have one; uri is ' + self.uri",
        meaning="Only hf:// models have a revision.",
        check=_revision,
    ),
    *(
        Rule(path=path, field="uri", cel=SAFE_CEL, say=SAFE_SAY, meaning=SAFE_MEANING, check=check)
        for path, check in (("spec.model", _model_path), ("spec.export", _export_path))
    ),
    Rule(
        path="spec.checkpoint.storage.pvc",
        cel="has(self.claimName) != has(self.size)",
        say="'exactly one of claimName and size must be set, found ' + "
        "(has(self.size) ? 'both' : 'neither')",
        meaning="Exactly one of claimName and size must be set.",
        check=_storage,
    ),
    Rule(
        path="spec.checkpoint.storage.pvc",
        field="storageClass",
        cel="!has(self.storageClass) || has(self.size)",
        say="self.storageClass + ' needs size: an existing claim has its class'",
        meaning="Needs size: an existing claim has its class.",
        check=_storage_class,
    ),
    *(
        Rule(
            path=f"spec.{role}.pod",
            field="nodeSelector",
            cel="self.nodeSelector.all(k, size(k) <= 317 && k.matches('"
            + LABEL_KEY_PATTERN
            + "'))",
            say="'has a key that is not a label key'",
            meaning="Keys are label keys.",
            check=_label_keys(role),
        )
        for role in ("coordinator", "trainer", "rollout", "verifier")
    ),
)


def _but(path: str, block: type[ApiModel], *mutable: str) -> tuple[str, ...]:
    names = (name for name in block.model_fields if name not in mutable)
    return tuple(f"{path}.{to_camel(name)}" for name in names)


IMMUTABLE = (
    "spec.managedBy", "spec.image", "spec.gpuResourceName", "spec.model", "spec.data",
    "spec.network",
    *_but("spec.algorithm", AlgorithmSpec, "steps"),
    *_but("spec.trainer", TrainerSpec, "pod"),
    *_but("spec.rollout", RolloutSpec, "replicas", "pod"),
    *_but("spec.verifier", VerifierSpec, "pod"),
    *_but("spec.checkpoint", CheckpointSpec, *LIVE_CHECKPOINT),
    *_but("spec.referenceReset", ReferenceResetSpec, "request_token"),
)  # fmt: skip
"""Refused at updates: a run's result would depend on when it was changed."""

MUTABLE = (
    "spec.suspend", "spec.rollout.replicas", "spec.guard", "spec.runPolicy",
    "spec.failurePolicy", "spec.export", "spec.tracking", "spec.algorithm.steps",
    *(f"spec.checkpoint.{to_camel(name)}" for name in LIVE_CHECKPOINT),
    "spec.referenceReset.requestToken",
)  # fmt: skip
"""All others. The steps may only grow: fewer could already have been made."""

WHILE_SUSPENDED = ("spec.scheduling", *(f"spec.{role}.pod" for role in Role))
"""May change while spec.suspend is true, or in the update that makes it so or ends it."""
WHILE_SUSPENDED_MESSAGE = "may change only while spec.suspend is true"

IMMUTABLE_MESSAGE = (
    f"is immutable: only {', '.join(MUTABLE)} may change, and {', '.join(WHILE_SUSPENDED)} while "
    "spec.suspend is true; delete the job and create it anew (checkpoints stay)"
)


def unchanged_cel(field: str) -> str:
    """CEL of a block: the field is as it was. A rule at the field itself would not see it appear or
    disappear."""
    new, old = f"self.{field}", f"oldSelf.{field}"
    return f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"


def suspended_cel(field: str) -> str:
    """CEL of spec: the field is as it was, unless the job is suspended, or was until now."""
    return f"self.suspend || oldSelf.suspend || ({unchanged_cel(field)})"


def broken_rules(spec: ProRLJobSpec) -> list[Finding]:
    """What the spec breaks, in the order of RULES."""
    return [finding for rule in RULES for finding in rule.check(spec)]
