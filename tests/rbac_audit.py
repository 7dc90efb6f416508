"""What the operator may do according to its chart, against what the API server saw it do."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Right = tuple[str, str, str]
"""API group, resource (with subresource), verb."""
Manifest = dict[str, Any]
OPERATOR: Manifest = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:prorl-system"]},
        {"level": "None"},
    ],
}
"""An audit policy of kube-apiserver: the requests of the operator's ServiceAccount alone."""


@dataclass(kw_only=True, slots=True)
class Audit:
    """What an audit log says."""

    used: set[Right] = field(default_factory=set)
    denied: set[Right] = field(default_factory=set)


def granted(manifests: Iterable[Manifest], account: str) -> set[Right]:
    """Of the ServiceAccount, by the roles that are bound to it."""
    made = list(manifests)
    roles = {(one["kind"], one["metadata"]["name"]): one for one in made}
    return {
        right
        for one in made
        if one["kind"].endswith("RoleBinding")
        and account in {subject["name"] for subject in one["subjects"]}
        for right in _rights(roles[one["roleRef"]["kind"], one["roleRef"]["name"]])
    }


def _rights(role: Manifest) -> Iterator[Right]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from ((group, resource, verb) for verb in rule["verbs"])


def read_audit(lines: Iterable[str], account: str) -> Audit:
    """JSON lines; other accounts do not count."""
    audit = Audit()
    for line in lines:
        event = json.loads(line)
        if event["user"]["username"].endswith(f":{account}"):
            _count(event, audit)
    return audit


def _count(event: Manifest, audit: Audit) -> None:
    what = event.get("objectRef")
    if what is None:  # /version and the like, which everybody may read
        return
    code = event.get("responseStatus", {}).get("code")
    sub = f"/{what['subresource']}" if "subresource" in what else ""
    right = (what.get("apiGroup", ""), what["resource"] + sub)
    if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
        audit.denied.add((*right, event["verb"]))
        return
    audit.used.add((*right, event["verb"]))
    if event["verb"] == "patch" and code == 201:
        audit.used.add((*right, "create"))  # an apply that creates needs both
