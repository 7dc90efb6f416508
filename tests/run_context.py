"""The context of a run by hand, of the least job."""

from pathlib import Path
from typing import Any

from prorl_api.job import ProRLJobSpec
from prorl_api.wire import JobDocument
from prorl_trainer.context import Context

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}


def make_context(directory: Path, spec: ProRLJobSpec | None = None) -> Context:
    """Of a run by hand."""
    least = {"model": {"uri": "tiny://llama"}, "data": {"train": [SET]}}
    spec = spec or ProRLJobSpec.model_validate(least)
    return Context(
        local=True, attempt=None, directory=directory, host="", port=0, node_ip="",
        job=JobDocument(name="j", namespace="n", uid="u", spec=spec, hash="h"),
        api_token="", ray_token="", verifier_token="", verifier_url=None,
        termination_file=directory / "termination.json",
    )  # fmt: skip
