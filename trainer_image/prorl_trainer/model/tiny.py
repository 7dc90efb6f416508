"""`tiny://llama?...`: a Llama of 0.15 million parameters with a character tokenizer, for CPUs.

It is warmed up by supervised learning on the job's own training sets, of whose answers a share is
replaced by wrong ones: it then knows the tasks and samples them badly, which is where reinforcement
learning with verifiable rewards starts. Same settings, same bytes.
"""

import math
import random
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import torch
import torch.nn.functional as F
from prorl_api.base import ApiModel, PositiveInt
from pydantic import ValidationError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prorl_trainer.data.rows import Rows
from prorl_trainer.data.source import encode
from prorl_trainer.errors import ModelError

Progress = Callable[[str], None]

SPECIAL = ("<pad>", "<eos>", "<unk>")
CHAT_TEMPLATE = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
CONTEXT_TOKENS = 512


class TinySettings(ApiModel):
    """Options of a tiny:// URI."""

    layers: PositiveInt = 3
    hidden: PositiveInt = 64
    heads: PositiveInt = 4
    warmup_steps: int = 400
    """Supervised steps; 0 leaves random weights."""
    warmup_batch: PositiveInt = 64
    wrong_share: float = 0.5
    """Share of the warm-up answers that are replaced by another row's."""
    learning_rate: float = 3e-3
    seed: int = 0


def parse_tiny(uri: str) -> TinySettings:
    """Raises ModelError naming the option."""
    parts = urlsplit(uri)
    if parts.netloc != "llama":
        raise ModelError(f"Model {uri}: there is no tiny model {parts.netloc!r}, only `llama`.")
    try:
        return TinySettings.model_validate(dict(parse_qsl(parts.query)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(p) for p in first["loc"])
        raise ModelError(f"Model {uri}: option {field}: {first['msg']}.") from error


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per printable ASCII character; anything else is <unk>."""
    characters = sorted(set(string.printable) - set("\t\r\x0b\x0c"))
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *characters])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    )


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
    tokenizer = build_tokenizer()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # another number sums in another order: other bytes
    try:
        model = build_model(settings, len(tokenizer))
        _warm_up(model, tokenizer, settings, sets, progress)
    finally:
        torch.set_num_threads(threads)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _warm_up(
    model: Any, tokenizer: Any, settings: TinySettings, sets: Sequence[Rows], progress: Progress
) -> None:
    rng = random.Random(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    for step in range(settings.warmup_steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _decay(step / settings.warmup_steps)
        loss = _loss(model, _examples(tokenizer, settings, sets, rng))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            progress(f"Warming up the tiny model: {step} of {settings.warmup_steps} steps")


def _decay(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _examples(
    tokenizer: Any, settings: TinySettings, sets: Sequence[Rows], rng: random.Random
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(prompt, answer) token ids of one batch; the answer ends with end-of-sequence."""
    batch = []
    for _ in range(settings.warmup_batch):
        rows = rng.choice(sets)
        row = rows[rng.randrange(len(rows))]
        other = rows[rng.randrange(len(rows))]
        answer = other.answer if rng.random() < settings.wrong_share else row.answer
        ids = (*tokenizer.encode(str(answer)), tokenizer.eos_token_id)
        batch.append((encode(tokenizer, row.prompt), ids))
    return batch


def _loss(model: Any, batch: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> torch.Tensor:
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
