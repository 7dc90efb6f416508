"""`tiny://llama?...`: a Llama of 0.15 million parameters with a character tokenizer, for CPUs.

It is warmed up by supervised learning on the job's own training sets, of whose answers a share is
replaced by wrong ones: it then knows the tasks and samples them badly, which is where reinforcement
learning with verifiable rewards starts. Same settings, same bytes.
"""

import itertools
import math
import random
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import torch
import torch.nn.functional as F
from prorl_api.base import ApiModel
from pydantic import Field, ValidationError
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prorl_trainer.data.prompt import encode, prompt_text
from prorl_trainer.data.rows import Rows
from prorl_trainer.errors import ModelError, StorageError, one_line

Progress = Callable[[str], None]
Example = tuple[tuple[int, ...], tuple[int, ...]]

SPECIAL = ("<pad>", "<eos>", "<unk>")
CHAT_TEMPLATE = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
CONTEXT_TOKENS = 512
INSTRUCTION_ROWS = 256
INSTRUCTION_CHARACTERS = 8
"""A shorter common beginning of the prompts stays characters."""
MAX_WARMUP_ROWS = 10_000
CLEAN_SHARE = 0.75
"""Part of the warm-up that sees right answers only: noise from the start would slow learning."""
HEAD_DIM = 32
"""The smallest that vLLM's CPU attention has a kernel for."""


class TinySettings(ApiModel):
    """Options of a tiny:// URI."""

    layers: Annotated[int, Field(ge=1, le=64)] = 3
    hidden: Annotated[int, Field(ge=1, le=4096)] = 64
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """1 or even (there are half as many key-value heads), and a divisor of `hidden`."""
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 400
    """Supervised steps; 0 leaves random weights."""
    warmup_batch: Annotated[int, Field(ge=1, le=4096)] = 64
    wrong_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the answers' tokens that are replaced in the last part of the warm-up."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 8e-3
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0


def parse_tiny(uri: str) -> TinySettings:
    """Raises ModelError naming the option."""
    parts = urlsplit(uri)
    if parts.netloc != "llama":
        raise ModelError(f"Model {uri}: there is no tiny model {parts.netloc!r}, only `llama`.")
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            raise ModelError(f"Model {uri}: option {name} is given twice.")
        options[name] = value
    try:
        settings = TinySettings.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(p) for p in first["loc"])
        raise ModelError(f"Model {uri}: option {field}: {first['msg']}.") from error
    if settings.hidden % settings.heads or settings.heads % max(1, settings.heads // 2):
        raise ModelError(
            f"Model {uri}: heads {settings.heads} must be 1 or even, and divide hidden "
            f"{settings.hidden}."
        )
    return settings


def instructions(sets: Sequence[Rows]) -> list[str]:
    """What the prompts of each set begin with, all of them: the words of the task, not the task."""
    found = set()
    for rows in sets:
        texts = [prompt_text(rows[i].prompt) for i in range(min(len(rows), INSTRUCTION_ROWS))]
        common = _common_beginning(min(texts), max(texts)).rpartition(" ")[0]
        if len(texts) > 1 and len(common) >= INSTRUCTION_CHARACTERS:
            found.add(common)
    return sorted(found)


def _common_beginning(a: str, b: str) -> str:
    equal = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))
    return "".join(character for character, _ in equal)


def build_tokenizer(instructions: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """One token per printable ASCII character, and one per instruction, which keeps sequences ten
    times shorter; anything else is <unk>."""
    characters = sorted(set(string.printable) - set("\t\r\x0b\x0c"))
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *characters])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in instructions])
    return tokenizer


def build_model(settings: TinySettings, vocabulary_size: int) -> LlamaForCausalLM:
    """Random weights from the seed; tied embeddings."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=settings.hidden,
        intermediate_size=3 * settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=max(1, settings.heads // 2),
        head_dim=HEAD_DIM,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def build_tiny(
    settings: TinySettings, sets: Sequence[Rows], directory: Path, progress: Progress
) -> None:
    """Writes model and tokenizer in Hugging Face format into the (empty) directory."""
    tokenizer = build_tokenizer(instructions(sets))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # another number sums in another order: other bytes
    try:
        model = build_model(settings, len(tokenizer))
        _warm_up(model, tokenizer, settings, sets, progress)
    finally:
        torch.set_num_threads(threads)
    try:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    except Exception as error:  # safetensors and tokenizers have their own for a full disk
        raise StorageError(
            f"The tiny model cannot be written to {directory}: {one_line(error)}"
        ) from error


def _warm_up(
    model: Any, tokenizer: Any, settings: TinySettings, sets: Sequence[Rows], progress: Progress
) -> None:
    rng = random.Random(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    examples = [_encoded(tokenizer, rows) for rows in sets]
    for step in range(settings.warmup_steps):
        done = step / settings.warmup_steps
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(done)
        wrong_share = settings.wrong_share if done >= CLEAN_SHARE else 0.0
        loss = _loss(model, _draw(examples, settings.warmup_batch, wrong_share, rng))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            progress(f"Warming up the tiny model: {step} of {settings.warmup_steps} steps")


def _schedule(done: float) -> float:
    """Linear warm-up over the first 5 %, then a cosine."""
    return min(1.0, 20 * done + 0.01) * 0.5 * (1 + math.cos(math.pi * done))


def _encoded(tokenizer: Any, rows: Rows) -> list[Example]:
    """(prompt, answer) token ids of the first rows; the answer ends with end-of-sequence."""
    return [
        (
            encode(tokenizer, rows[i].prompt),
            (*tokenizer.encode(str(rows[i].answer)), tokenizer.eos_token_id),
        )
        for i in range(min(len(rows), MAX_WARMUP_ROWS))
    ]


def _draw(
    sets: Sequence[Sequence[Example]], size: int, wrong_share: float, rng: random.Random
) -> list[Example]:
    """A batch; a share of its answer tokens comes from other rows' answers."""
    batch = []
    for _ in range(size):
        examples = rng.choice(sets)
        prompt, answer = rng.choice(examples)
        if wrong_share:
            noisy = [_noisy(token, examples, wrong_share, rng) for token in answer[:-1]]
            answer = (*noisy, answer[-1])
        batch.append((prompt, answer))
    return batch


def _noisy(token: int, examples: Sequence[Example], wrong_share: float, rng: random.Random) -> int:
    if rng.random() >= wrong_share:
        return token
    other = rng.choice(examples)[1]
    return rng.choice(other[:-1] or other)


def _loss(model: Any, batch: Sequence[Example]) -> torch.Tensor:
    """Cross-entropy over the answers' tokens; right padding, which causal attention ignores."""
    length = max(len(p) + len(a) for p, a in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.int64)
    targets = torch.full((len(batch), length), -100)
    for i, (prompt, answer) in enumerate(batch):
        whole = torch.tensor(prompt + answer)
        ids[i, : len(whole)] = whole
        targets[i, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    where = targets != -100
    return F.cross_entropy(model.lm_head(hidden[where]), targets[where])
