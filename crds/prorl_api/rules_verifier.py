"""Rules over spec.verifier."""

from collections.abc import Iterator

from prorl_api.job import ProRLJobSpec
from prorl_api.rule import Finding, Rule
from prorl_api.spec_model import VerifierName

_OWN = ", ".join(f"'{name}'" for name in VerifierName)


def _remotes(spec: ProRLJobSpec) -> Iterator[Finding]:
    seen: set[str] = set()
    for i, remote in enumerate(spec.verifier.remotes):
        where = f"spec.verifier.remotes[{i}].name"
        if remote.name in tuple(VerifierName):
            yield where, f"{remote.name} is the name of a verifier that every service has"
        elif remote.name in seen:
            yield where, f"{remote.name} is used twice; every remote verifier needs its own name"
        seen.add(remote.name)


VERIFIER_RULES: tuple[Rule, ...] = (
    Rule(
        path="spec.verifier.remotes[]",
        field="name",
        cel=f"!(self.name in [{_OWN}])",
        say="self.name + ' is the name of a verifier that every service has'",
        meaning="None of the names that every service has.",
        check=_remotes,
    ),
)
