"""The transformers engine: in-process, simple, deterministic. For fast tests and debugging.

Legend: B requests of a batch, V vocabulary.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from prorl_trainer.errors import WeightSyncError
from prorl_trainer.learn.weights import broadcast, checksum, join_channel
from prorl_trainer.rollout.backend import Announcement, Channel
from prorl_trainer.rollout.stats import EngineStats
from prorl_trainer.types import Completion, FinishReason, GenerationRequest, OnCompletion


@dataclass(kw_only=True, eq=False)
class _Draft:
    """A completion in the making."""

    request: GenerationRequest
    generator: torch.Generator
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: FinishReason | None = None
    versions: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def add(self, token: int, logprob: float, version: str) -> None:
        """One more token, from weights of this version."""
        if not self.versions or self.versions[-1] != version:
            self.versions.append(version)
            self.starts.append(len(self.tokens))
        self.tokens.append(token)
        self.logprobs.append(logprob)


class HfEngine:
    """protocols.Engine on a Hugging Face model. Requests of equal prompt length advance together.
    Weights may change between two tokens; what was cached from the old ones is computed anew."""

    def __init__(self, model_dir: Path, name: str = "transformers-0") -> None:
        self.name = name
        # The variable comes too late where torch has been imported already.
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self._model = AutoModelForCausalLM.from_pretrained(
            model_dir, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        ).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
        self._eos = int(self._tokenizer.eos_token_id)
        self._version = "initial"
        self._channel: tuple[torch.distributed.ProcessGroupGloo, object] | None = None
        self._running = asyncio.Event()
        self._running.set()
        self._drafts: set[_Draft] = set()
        self._prompt_tokens = 0
        self._generated_tokens = 0

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """See protocols.Engine."""
        by_length: dict[int, list[GenerationRequest]] = {}
        for request in requests:
            by_length.setdefault(len(request.prompt_token_ids), []).append(request)
        for batch in by_length.values():
            await self._generate_batch(batch, on_completion)

    async def _generate_batch(
        self, requests: list[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        drafts = [
            _Draft(request=r, generator=torch.Generator().manual_seed(r.seed)) for r in requests
        ]
        self._drafts.update(drafts)
        try:
            await self._finish(drafts, on_completion)
        finally:
            self._drafts.difference_update(drafts)

    async def _finish(self, drafts: list[_Draft], on_completion: OnCompletion) -> None:
        ids = torch.tensor([d.request.prompt_token_ids for d in drafts])
        self._prompt_tokens += ids.numel()
        cache, cached_by, num_cached = None, self._version, 0
        while running := [d for d in drafts if d.finish is None]:
            await self._turn()
            if cached_by != self._version:
                cache, cached_by, num_cached = None, self._version, 0
            with torch.no_grad():
                new = ids[:, num_cached:]
                out = self._model(input_ids=new, past_key_values=cache, use_cache=True)
            cache, num_cached = out.past_key_values, ids.shape[1]
            drawn = [[self._draw(d, out.logits[i, -1])] for i, d in enumerate(drafts)]
            ids = torch.cat([ids, torch.tensor(drawn)], dim=1)
            for draft in running:
                if draft.finish is not None:
                    on_completion(self._completion(draft, draft.finish))

    async def _turn(self) -> None:
        """Lets others go on, an update of the weights above all; waits while paused."""
        await asyncio.sleep(0)
        await self._running.wait()

    def _draw(self, draft: _Draft, logits: Tensor) -> int:
        """Next token of the draft from logits[V]; end-of-sequence again once it is finished."""
        if draft.finish is not None:
            return self._eos
        temperature = draft.request.temperature
        logprobs = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)
        if temperature == 0:
            token = int(logprobs.argmax())
        else:
            token = int(torch.multinomial(logprobs.exp(), 1, generator=draft.generator))
        draft.add(token, float(logprobs[token]), self._version)
        self._generated_tokens += 1
        if token == self._eos:
            draft.finish = FinishReason.STOP
        elif len(draft.tokens) >= draft.request.max_tokens:
            draft.finish = FinishReason.LENGTH
        return token

    def _completion(self, draft: _Draft, finish: FinishReason) -> Completion:
        return Completion(
            request_id=draft.request.request_id,
            token_ids=tuple(draft.tokens),
            mask=(True,) * len(draft.tokens),
            logprobs=tuple(draft.logprobs),
            finish_reason=finish,
            weight_versions=tuple(draft.versions),
            weight_starts=tuple(draft.starts),
            text=self._tokenizer.decode(draft.tokens, skip_special_tokens=True),
        )

    def load_weights(self, weights: Sequence[tuple[str, Tensor]], version: str) -> None:
        """Replaces all weights; a tied head follows its embedding. Raises WeightSyncError."""
        known = dict(self._model.named_parameters())
        missing = sorted(known.keys() - {name for name, _ in weights})
        if missing:
            raise WeightSyncError(
                f"The update {version} lacks {len(missing)} tensors: {missing[:3]}"
            )
        with torch.no_grad():
            for name, tensor in weights:
                known[name].copy_(tensor)
        self._version = version

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        """Joins the learner's channel; generation goes on meanwhile."""
        self._channel = await asyncio.to_thread(
            join_channel, channel.host, channel.port, rank, channel.world_size
        )

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        """Receives all tensors, then loads them. Raises WeightSyncError."""
        self._running.clear()
        if self._channel is None:
            raise WeightSyncError("The weight channel was not opened.")
        self.load_weights(await asyncio.to_thread(self._receive, announcement), version)

    def _receive(self, announcement: Announcement) -> list[tuple[str, Tensor]]:
        assert self._channel is not None
        weights = []
        rows = zip(announcement.names, announcement.dtypes, announcement.shapes, strict=True)
        for name, dtype, shape in rows:
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            try:
                broadcast(self._channel[0], tensor)
            except RuntimeError as error:
                raise WeightSyncError(f"Receiving {name} failed: {error}") from error
            weights.append((name, tensor))
        return weights

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        """Name -> sha256 of the loaded tensors."""
        known = dict(self._model.named_parameters())
        return {name: checksum(known[name]) for name in announcement.names}

    async def resume(self) -> None:
        """Goes on generating."""
        self._running.set()

    async def stats(self) -> EngineStats:
        """It has no scheduler, and its cache grows with its batch."""
        return EngineStats(
            requests_running=sum(draft.finish is None for draft in self._drafts),
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
        )

    def close(self) -> None:
        """Nothing to end."""
