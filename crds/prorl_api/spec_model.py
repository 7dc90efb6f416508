"""What is trained, and on what: spec.model and spec.data."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from prorl_api.base import ApiModel, DnsLabel, SecretName, Uri

ModelUri = Annotated[
    Uri, StringConstraints(pattern=r"^(tiny://|file:///|pvc://|hf://)[A-Za-z0-9._/?=&,:+-]*$")
]
DataUri = Annotated[
    Uri,
    StringConstraints(
        pattern=r"^(gym://reasoning-gym/|file:///|pvc://|https?://|s3://|hf://datasets/)"
        r"[A-Za-z0-9._/?=&,:+%*~@-]+$"
    ),
]
ColumnPath = Annotated[str, StringConstraints(max_length=253, pattern=r"^[^.]+(\.[^.]+)*$")]
"""A column, or a field inside it: `reward_model.ground_truth`."""

PassK = Annotated[int, Field(ge=1, le=256)]


ColumnName = Annotated[str, StringConstraints(max_length=253, pattern=r"^[^.]+$")]


class Domain(StrEnum):
    """The task domains that have a verifier."""

    MATH = "math"
    LOGIC = "logic"
    STEM = "stem"
    INSTRUCTION = "instruction"
    CODE = "code"


class VerifierName(StrEnum):
    """The verifiers that every verification service has."""

    MATH_VERIFY = "math-verify"
    REASONING_GYM = "reasoning-gym"
    STEM = "stem"
    INSTRUCTION = "instruction"
    CODE = "code"


class Layout(StrEnum):
    """Which columns of a file are prompt and answer."""

    PRORL = "prorl"
    """`prompt` and `answer`."""
    VERL = "verl"
    """`prompt` and `reward_model.ground_truth`."""
    TRL = "trl"
    """`prompt` and `solution`."""


class ChatTemplate(StrEnum):
    """What happens to a prompt before the model reads it."""

    AUTO = "Auto"
    """The tokenizer's chat template where it has one."""
    NONE = "None"
    """Nothing: the text is continued as it is."""


class OnOverlap(StrEnum):
    """What happens to held-out prompts that also occur in training."""

    REFUSE = "Refuse"
    DROP = "Drop"


class ColumnsSpec(ApiModel):
    """Columns that are named otherwise than the layout says; dots go into objects."""

    prompt: ColumnPath | None = None
    """A text, or a list of messages with `role` and `content`."""
    answer: ColumnPath | None = None
    """What the verifier compares with (docs/verifiers.md); code and instruction take it as JSON
    text too."""
    meta: Annotated[list[ColumnName], Field(max_length=32)] = []
    """Columns that a custom verifier gets as `meta`, by their names: `[data_source, extra_info]`
    for a reward function of verl."""


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
    """`gym://reasoning-gym/DATASET?size=N&seed=N&option=value` generates items. Rows are read from
    .jsonl and .parquet: `file:///PATH`, `pvc://CLAIM/PATH`, `https://HOST/PATH`, `s3://BUCKET/KEY`,
    `hf://datasets/OWNER/NAME/PATH` (`*` in PATH stands for several files), and `http://` with a
    sha256. docs/data.md says more."""
    revision: Annotated[str, StringConstraints(max_length=40, pattern=r"^([0-9a-f]{40})?$")] = ""
    """Full commit hash of an `hf://` data set, which needs one: a branch would move."""
    sha256: Annotated[str, StringConstraints(max_length=64, pattern=r"^([0-9a-f]{64})?$")] = ""
    """Hash of the file, checked at every start."""
    layout: Layout = Layout.PRORL
    """Where prompt and answer are in a row: prorl has `prompt` and `answer`, verl `prompt` and
    `reward_model.ground_truth`, trl `prompt` and `solution`."""
    columns: ColumnsSpec = ColumnsSpec()
    """Other columns than those of the layout."""
    system_prompt: Annotated[str, StringConstraints(max_length=8192)] = ""
    """A system message before every prompt; needs a chat template."""
    chat_template: ChatTemplate = ChatTemplate.AUTO
    """Auto: a text becomes the message of a user where the tokenizer has a chat template. None: it
    is continued as it is, and chats are refused."""
    verifier: DnsLabel | None = None
    """`math-verify`, `reasoning-gym`, `stem`, `instruction`, `code`, one of spec.verifier.remotes,
    or one that is installed in the image; a job whose verifiers do not have it ends with exit code
    10. Default: `reasoning-gym` for `gym://` and logic, `math-verify` for math, the one of the
    domain's name for the others. docs/verifiers.md says what each takes for an answer."""
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
    on_overlap: OnOverlap = OnOverlap.REFUSE
    """What happens when a held-out prompt also occurs in training: the job is refused, or the
    prompt is left out of validation. Between two generated sets it is always left out: short tasks
    meet by chance."""
    credentials_secret: SecretName | None = None
    """A Secret in the job's namespace. Of its keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL, HF_TOKEN and HF_ENDPOINT become environment
    variables of the coordinator; the operator never reads it. `prorl run` takes those of its own
    environment."""
