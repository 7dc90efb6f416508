"""The job's tokens are derived: the same for the same job, different for everything else."""

import base64
import hashlib
import hmac

from controller_builders import UID, make_job
from prorl_operator.build.secrets import Purpose, build_tokens, token

KEY = b"k" * 32


def test_a_token_is_the_hmac_of_job_and_purpose() -> None:
    expected = hmac.new(KEY, f"{UID}/api".encode(), hashlib.sha256).hexdigest()
    assert token(KEY, UID, Purpose.API) == expected


def test_no_two_keys_jobs_or_purposes_share_a_token() -> None:
    tokens = {
        token(key, uid, purpose)
        for key in (KEY, b"other" * 8)
        for uid in (UID, "another")
        for purpose in Purpose
    }
    assert len(tokens) == 2 * 2 * len(Purpose)


def test_the_secret_holds_one_token_per_file_of_the_pods() -> None:
    secret = build_tokens(make_job(), KEY)
    assert secret["metadata"]["name"] == "q-tokens"
    data = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    assert data == {str(p): token(KEY, UID, p) for p in Purpose}
    assert set(data) == {"api", "ray", "verifier"}
    assert KEY.decode() not in str(secret)
