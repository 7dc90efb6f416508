"""What is generated agrees with the models, and with what the API server asks of a schema."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from admission_cases import CASES, Case
from prorl_api.crd import build_schema
from prorl_api.validate import read_manifest

ROOT = Path(__file__).parents[2]


def _nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from _nodes(node[key], f"{path}[]")


def test_generated_files_are_current() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "prorl_api.generate", "--check"],
        cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "crds")},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_text_list_and_map_of_the_spec_is_bounded() -> None:
    spec = build_schema()["properties"]["spec"]
    limits = {"string": "maxLength", "array": "maxItems"}
    for path, node in _nodes(spec):
        limit = limits.get(node.get("type", ""))
        assert limit is None or limit in node or "enum" in node, path
        assert "additionalProperties" not in node or "maxProperties" in node, path


def _draft4(node: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0 is read as JSON schema draft 4, where nothing unknown is allowed."""
    node = dict(node)
    if "properties" in node:
        node["properties"] = {k: _draft4(v) for k, v in node["properties"].items()}
        node.setdefault("additionalProperties", False)
    if "items" in node:
        node["items"] = _draft4(node["items"])
    if node.pop("x-kubernetes-int-or-string", False):
        node["type"] = ["integer", "string"]
    return node


WITH_SPEC = [c for c in CASES if (c.refused_at or "spec.").startswith("spec.")]


@pytest.mark.parametrize("case", WITH_SPEC, ids=lambda case: case.id)
def test_the_schema_and_the_models_agree_before_the_rules(case: Case) -> None:
    spec = case.manifest["spec"]
    plain = {k: v for k, v in spec.items() if v is not None}
    schema = _draft4(build_schema()["properties"]["spec"])
    errors = list(jsonschema.Draft4Validator(schema).iter_errors(plain))
    parsed = read_manifest(case.manifest)
    assert bool(errors) == isinstance(parsed, list), (json.dumps(plain), errors, parsed)
