"""Rules over the fields of a data set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prorl_api.job import ProRLJobSpec
from prorl_api.rule import Finding, Rule
from prorl_api.safe_path import SAFE_CEL, SAFE_MEANING, SAFE_SAY, unsafe
from prorl_api.spec_model import ChatTemplate, ColumnsSpec, DataSet, Domain, Layout, VerifierName

ROWS_ONLY = (VerifierName.INSTRUCTION, VerifierName.CODE)
"""Verifiers whose answers no generator makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _SetRule:
    """A rule over one data set; it stands at both lists of them."""

    field: str
    cel: str
    say: str
    meaning: str
    find: Callable[[DataSet], str | None]
    """The message, None where all is well."""


def _has_scheme(dataset: DataSet, *schemes: str) -> bool:
    return dataset.uri.startswith(tuple(f"{scheme}://" for scheme in schemes))


def _verifier(dataset: DataSet) -> str | None:
    if _has_scheme(dataset, "gym"):
        scorable = dataset.verifier not in ROWS_ONLY
    elif dataset.verifier is not None:
        scorable = dataset.verifier != VerifierName.REASONING_GYM
    else:
        scorable = dataset.domain is not Domain.LOGIC
    if scorable:
        return None
    return (
        "reasoning-gym scores only gym:// data, instruction and code only rows of files; "
        f"uri is {dataset.uri}"
    )


def _uri(dataset: DataSet) -> str | None:
    path = dataset.uri.partition("?")[0]
    if _has_scheme(dataset, "gym") or path.endswith((".jsonl", ".parquet")):
        return None
    return f"rows are read from .jsonl and .parquet; uri is {dataset.uri}"


def _revision(dataset: DataSet) -> str | None:
    if bool(dataset.revision) == _has_scheme(dataset, "hf"):
        return None
    return f"hf:// data, and no other, needs a commit hash of 40 hex digits; uri is {dataset.uri}"


def _sha256(dataset: DataSet) -> str | None:
    wrong = ("gym", "hf") if dataset.sha256 else ("http",)
    if not _has_scheme(dataset, *wrong):
        return None
    return f"http:// data needs one, gym:// and hf:// data have none; uri is {dataset.uri}"


def _columns(dataset: DataSet) -> str | None:
    chosen = dataset.layout is not Layout.PRORL or dataset.columns != ColumnsSpec()
    if chosen and _has_scheme(dataset, "gym"):
        return f"gym:// data has no columns; uri is {dataset.uri}"
    return None


def _system_prompt(dataset: DataSet) -> str | None:
    if dataset.system_prompt and dataset.chat_template is ChatTemplate.NONE:
        return "needs chatTemplate Auto: without a template there are no messages"
    return None


_SET_RULES = (
    _SetRule(
        field="verifier",
        cel="self.uri.startsWith('gym://') ? "
        "!has(self.verifier) || !(self.verifier in ['instruction', 'code']) : "
        "(has(self.verifier) ? self.verifier != 'reasoning-gym' : self.domain != 'logic')",
        say="'reasoning-gym scores only gym:// data, instruction and code only rows of files; "
        "uri is ' + self.uri",
        meaning="Verifier reasoning-gym (the default for domain logic) needs gym:// data, "
        "instruction and code need rows of files.",
        find=_verifier,
    ),
    _SetRule(
        field="uri",
        cel="self.uri.startsWith('gym://') || "
        "self.uri.matches('^[^?]*[.](jsonl|parquet)([?].*)?$')",
        say="'rows are read from .jsonl and .parquet; uri is ' + self.uri",
        meaning="Rows are read from .jsonl and .parquet.",
        find=_uri,
    ),
    _SetRule(
        field="uri",
        cel=SAFE_CEL,
        say=SAFE_SAY,
        meaning=SAFE_MEANING,
        find=lambda dataset: unsafe(dataset.uri),
    ),
    _SetRule(
        field="revision",
        cel="(self.revision != '') == self.uri.startsWith('hf://')",
        say="'hf:// data, and no other, needs a commit hash of 40 hex digits; uri is ' + self.uri",
        meaning="hf:// data, and no other, needs a commit hash.",
        find=_revision,
    ),
    _SetRule(
        field="sha256",
        cel="self.sha256 == '' ? !self.uri.startsWith('http://') : "
        "!self.uri.startsWith('gym://') && !self.uri.startsWith('hf://')",
        say="'http:// data needs one, gym:// and hf:// data have none; uri is ' + self.uri",
        meaning="http:// data needs one, gym:// and hf:// data have none.",
        find=_sha256,
    ),
    _SetRule(
        field="layout",
        cel="!self.uri.startsWith('gym://') || (self.layout == 'prorl' && "
        "!has(self.columns.prompt) && !has(self.columns.answer) && "
        "size(self.columns.meta) == 0)",
        say="'gym:// data has no columns; uri is ' + self.uri",
        meaning="gym:// data has no columns.",
        find=_columns,
    ),
    _SetRule(
        field="systemPrompt",
        cel="self.systemPrompt == '' || self.chatTemplate != 'None'",
        say="'needs chatTemplate Auto: without a template there are no messages'",
        meaning="Needs chatTemplate Auto.",
        find=_system_prompt,
    ),
)


def _sets(spec: ProRLJobSpec) -> dict[str, list[DataSet]]:
    held_out = spec.data.validation.sets if spec.data.validation else []
    return {"spec.data.train": spec.data.train, "spec.data.validation.sets": held_out}


def _rule(path: str, rule: _SetRule) -> Rule:
    def check(spec: ProRLJobSpec) -> Iterator[Finding]:
        for i, dataset in enumerate(_sets(spec)[path]):
            message = rule.find(dataset)
            if message is not None:
                yield f"{path}[{i}].{rule.field}", message

    return Rule(
        path=f"{path}[]",
        field=rule.field,
        cel=rule.cel,
        say=rule.say,
        meaning=rule.meaning,
        check=check,
    )


def _names(spec: ProRLJobSpec) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, sets in _sets(spec).items():
        for i, dataset in enumerate(sets):
            if dataset.name in seen:
                yield (
                    f"{path}[{i}].name",
                    f"{dataset.name} is used twice; every set needs its own name",
                )
            seen.add(dataset.name)


DATA_RULES: tuple[Rule, ...] = (
    *(
        _rule(path, rule)
        for path in ("spec.data.train", "spec.data.validation.sets")
        for rule in _SET_RULES
    ),
    Rule(
        path="spec.data",
        cel="!has(self.validation) || "
        "self.validation.sets.all(v, !self.train.exists(t, t.name == v.name))",
        say="'a set of validation is named like one of train; every set needs its own name'",
        meaning="Names are unique over all training and validation sets.",
        check=_names,
    ),
)
