"""Who may talk to the job's pods: spec.network."""

from enum import StrEnum

from prorl_api.base import ApiModel


class NetworkPolicyKind(StrEnum):
    """Which NetworkPolicies are made for the job."""

    ISOLATED = "Isolated"
    """Ray's ports are for the job's pods only, and verifiers cannot reach anything, unless
    verifier.remotes are to be asked. Needs a network plug-in that enforces NetworkPolicies."""
    NONE = "None"
    """None; for clusters whose own policies say it all."""


class NetworkSpec(ApiModel):
    """The network of the job's pods."""

    policy: NetworkPolicyKind = NetworkPolicyKind.ISOLATED
