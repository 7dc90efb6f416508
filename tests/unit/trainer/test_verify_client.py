"""The verifier's client against a real HTTP server that plays a script."""

import socket

import pytest
from aiohttp import web
from prorl_trainer.errors import DataError, UnauthorizedError, VerifierError
from prorl_trainer.verify.client import VerifierClient
from prorl_trainer.verify.endpoints import MAX_ITEMS
from prorl_trainer.verify.post import KEEPALIVE, watched_socket
from prorl_trainer.verify.resolve import by_name
from verifier_server import (
    TOKEN,
    Answer,
    Items,
    ScriptedVerifier,
    all_pass,
    answer,
    ask,
    client_of,
    judge,
    no_verdict,
    refuse,
    verdict,
)


@pytest.mark.parametrize(("limit_s", "asked"), [(1.0, 1), (0.0, 2)])
async def test_a_request_may_take_as_long_as_all_that_waits_before_it_may_hang(
    limit_s: float, asked: int
) -> None:
    server = ScriptedVerifier(*[all_pass] * 20, delay_s=0.3)
    async with client_of(server, timeout_s=0.1, limit_s=limit_s, budget_s=0.5) as client:
        if limit_s:
            assert await ask(client, "a")
        else:
            with pytest.raises(VerifierError, match="TimeoutError"):
                await ask(client, "a")
    assert len(server.asked) >= asked


def test_a_connection_to_a_host_that_has_vanished_breaks_within_a_minute() -> None:
    with watched_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ())) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle_s, between_s, probes = (made.getsockopt(socket.IPPROTO_TCP, o) for o in KEEPALIVE)
    assert idle_s + between_s * probes <= 60


async def test_verdicts_come_in_the_order_of_the_completions() -> None:
    server = ScriptedVerifier(
        lambda items: answer([verdict(i, 0.25 if i["id"] == "a" else 1.0) for i in items[::-1]])
    )
    assert await judge(server, "a", "b") == [0.25, 1.0]
    assert server.asked == [
        [
            {"id": i, "verifier": "math", "completion": f"text of {i}", "answer": "2",
             "meta": {"task": "sums"}}
            for i in ("a", "b")
        ]
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault", [refuse(500), refuse(503), refuse(429), refuse(429, **{"Retry-After": "1"})],
    ids=["500", "503", "429", "429-with-a-time"],
)  # fmt: skip
async def test_a_busy_service_is_asked_again(fault: Answer) -> None:
    server = ScriptedVerifier(fault, all_pass)
    assert await judge(server, "a") == [1.0]


async def test_missing_verdicts_are_asked_for_again_and_only_they() -> None:
    server = ScriptedVerifier(lambda items: answer([verdict(items[1], 0.5)]), all_pass, all_pass)
    assert await judge(server, "a", "b", "c") == [1.0, 0.5, 1.0]
    assert server.ids == [["a", "b", "c"], ["a"], ["c"]], "one item on trial"


async def test_an_infra_error_is_tried_once_more_then_stays_unjudged() -> None:
    def broken(items: Items) -> web.Response:
        return answer([verdict(i, None if i["id"] == "b" else 1.0) for i in items])

    server = ScriptedVerifier(broken, no_verdict)
    async with client_of(server) as client:
        assert [found.score for found in await ask(client, "a", "b")] == [1.0, None]
        assert (client.infra_errors, client.retried) == (1, 1)
    assert server.ids == [["a", "b"], ["b"]]


async def test_those_that_end_together_travel_together_up_to_a_limit() -> None:
    server = ScriptedVerifier(always=all_pass)
    ids = [str(i) for i in range(2 * MAX_ITEMS + 1)]
    assert await judge(server, *ids) == [1.0] * len(ids)
    assert sorted(map(len, server.ids)) == [1, MAX_ITEMS, MAX_ITEMS]
    assert sorted(i for request in server.ids for i in request) == sorted(ids)


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (refuse(400), DataError, "why"),
        (refuse(404), VerifierError, "no verifier, it answers 404"),
        (lambda items: web.Response(text="<html>"), VerifierError, "malformed"),
        (lambda items: answer([verdict(items[0])] * 2), VerifierError, "a twice"),
        (lambda items: answer([verdict({"id": "z"})]), VerifierError, "z, which was not asked"),
        (lambda items: answer([verdict(items[0], 1.5)]), VerifierError, "malformed"),
        (lambda items: answer([verdict(items[0], float("nan"))]), VerifierError, "malformed"),
        (lambda items: answer([verdict(items[0], None, outcome="pass")]), VerifierError, "None"),
        (
            lambda items: answer([verdict(items[0], outcome="infra-error")]),
            VerifierError,
            "score 1.0",
        ),
    ],
    ids=[
        "bad-batch", "not-a-verifier", "no-json", "twice", "foreign", "above-1", "nan",
        "pass-without-score", "infra-error-with-score",
    ],
)  # fmt: skip
async def test_nonsense_ends_at_once_with_what_was_said(
    fault: Answer, error: type[Exception], text: str
) -> None:
    server = ScriptedVerifier(fault)
    with pytest.raises(error, match=text):
        await judge(server, "a")
    assert len(server.asked) == 1


async def test_what_is_too_large_for_one_request_is_split_and_one_completion_stays_unjudged() -> (
    None
):
    def small_ones(items: Items) -> web.Response:
        too_large = len(items) > 2 or any(item["id"] == "huge" for item in items)
        return refuse(413)(items) if too_large else all_pass(items)

    server = ScriptedVerifier(always=small_ones)
    async with client_of(server) as client:
        found = await ask(client, "a", "b", "huge", "c", "d")
    assert [verdict.score for verdict in found] == [1.0, 1.0, None, 1.0, 1.0]
    assert found[2].reason == 'The verifier refuses it: HTTP 413: {"error": "why"}'


async def test_a_refused_token_ends_at_once() -> None:
    with pytest.raises(UnauthorizedError):
        await judge(ScriptedVerifier(), "a", token="wrong")


async def test_a_service_that_stays_away_ends_after_the_budget() -> None:
    client = VerifierClient(by_name("http://127.0.0.1:9"), TOKEN, budget_s=0.5)
    with pytest.raises(VerifierError, match=r"did not judge for 0.5 s: http://127.0.0.1:9: "):
        await ask(client, "a")
    await client.close()


async def test_a_name_without_an_address_ends_after_the_budget() -> None:
    async def nowhere() -> list[str]:
        raise OSError("Name or service not known")

    client = VerifierClient(nowhere, TOKEN, budget_s=0.2)
    with pytest.raises(VerifierError, match=r"did not judge for 0.2 s: .* no address"):
        await ask(client, "a")
    await client.close()


async def test_a_service_that_keeps_forgetting_ends_after_the_budget() -> None:
    server = ScriptedVerifier(always=lambda items: answer([]))
    with pytest.raises(VerifierError, match="no verdict for 1 of 1"):
        await judge(server, "a", budget_s=0.5)
    assert len(server.asked) < 10, "it pauses between"


async def test_the_time_before_the_first_failure_does_not_use_up_the_budget() -> None:
    server = ScriptedVerifier(refuse(503), all_pass, delay_s=0.3)
    assert await judge(server, "a", budget_s=0.25) == [1.0]


async def test_a_fault_of_the_resolver_reaches_those_who_wait() -> None:
    async def broken() -> list[str]:
        raise ValueError("no such port")

    client = VerifierClient(broken, TOKEN)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such port"):
            await ask(client, "a")
    await client.close()
