"""The OpenAPI schemas of eight Kubernetes versions, cut to the kinds that we write.

    python -m cluster.schemas    takes what is missing from the Go modules k8s.io/kubernetes

They are kept outside of the clone. The checksum database of Go vouches for the modules.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

VERSIONS = ("1.30.0", "1.31.0", "1.32.0", "1.33.0", "1.34.4", "1.35.0", "1.36.0", "1.37.0")
KINDS = {
    "apps/v1": ("Deployment",),
    "batch/v1": ("Job",),
    "v1": (
        "Pod", "Secret", "Service", "ServiceAccount", "ConfigMap", "PersistentVolumeClaim",
    ),
    "rbac.authorization.k8s.io/v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "policy/v1": ("PodDisruptionBudget",),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
}  # fmt: skip
REF = "#/definitions/"
Schema = dict[str, Any]


def missing() -> str | None:
    """Why there is nothing to validate with, or None."""
    absent = [version for version in VERSIONS if not _path(version).exists()]
    return (
        f"no schemas of Kubernetes {', '.join(absent)}: run `make cluster-deps`" if absent else None
    )


def build() -> None:
    """Raises CalledProcessError; what go said is on stderr."""
    for version in VERSIONS:
        if not _path(version).exists():
            print(f"==> schemas of Kubernetes {version}", flush=True)
            _path(version).parent.mkdir(parents=True, exist_ok=True)
            part = _path(version).with_suffix(".part")
            part.write_text(json.dumps(cut(_fetch(version))))
            part.rename(_path(version))


def faults(manifest: Schema, version: str) -> list[str]:
    """What the version's schema has against it: unknown fields, wrong types, missing fields."""
    validator = _validator(version, manifest["apiVersion"], manifest["kind"])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def cut(swagger: Schema) -> Schema:
    """The definitions that KINDS need, as strict JSON Schema."""
    found = swagger["definitions"]
    kept: Schema = {}
    todo = [_name_of(found, api, kind) for api, kinds in KINDS.items() for kind in kinds]
    while todo:
        name = todo.pop()
        if name not in kept:
            kept[name] = _strict(found[name], name)
            todo += re.findall(rf'"{REF}([^"]+)"', json.dumps(kept[name]))
    return kept


def _strict(schema: Schema, name: str) -> Schema:
    """Swagger 2 does not say that a quantity may be a number and an unknown field is refused."""
    if schema.get("format") == "int-or-string" or name.endswith("api.resource.Quantity"):
        return {"type": ["string", "number"]}
    if name.endswith("JSONSchemaPropsOrArray") or name.endswith("JSONSchemaPropsOrBool"):
        return {}
    schema = json.loads(json.dumps(schema))
    if "properties" in schema:
        schema["additionalProperties"] = False
    for part in schema.get("properties", {}).values():
        part.pop("description", None)
    schema.pop("description", None)
    return dict(schema)


def _name_of(definitions: Schema, api: str, kind: str) -> str:
    group, _, version = api.rpartition("/")
    wanted = {"group": group, "version": version, "kind": kind}
    key = "x-kubernetes-group-version-kind"
    return next(name for name, one in definitions.items() if wanted in one.get(key, []))


@cache
def _validator(version: str, api: str, kind: str) -> Draft7Validator:
    definitions = _definitions(version)
    return Draft7Validator(
        {"$ref": REF + _name_of(definitions, api, kind), "definitions": definitions}
    )


@cache
def _definitions(version: str) -> Schema:
    return dict(json.loads(_path(version).read_text()))


def _fetch(version: str) -> Schema:
    with tempfile.TemporaryDirectory(prefix="prorl-schemas-") as folder:
        environment = os.environ | {"GOMODCACHE": folder, "GOFLAGS": "-modcacherw"}
        command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"]
        done = subprocess.run(command, cwd="/", env=environment, check=True, stdout=subprocess.PIPE)
        module = Path(json.loads(done.stdout)["Dir"])
        return dict(json.loads((module / "api" / "openapi-spec" / "swagger.json").read_text()))


def _path(version: str) -> Path:
    cache_dir = Path(os.environ.get("PRORL_CACHE") or Path.home() / ".cache" / "prorl")
    mark = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return cache_dir / f"schemas-{mark}" / f"kubernetes-{version}.json"


if __name__ == "__main__":
    build()
