"""The job's tokens. They are derived, so that the operator never has to read a Secret."""

import base64
import hashlib
import hmac
from enum import StrEnum

from prorl_api import runtime
from prorl_api.job import ProRLJob

from prorl_operator.build import names
from prorl_operator.build.names import Manifest


class Purpose(StrEnum):
    """Keys of the Secret; also file names in the pods."""

    API = runtime.API_TOKEN_FILE.name
    RAY = runtime.RAY_TOKEN_FILE.name
    VERIFIER = runtime.VERIFIER_TOKEN_FILE.name


def token(key: bytes, job_uid: str, purpose: Purpose) -> str:
    """HMAC-SHA256 in hex: the same for the same job as long as the operator's key stays."""
    return hmac.new(key, f"{job_uid}/{purpose}".encode(), hashlib.sha256).hexdigest()


def build_tokens(job: ProRLJob, key: bytes) -> Manifest:
    """The Secret that all pods of the job mount."""
    uid = job.metadata.uid
    data = {p.value: base64.b64encode(token(key, uid, p).encode()).decode() for p in Purpose}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": names.owned_metadata(job, names.tokens_name(job.metadata.name)),
        "data": data,
    }
