"""What is trained, and on what: spec.model and spec.data."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from prorl_api.base import ApiModel, DnsLabel, Uri

ModelUri = Annotated[
    Uri, StringConstraints(pattern=r"^(tiny://|file:///|pvc://|hf://)[A-Za-z0-9._/?=&,:+-]*$")
]
DataUri = Annotated[
    Uri,
    StringConstraints(pattern=r"^(gym://reasoning-gym/|file:///|pvc://)[A-Za-z0-9._/?=&,:+-]+$"),
]

PassK = Annotated[int, Field(ge=1, le=256)]


class Domain(StrEnum):
    """The task domains that have a verifier."""

    MATH = "math"
    LOGIC = "logic"
    STEM = "stem"
    INSTRUCTION = "instruction"


class VerifierName(StrEnum):
    """Which scorer of the verification service judges a completion."""

    MATH_VERIFY = "math-verify"
    REASONING_GYM = "reasoning-gym"
    STEM = "stem"
    INSTRUCTION = "instruction"


class ModelSpec(ApiModel):
    """The model that is trained."""

    uri: ModelUri
    """Where the initial weights are: `tiny://NAME?...` (built and warmed up on first use, for CPU),
    `file:///PATH` (a path inside the image or, in local mode, on this machine), `pvc://CLAIM/PATH`,
    or `hf://OWNER/NAME`. Remote code is never run."""
    revision: Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9._/-]*$")] = ""
    """Git revision of an `hf://` model (a full hash pins it); empty means the default branch."""


class DataSet(ApiModel):
    """One source of prompts with verifiable answers."""

    name: DnsLabel
    """Unique name; metrics carry it."""
    domain: Domain
    """The task domain; rewards are reported per domain."""
    uri: DataUri
    """`gym://reasoning-gym/DATASET?size=N&seed=N&option=value` generates items,
    `file:///PATH.jsonl`, `file:///PATH.parquet` or `pvc://CLAIM/PATH` reads rows with the columns
    `prompt` and `answer`."""
    verifier: VerifierName | None = None
    """The scorer. Default: `reasoning-gym` for `gym://` and logic, `math-verify` for math, `stem`
    and `instruction` for those. docs/verifiers.md says what each takes for an answer."""
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Share of the prompts, relative to the other sets."""


class ValidationSpec(ApiModel):
    """Held-out accuracy while training."""

    every_steps: Annotated[int, Field(ge=1, le=100_000)] = 50
    """RL steps between two evaluations; step 0 and the last step are always evaluated."""
    samples_per_prompt: Annotated[int, Field(ge=1, le=256)] = 1
    """Completions per held-out prompt, at the training temperature."""
    pass_k: Annotated[list[PassK], Field(min_length=1, max_length=8)] | None = None
    """The k of the pass@k that are reported; each at most samplesPerPrompt. Absent means 1 and
    samplesPerPrompt."""
    sets: Annotated[list[DataSet], Field(min_length=1, max_length=32)]
    """Held-out sets. A `gym://` set must not overlap a training set of the same dataset: space the
    seeds by more than the sizes."""

    @property
    def pass_ks(self) -> tuple[int, ...]:
        """The k in force, ascending."""
        return tuple(
            sorted({1, self.samples_per_prompt} if self.pass_k is None else set(self.pass_k))
        )


class DataSpec(ApiModel):
    """Training and held-out prompts."""

    train: Annotated[list[DataSet], Field(min_length=1, max_length=32)]
    """Training sets, mixed by weight."""
    validation: ValidationSpec | None = None
    """Held-out evaluation; absent means none."""
