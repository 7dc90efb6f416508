"""Offline verdicts: the admission table, texts that are no manifest, and anything at all."""

from typing import Any

import pytest
from admission_cases import CASES, Case
from hypothesis import given
from hypothesis import strategies as st
from manifests import manifest
from prorl_api.validate import validate_manifest, validate_text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_verdict_and_field_of_the_admission_table(case: Case) -> None:
    problems = validate_manifest(case.manifest)
    if case.refused_at is None:
        assert problems == []
    else:
        assert any(problem.path.startswith(case.refused_at) for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("", "file", "has 0 documents"),
        ("a: 1\n---\nb: 2", "file", "has 2 documents"),
        ("- 1", "file", "must be a mapping"),
        ("{{", "file", "not YAML"),
        ("a: 1\na: 2", "file", "'a' is given twice"),
        ("kind: ProRLJob", "apiVersion", "must be prorl.dev/v1alpha1"),
        ("apiVersion: prorl.dev/v1alpha1\nkind: Job", "kind", "'Job', must be ProRLJob"),
        ("apiVersion: prorl.dev/v1alpha1\nkind: ProRLJob", "metadata", "must be a mapping"),
        ("[" * 5000, "file", "too deeply"),
    ],
)
def test_a_text_that_is_no_job_has_one_problem(text: str, path: str, message: str) -> None:
    (problem,) = validate_text(text)
    assert problem.path == path
    assert message in problem.message


HEAD = "apiVersion: prorl.dev/v1alpha1\nkind: ProRLJob\nmetadata: {name: x}\nspec:\n"
DATA = "  data: {train: [{name: a, domain: logic, uri: 'gym://reasoning-gym/x'}]}\n"
MODEL = "  model: {uri: 'tiny://llama'}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  algorithm: {kl: {clamp: 1e999}}", "spec.algorithm.kl.clamp: inf: must be a finite"),
        ("  algorithm: {kl: {clamp: .nan}}", "spec.algorithm.kl.clamp: nan: must be a finite"),
        ("  algoritm: {}", "spec.algoritm: unknown field; did you mean algorithm?"),
        ("  algorithm: &a {kl: *a}", "file: nested too deeply, or a value that contains itself"),
        (
            '  image: "\\ud800"',
            "spec.image: '\\ud800': must be Unicode text without lone surrogates",
        ),
        (
            "  rollout: {minReplicas: 3, replicas: 2}",
            "spec.rollout.minReplicas: 3 is more than spec.rollout.replicas 2",
        ),
    ],
)
def test_a_wrong_line_is_named_with_its_value(line: str, message: str) -> None:
    (problem, *_) = validate_text(f"{HEAD}{MODEL}{DATA}{line}\n")
    assert str(problem).startswith(message)


def test_metadata_is_checked_as_admission_does() -> None:
    text = f"{HEAD}{MODEL}{DATA}".replace("{name: x}", "{name: x, labels: {a: 1}, anotations: {}}")
    assert [str(problem) for problem in validate_text(text)] == [
        "metadata.anotations: unknown field; did you mean annotations?",
        "metadata.labels.a: 1: must be a text",
    ]


def test_aliases_that_stand_for_billions_of_values_are_refused_at_once() -> None:
    lines = ["  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (problem,) = validate_text(HEAD + "\n".join(lines))
    assert str(problem).startswith("file: has more than 100000 values")


def test_numbers_are_read_as_kubectl_reads_them() -> None:
    line = "  algorithm: {learningRate: 1e-6, steps: 5.0}"
    assert validate_text(f"{HEAD}{MODEL}{DATA}{line}") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
BLOCKS = st.sampled_from(["model", "data", "algorithm", "rollout", "checkpoint", "image", "x"])


@given(JSON)
def test_never_raises_on_any_document(value: Any) -> None:
    validate_manifest(value)


@given(st.dictionaries(BLOCKS, JSON, max_size=4))
def test_never_raises_on_any_spec(spec: dict[str, Any]) -> None:
    validate_manifest(manifest() | {"spec": spec})


@given(st.text())
def test_never_raises_on_any_text(text: str) -> None:
    validate_text(text)
