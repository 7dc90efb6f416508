"""Asks ports what they tell without a token: HTTP and the calls of Ray.

    python questions.py ADDRESS PORT...

Prints JSON: port -> question -> answer, the status of HTTP or the code of gRPC. A port that says
nothing to either has no questions.
"""

import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

PATIENCE_S = 3.0
PATHS = ("/", "/healthz", "/readyz", "/metrics", "/v1/status", "/v1/verifiers", "/api/version")
POSTS = ("/v1/commands", "/v1/notices", "/v1/verify", "/api/jobs/")
CALLS = (
    "NodeInfoGcsService/GetAllNodeInfo",
    "InternalKVGcsService/InternalKVKeys",
    "JobInfoGcsService/AddJob",
    "NodeManagerService/GetNodeStats",
    "NodeManagerService/RequestWorkerLease",
    "ObjectManagerService/Pull",
    "CoreWorkerService/PushTask",
    "CoreWorkerService/Exit",
    "RayletDriver/Init",
    "RayletDriver/KVGet",
)
"""Of package ray.rpc (src/ray/protobuf of Ray): one at least of every service that listens."""

NOBODY = "UNAVAILABLE"
"""Of gRPC: the connection was refused, or ended."""


def tell(address: str, port: int) -> dict[str, str]:
    """What the port answers."""
    asked = [("GET", path) for path in PATHS] + [("POST", path) for path in POSTS]
    try:
        return {f"{verb} {path}": status(address, port, verb, path) for verb, path in asked}
    except http.client.BadStatusLine:  # HTTP/2, which gRPC speaks
        return calls(address, port)
    except OSError:  # says nothing
        return {}


def status(address: str, port: int, verb: str, path: str) -> str:
    """Raises BadStatusLine where it is not HTTP/1, OSError where nobody answers."""
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE_S)
    try:
        connection.request(verb, path, body=b"{}" if verb == "POST" else None)
        return str(connection.getresponse().status)
    finally:
        connection.close()


def calls(address: str, port: int) -> dict[str, str]:
    """Of those that the port knows; each with an empty message."""
    found = {}
    with grpc.insecure_channel(f"{address}:{port}") as channel:
        for name in CALLS:
            call = channel.unary_unary(f"/ray.rpc.{name}", _as_it_is, _as_it_is)
            try:
                call(b"", timeout=PATIENCE_S)
                found[name] = "OK"
            except grpc.RpcError as error:
                found[name] = error.code().name
    if set(found.values()) == {NOBODY}:
        return {}
    return {name: code for name, code in found.items() if code != "UNIMPLEMENTED"}


def _as_it_is(message: bytes) -> bytes:
    return message


if __name__ == "__main__":
    ports = [int(word) for word in sys.argv[2:]]
    with ThreadPoolExecutor(16) as pool:
        told = pool.map(lambda port: tell(sys.argv[1], port), ports)
        print(json.dumps(dict(zip(ports, told, strict=True))))
