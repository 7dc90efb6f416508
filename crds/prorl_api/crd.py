"""The CustomResourceDefinition, made from the models: structural schema, CEL, columns."""

import hashlib
import json
from typing import Any

from prorl_api.base import GROUP, KIND, VERSION
from prorl_api.job import ProRLJob
from prorl_api.presets import GOVERNED
from prorl_api.rules import (
    IMMUTABLE,
    IMMUTABLE_MESSAGE,
    RULES,
    WHILE_SUSPENDED,
    WHILE_SUSPENDED_MESSAGE,
    suspended_cel,
    unchanged_cel,
)

Schema = dict[str, Any]

PLURAL = "prorljobs"
CRD_NAME = f"{PLURAL}.{GROUP}"
SCHEMA_ANNOTATION = f"{GROUP}/schema"
"""Tells definitions of different versions apart."""

COLUMNS = (
    ("PHASE", "string", ".status.phase", 0),
    ("STEP", "integer", ".status.progress.step", 0),
    ("REWARD", "number", ".status.progress.rewardMean", 0),
    ("REF", "integer", ".status.reference.version", 0),
    ("CKPT", "integer", ".status.checkpoint.lastStep", 0),
    ("ROLLOUT", "integer", ".status.roles.rollout.ready", 0),
    ("RESTARTS", "integer", ".status.restarts", 0),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
    ("ACCURACY", "number", ".status.progress.accuracy", 1),
    ("KL", "number", ".status.progress.kl", 1),
    ("ENTROPY", "number", ".status.progress.entropy", 1),
    ("MESSAGE", "string", '.status.conditions[?(@.type=="Progressing")].message', 1),
)


def build_crd() -> Schema:
    """The whole manifest."""
    version = _version()
    mark = hashlib.sha256(json.dumps(version, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME, "annotations": {SCHEMA_ANNOTATION: mark}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "prorljob",
                "shortNames": ["prl"],
                "categories": ["all", "training"],
            },
            "versions": [version],
        },
    }


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": build_schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.rollout.replicas",
                "statusReplicasPath": ".status.roles.rollout.ready",
                "labelSelectorPath": ".status.roles.rollout.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "priority": priority}
            for name, kind, path, priority in COLUMNS
        ],
    }


def build_schema() -> Schema:
    """Structural schema of a ProRLJob with defaults and rules."""
    raw = ProRLJob.model_json_schema(by_alias=True, mode="validation")
    root = _structural(raw, raw.get("$defs", {}))
    root["properties"]["apiVersion"] = {"type": "string"}
    root["properties"]["kind"] = {"type": "string"}
    root["properties"]["metadata"] = {"type": "object"}
    root["required"] = ["spec"]
    root["x-kubernetes-validations"] = [
        {
            "rule": "size(self.metadata.name) <= 40 && "
            "self.metadata.name.matches('^[a-z][-a-z0-9]*$')",
            "message": "metadata.name must begin with a letter and have at most 40 characters and "
            "no dot: the names of pods and Services are made from it",
        }
    ]
    _strip_defaults(root["properties"]["status"])
    for path in GOVERNED:
        _leave_to_preset(root, ["spec", *path.split(".")])
    _add_rules(root)
    _add_immutability(root)
    _let_steps_grow(root)
    for path in ("spec.data.train", "spec.data.validation.sets", "spec.verifier.remotes"):
        _node(root, path).update(_map_list("name"))
    _node(root, "status.conditions").update(_map_list("type"))
    _node(root, "status.conditions[]")["required"] = ["type", "status"]
    return root


def _map_list(key: str) -> Schema:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Inlines references, drops what Kubernetes refuses, keeps order stable."""
    node = dict(node)
    if "$ref" in node:
        target = definitions[node.pop("$ref").rsplit("/", 1)[1]]
        node = {**target, **node}
    if "anyOf" in node:
        options = [o for o in node.pop("anyOf") if o.get("type") != "null"]
        node = {**options[0], **node}
        if node.get("default", 0) is None:
            del node["default"]
        return _structural(node, definitions)
    kept = {k: v for k, v in node.items() if k in _KEEP}
    _rename(node, kept)
    _add_children(node, kept, definitions)
    if "default" in kept:
        kept["default"] = _without_nulls(kept["default"])
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept


def _rename(node: Schema, kept: Schema) -> None:
    if "const" in node:
        kept["enum"] = [node["const"]]
    for ours, theirs in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if ours in node:
            kept[theirs] = node[ours]
            kept[ours] = True
    if kept.get("type") == "integer":
        kept["format"] = "int64"


def _add_children(node: Schema, kept: Schema, definitions: dict[str, Schema]) -> None:
    if "properties" in node:
        kept["properties"] = {
            name: _structural(child, definitions) for name, child in node["properties"].items()
        }
    if isinstance(node.get("additionalProperties"), dict):
        kept["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in node:
        kept["items"] = _structural(node["items"], definitions)


def _without_nulls(value: Any) -> Any:
    """A default must be valid by the schema, where absent means none."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value


_KEEP = (
    "type", "description", "default", "enum", "format", "minimum", "maximum", "minLength",
    "maxLength", "minItems", "maxItems", "maxProperties", "pattern", "required",
    "x-kubernetes-int-or-string",
)  # fmt: skip


def _strip_defaults(node: Schema) -> None:
    """Status is written by the operator as a whole; a defaulted status would look observed."""
    node.pop("default", None)
    node.pop("required", None)
    for child in node.get("properties", {}).values():
        _strip_defaults(child)
    if "items" in node:
        _strip_defaults(node["items"])


def _leave_to_preset(root: Schema, path: list[str]) -> None:
    """Takes the default of a field away, and its part in the defaults of the blocks around it."""
    node = root
    for depth, name in enumerate(path):
        _forget(node.get("default"), path[depth:])
        node = node["properties"][name]
    node.pop("default", None)


def _forget(value: Any, path: list[str]) -> None:
    for name in path[:-1]:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value.pop(path[-1], None)


def _node(root: Schema, path: str) -> Schema:
    node = root
    for part in path.split("."):
        name = part.removesuffix("[]")
        node = node["properties"][name]
        if part.endswith("[]"):
            node = node["items"]
    return node


def _add_rules(root: Schema) -> None:
    for rule in RULES:
        entry = {"rule": rule.cel, "messageExpression": rule.say, "message": rule.meaning}
        if rule.field:
            entry["fieldPath"] = f".{rule.field}"
        _validations(_node(root, rule.path)).append(entry)


def _add_immutability(root: Schema) -> None:
    for path in IMMUTABLE:
        block, _, field = path.rpartition(".")
        _refuse(root, block, field, unchanged_cel(field), f"{path} {IMMUTABLE_MESSAGE}")
    for path in WHILE_SUSPENDED:
        field = path.removeprefix("spec.")
        _refuse(root, "spec", field, suspended_cel(field), f"{path} {WHILE_SUSPENDED_MESSAGE}")


def _refuse(root: Schema, block: str, field: str, rule: str, message: str) -> None:
    entry = {"rule": rule, "message": message, "fieldPath": f".{field}"}
    _validations(_node(root, block)).append(entry)


def _let_steps_grow(root: Schema) -> None:
    _validations(_node(root, "spec.algorithm.steps")).append(
        {
            "rule": "self >= oldSelf",
            "messageExpression": "'%d is less than the %d before: steps may only grow'"
            ".format([self, oldSelf])",
            "message": "steps may only grow",
        }
    )


def _validations(node: Schema) -> list[Schema]:
    rules: list[Schema] = node.setdefault("x-kubernetes-validations", [])
    return rules
