"""What a stranger hears from ports: nothing may be taken for an answer, and no answer missed."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from cluster.questions import tell

HOST = "127.0.0.1"
OPEN_CALL = "NodeManagerService/GetNodeStats"


@pytest.fixture
def closing_port() -> Iterator[int]:
    """Takes a connection and ends it in order, as torch's ports do with what they do not know."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    taken, _ = server.accept()
                except OSError:  # the test is over
                    return
                with taken:
                    taken.recv(4096)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


class OneCall(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers OPEN_CALL whoever asks."""

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method != f"/ray.rpc.{OPEN_CALL}":
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


@pytest.fixture
def grpc_port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[OneCall()])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield port
    server.stop(None)


def test_a_port_that_ends_every_connection_tells_nothing(closing_port: int) -> None:
    assert tell(HOST, closing_port) == {}


def test_a_call_that_is_open_to_all_is_heard(grpc_port: int) -> None:
    assert tell(HOST, grpc_port) == {OPEN_CALL: "OK"}
