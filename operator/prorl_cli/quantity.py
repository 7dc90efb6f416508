"""Kubernetes quantities as bytes, and bytes as text."""

import re

from prorl_api.base import QUANTITY_PATTERN

_FACTORS = {
    "m": 1e-3, "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def parse_quantity(text: str) -> int:
    """`80Gi` -> bytes. Raises ValueError."""
    match = re.fullmatch(QUANTITY_PATTERN, text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity such as 80Gi")
    whole, fraction, suffix = match.groups()
    return int(float(whole + (fraction or "")) * _FACTORS[suffix or ""])


def gib(size_bytes: float) -> str:
    """`12.34 GiB`; small sizes in MiB or KiB."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if size_bytes >= 0.1 * size:
            return f"{size_bytes / size:.2f} {unit}"
    return f"{size_bytes / 2**10:.2f} KiB"
