"""A whole group at once, of engines that hand completions over one by one."""

from collections.abc import Awaitable, Callable, Sequence

from prorl_trainer.types import Completion, GenerationRequest, OnCompletion


async def complete(
    generate: Callable[[Sequence[GenerationRequest], OnCompletion], Awaitable[None]],
    requests: Sequence[GenerationRequest],
) -> list[Completion]:
    """In the order of the requests; each was handed over once."""
    found: list[Completion] = []
    await generate(requests, found.append)
    of = {completion.request_id: completion for completion in found}
    assert len(of) == len(found) == len(requests)
    return [of[request.request_id] for request in requests]
