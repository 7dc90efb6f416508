"""The job's prompts: types.PromptSource over the sets of spec.data."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import TemplateError
from prorl_api import runtime
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import DataSet, Domain, VerifierName

from prorl_trainer.data.gym import GymSource, parse_gym, read_gym
from prorl_trainer.data.order import Order
from prorl_trainer.data.rows import Row, Rows, read_file
from prorl_trainer.errors import DataError, one_line
from prorl_trainer.types import Prompt

FINGERPRINT_ROWS = 256
"""Rows of each set that go into the fingerprint, spread evenly: enough to notice another file."""

DEFAULT_VERIFIERS = {
    Domain.MATH: VerifierName.MATH_VERIFY,
    Domain.LOGIC: VerifierName.REASONING_GYM,
    Domain.STEM: VerifierName.STEM,
    Domain.INSTRUCTION: VerifierName.INSTRUCTION,
}

TEMPLATE_TOKENS = 64
"""What a chat template may add, for the early check of files only."""


class Prompts:
    """types.PromptSource."""

    def __init__(self, spec: ProRLJobSpec, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._max_prompt_tokens = spec.algorithm.sampling.max_prompt_tokens
        self._sets = spec.data.train
        self._rows = [read_rows(s) for s in self._sets]
        self._order = Order(
            spec.algorithm.seed, [len(r) for r in self._rows], [s.weight for s in self._sets]
        )
        self._refuse_long_rows()
        held_out = spec.data.validation.sets if spec.data.validation else []
        _refuse_overlap(self._sets, held_out)
        trained = self._rows if held_out else []
        seen = {prompt_text(row.prompt) for rows in trained for row in rows}
        self._validation = [p for s in held_out for p in self._held_out(s, seen)]
        self.fingerprint = fingerprint_of([*self._sets, *held_out], self._rows)

    def prompt(self, ordinal: int) -> Prompt:
        """See types.PromptSource. Raises DataError for a prompt over the limit, which rows of a
        file seldom are: they were looked through."""
        index, row = self._order.place(ordinal)
        return self._prompt(self._sets[index], self._rows[index][row], ordinal, row)

    def validation(self) -> Sequence[Prompt]:
        """See types.PromptSource."""
        return self._validation

    def _refuse_long_rows(self) -> None:
        """A file's long rows are found now, not when they are drawn after days of training."""
        for dataset, rows in zip(self._sets, self._rows, strict=True):
            if dataset.uri.startswith("gym://"):
                continue  # would all have to be generated
            for number, row in enumerate(rows):
                # No tokenizer makes more tokens than bytes: most rows need not be encoded.
                size_bytes = len(prompt_text(row.prompt).encode())
                if size_bytes + TEMPLATE_TOKENS > self._max_prompt_tokens:
                    self._prompt(dataset, row, 0, number)

    def _held_out(self, dataset: DataSet, seen: set[str]) -> list[Prompt]:
        """Held-out prompts; those that also occur in training measure memory and are left out."""
        rows = read_rows(dataset)
        kept = [(n, row) for n, row in enumerate(rows) if prompt_text(row.prompt) not in seen]
        if not kept:
            raise DataError(
                f"Validation set {dataset.name}: all {len(rows)} prompts also occur in training."
            )
        return [self._prompt(dataset, row, -1 - n, n) for n, row in kept]

    def _prompt(self, dataset: DataSet, row: Row, ordinal: int, number: int) -> Prompt:
        try:
            token_ids = encode(self._tokenizer, row.prompt)
        except TemplateError as error:
            raise DataError(
                f"Dataset {dataset.name}: the chat template refuses row {number + 1}: "
                f"{one_line(error)}."
            ) from error
        if not token_ids:  # the first response token would have nothing to be predicted from
            raise DataError(f"Dataset {dataset.name}: row {number + 1} has no prompt tokens.")
        if len(token_ids) > self._max_prompt_tokens:
            raise DataError(
                f"Dataset {dataset.name}: row {number + 1} has {len(token_ids)} prompt tokens, "
                f"more than maxPromptTokens {self._max_prompt_tokens}."
            )
        return Prompt(
            ordinal=ordinal,
            set_name=dataset.name,
            domain=dataset.domain,
            verifier=verifier_of(dataset),
            text=prompt_text(row.prompt),
            token_ids=token_ids,
            answer=row.answer,
            meta=row.meta,
        )


def read_rows(dataset: DataSet) -> Rows:
    """All rows of a set, lazily where they are generated. Raises DataError."""
    parts = urlsplit(dataset.uri)
    if parts.scheme == "gym":
        return read_gym(dataset.name, parse_gym(dataset.name, dataset.uri))
    if parts.scheme == "pvc":
        path = Path(runtime.DATA_CLAIM_DIR) / parts.netloc / parts.path.lstrip("/")
        return read_file(dataset.name, path, verifier_of(dataset))
    return read_file(dataset.name, Path(parts.path), verifier_of(dataset))


def verifier_of(dataset: DataSet) -> str:
    """The scorer of a set: the one named, or the domain's default."""
    if dataset.verifier is not None:
        return dataset.verifier
    if dataset.uri.startswith("gym://"):
        return VerifierName.REASONING_GYM
    return DEFAULT_VERIFIERS[dataset.domain]


def encode(tokenizer: Any, prompt: str | list[dict[str, str]]) -> tuple[int, ...]:
    """Token ids of the prompt, through the chat template where the tokenizer has one."""
    if getattr(tokenizer, "chat_template", None):
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return tuple(tokenizer.encode(text, add_special_tokens=False))
    return tuple(tokenizer.encode(prompt_text(prompt)))


def prompt_text(prompt: str | list[dict[str, str]]) -> str:
    """The prompt as one text; what its sender wrote, without a chat template."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(message["content"] for message in prompt)


def _refuse_overlap(train: Sequence[DataSet], held_out: Sequence[DataSet]) -> None:
    """reasoning-gym draws item i from seed + i: near seeds are the same items, shifted."""
    sources = [(s.name, _gym(s)) for s in train]
    for validation in held_out:
        mine = _gym(validation)
        for name, other in sources:
            if mine and other and _same_items(mine, other):
                raise DataError(
                    f"Validation set {validation.name} (seeds {mine.items.start} to "
                    f"{mine.items.stop - 1}) overlaps training set {name} (seeds "
                    f"{other.items.start} to {other.items.stop - 1}): space the seeds by more "
                    "than the sizes."
                )


def _gym(dataset: DataSet) -> GymSource | None:
    return parse_gym(dataset.name, dataset.uri) if dataset.uri.startswith("gym://") else None


def _same_items(a: GymSource, b: GymSource) -> bool:
    same = (a.dataset, a.options) == (b.dataset, b.options)
    return same and a.items.start < b.items.stop and b.items.start < a.items.stop


def fingerprint_of(sets: Sequence[DataSet], rows: Sequence[Rows]) -> str:
    """sha256 over the sets' definitions and a sample of their rows."""
    digest = hashlib.sha256()
    for dataset in sets:
        digest.update(dataset.model_dump_json(by_alias=True).encode())
    for part in rows:
        step = max(1, len(part) // FINGERPRINT_ROWS)
        for index in range(0, len(part), step):
            row = part[index]
            text = json.dumps([row.prompt, row.answer], sort_keys=True, default=str)
            digest.update(text.encode())
    return digest.hexdigest()
