"""The audit of rights counts what was used and what was refused."""

import json
from typing import Any

from rbac_audit import granted, read_audit


def _event(verb: str, resource: str, **fields: Any) -> str:
    event = {
        "user": {"username": "system:serviceaccount:prorl-system:op"},
        "verb": verb,
        "requestURI": f"/api/v1/{resource}",
        "objectRef": {"resource": resource},
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return json.dumps(event | fields)


def test_an_apply_that_creates_uses_two_rights() -> None:
    created = _event("patch", "secrets", responseStatus={"code": 201})
    audit = read_audit([created, _event("patch", "services")], "op")
    assert audit.used == {("", "secrets", "patch"), ("", "secrets", "create")} | {
        ("", "services", "patch")
    }


def test_only_what_the_authorizer_refuses_is_denied() -> None:
    """Admission refuses with the same code."""
    by_rbac = _event("list", "nodes", annotations={"authorization.k8s.io/decision": "forbid"})
    by_quota = _event("create", "pods", responseStatus={"code": 403})
    audit = read_audit([by_rbac, by_quota], "op")
    assert audit.denied == {("", "nodes", "list")}
    assert audit.used == {("", "pods", "create")}


def test_requests_of_others_and_for_no_object_do_not_count() -> None:
    other = _event("list", "secrets", user={"username": "system:serviceaccount:prorl-system:x"})
    version = _event("get", "version", objectRef=None)
    audit = read_audit([other, version], "op")
    assert (audit.used, audit.denied) == (set(), set())


def test_rights_are_those_of_bound_roles_with_their_groups_and_subresources() -> None:
    def role(name: str, *rules: Any) -> dict[str, Any]:
        return {"kind": "Role", "metadata": {"name": name}, "rules": list(rules)}

    rule = {"apiGroups": ["g"], "resources": ["a", "a/status"], "verbs": ["get"]}
    binding = {
        "kind": "RoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "Role", "name": "bound"},
        "subjects": [{"name": "op"}],
    }
    manifests = [role("bound", rule), role("free", rule | {"verbs": ["*"]}), binding]
    assert granted(manifests, "op") == {("g", "a", "get"), ("g", "a/status", "get")}
    assert granted(manifests, "other") == set()
