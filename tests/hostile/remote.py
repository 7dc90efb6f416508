"""The hostile inputs sent to a verifier somewhere else, as the trainer sends completions."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import aiohttp
from prorl_verifier.wire import Verdict

BATCH = 16
AT_ONCE = 4
TIMEOUT = aiohttp.ClientTimeout(total=600)


async def judge(
    url: str, token: str, cases: Sequence[dict[str, Any]], repeats: int = 1
) -> tuple[list[list[Verdict]], dict[str, Any]]:
    """The verdicts of each case, and what the verifier says of itself. Raises ClientError."""
    items = [
        {key: case[key] for key in ("verifier", "completion", "answer", "meta")}
        | {"id": f"{repeat}/{index}"}
        for repeat in range(repeats)
        for index, case in enumerate(cases)
    ]
    found: dict[str, list[Verdict]] = defaultdict(list)
    gate = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(url, headers=headers, timeout=TIMEOUT) as session:

        async def send(batch: list[dict[str, Any]]) -> None:
            async with gate, session.post("/v1/verify", json={"items": batch}) as answer:
                answer.raise_for_status()
                for verdict in (await answer.json())["verdicts"]:
                    found[verdict["id"].partition("/")[2]].append(Verdict(**verdict))

        batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
        await asyncio.gather(*map(send, batches))
        async with session.get("/readyz") as ready:
            said = await ready.json()
    return [found[str(index)] for index in range(len(cases))], said
