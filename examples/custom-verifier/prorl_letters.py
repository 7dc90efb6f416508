"""The verifier `letters`: a word earns the share of its letters that stand in their place."""

from typing import Any

from prorl_verifier.plugin import Verdict


def verify(completion: str, answer: Any, meta: dict[str, Any]) -> Verdict:
    """`answer` is the right word. Letters that are missing or too many count as wrong."""
    if not isinstance(answer, str) or not answer:
        raise ValueError(f"answer: {answer!r}, must be a word")
    said = completion.strip()
    right = sum(a == b for a, b in zip(said, answer, strict=False))
    length = max(len(said), len(answer))
    return Verdict(right / length, f"{right} of {length} letters")
