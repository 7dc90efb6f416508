"""The job's prompts: protocols.PromptSource over the sets of spec.data."""

import logging
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import DataSet

from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.guard import find_leaks, kept_rows, refuse_shared_items
from prorl_trainer.data.order import Order
from prorl_trainer.data.prompt import encode, prompt_text
from prorl_trainer.data.rows import Row
from prorl_trainer.data.sets import LoadedSet, load_set, verifier_of
from prorl_trainer.errors import DataError, one_line
from prorl_trainer.types import Prompt

log = logging.getLogger(__name__)

TEMPLATE_TOKENS = 64
"""What a chat template may add, for the early check only."""


class Prompts:
    """protocols.PromptSource."""

    def __init__(self, spec: ProRLJobSpec, tokenizer: Any, cache: DataCache) -> None:
        """Looks through every row at the first start. Raises DataError, StorageError."""
        self._tokenizer = tokenizer
        self._max_prompt_tokens = spec.algorithm.sampling.max_prompt_tokens
        held_out = spec.data.validation.sets if spec.data.validation else []
        refuse_shared_items(spec.data.train, held_out)
        self._train = [load_set(s, cache) for s in spec.data.train]
        held = [load_set(s, cache) for s in held_out]
        self._order = Order(
            spec.algorithm.seed,
            [len(s.rows) for s in self._train],
            [s.dataset.weight for s in self._train],
        )
        self.fingerprints = {s.name: s.fingerprint for s in [*self._train, *held]}
        self._warn_of_small_sets(spec.algorithm.steps * spec.algorithm.prompts_per_step)
        leaks = cache.recall(
            f"{spec.model} {spec.data} {self._max_prompt_tokens} {self.fingerprints}",
            lambda: find_leaks(self._train, held, look=self._look, progress=cache.progress),
        )
        self._validation = [
            self._prompt(loaded, index, row, -1 - index)
            for loaded in held
            for index, row in kept_rows(loaded, leaks, self._train, spec.data.on_overlap)
        ]

    def prompt(self, ordinal: int) -> Prompt:
        """See protocols.PromptSource. Raises DataError for a prompt that the tokenizer makes longer
        than the early look could tell."""
        index, row = self._order.place(ordinal)
        loaded = self._train[index]
        return self._prompt(loaded, row, loaded.rows[row], ordinal)

    def validation(self) -> Sequence[Prompt]:
        """See protocols.PromptSource."""
        return self._validation

    def _look(self, loaded: LoadedSet, index: int, row: Row) -> None:
        """A row that is too long is found now, not when it is drawn after days of training."""
        # No tokenizer makes more tokens than bytes: most rows need not be encoded.
        size_bytes = len(prompt_text(row.prompt).encode())
        if index == 0 or size_bytes + TEMPLATE_TOKENS > self._max_prompt_tokens:
            self._prompt(loaded, index, row, 0)

    def _warn_of_small_sets(self, num_prompts: int) -> None:
        """A generator could make a new item for every place; a file cannot."""
        for loaded, share in zip(self._train, self._order.shares, strict=True):
            wanted = round(num_prompts * share)
            if loaded.generated and len(loaded.rows) < wanted:
                log.warning(
                    "set=%s: its %d items are drawn %.1f times each; size=%d repeats none",
                    loaded.name, len(loaded.rows), wanted / len(loaded.rows), wanted,
                )  # fmt: skip

    def _prompt(self, loaded: LoadedSet, index: int, row: Row, ordinal: int) -> Prompt:
        dataset = loaded.dataset
        where = f"Dataset {loaded.name}: {loaded.rows.place(index)}"
        token_ids = self._encode(where, dataset, row)
        if not token_ids:  # the first response token would have nothing to be predicted from
            raise DataError(f"{where} has no prompt tokens.")
        if len(token_ids) > self._max_prompt_tokens:
            raise DataError(
                f"{where} has {len(token_ids)} prompt tokens, more than maxPromptTokens "
                f"{self._max_prompt_tokens}."
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

    def _encode(self, where: str, dataset: DataSet, row: Row) -> tuple[int, ...]:
        try:
            return encode(self._tokenizer, row.prompt)
        except TemplateError as error:
            raise DataError(
                f"{where} is refused by the chat template: {one_line(error)}."
            ) from error
        except ValueError as error:
            raise DataError(f"{where} {error}.") from error
