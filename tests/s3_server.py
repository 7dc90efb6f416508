"""An S3 store (moto's server) that the environment names as a credentials Secret would."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

REGION = "us-east-1"
SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential=key/20260101/{REGION}/s3/aws4_request"}


@contextmanager
def s3_bucket(
    name: str, monkeypatch: pytest.MonkeyPatch, *, session_token: str | None = None
) -> Iterator[S3Store]:
    """An empty bucket; the variables stay until monkeypatch is undone."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    if session_token is None:
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    else:
        monkeypatch.setenv("AWS_SESSION_TOKEN", session_token)
    request = urllib.request.Request(f"{endpoint}/{name}", headers=SIGNED, method="PUT")
    urllib.request.urlopen(request).close()
    try:
        yield S3Store(name, client_options={"allow_http": True})
    finally:
        server.stop()
