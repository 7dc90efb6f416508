"""A pod of no job, as Pod Security `restricted` lets it in."""

from collections.abc import Sequence
from typing import Any

Manifest = dict[str, Any]


def plain_pod(name: str, image: str, command: Sequence[str] = (), **spec: Any) -> Manifest:
    """Without a command the image's own runs. `spec`: what else its spec has."""
    secure = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": image, "command": list(command)}
    container["securityContext"] = secure
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": spec | {"containers": [container]},
    }
