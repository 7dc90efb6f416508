"""Paths in URIs stay below where they begin, and a claim in a URI is one of the job's namespace."""

import re

CLIMBS = "(?i)(/|%2f)([.]|%2e){2}(/|%2f|[?]|$)"
"""A `..`, written in whatever way."""
CLAIM = "^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?$"

SAFE_CEL = (
    f"!self.uri.matches('{CLIMBS}') && "
    f"(!self.uri.startsWith('pvc://') || self.uri.matches('{CLAIM}'))"
)
SAFE_SAY = "'must have no `..`, and pvc:// the name of a claim; uri is ' + self.uri"
SAFE_MEANING = "A URI has no `..` in its path, and pvc:// is followed by the name of a claim."


def unsafe(uri: str) -> str | None:
    """What is wrong with the URI, or None."""
    is_claim = not uri.startswith("pvc://") or re.search(CLAIM, uri)
    if is_claim and not re.search(CLIMBS, uri):
        return None
    return f"must have no `..`, and pvc:// the name of a claim; uri is {uri}"
