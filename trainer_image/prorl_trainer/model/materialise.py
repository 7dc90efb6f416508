"""model.uri -> a local directory with weights, config and tokenizer."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import TemplateError
from prorl_api import runtime
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_algorithm import SamplingSpec
from transformers import AutoTokenizer

from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.prompt import encode
from prorl_trainer.data.sets import load_set
from prorl_trainer.errors import ConfigError, ModelError, StorageError, one_line
from prorl_trainer.model.tiny import Progress, build_tiny, parse_tiny

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
HF_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
"""Weights as safetensors only: nothing that is unpickled, no code."""


def materialise(spec: ProRLJobSpec, directory: Path, cache: DataCache) -> Path:
    """The model's local directory; `directory` is filled once and reused. Raises ModelError,
    StorageError."""
    parts = urlsplit(spec.model.uri)
    progress = cache.progress
    if parts.scheme == "file":
        return check_model(Path(parts.path))
    if parts.scheme == "pvc":
        return check_model(Path(runtime.MODEL_CLAIM_DIR) / parts.path.lstrip("/"))
    if parts.scheme == "hf":
        name = f"{parts.netloc}{parts.path}"
        target = directory / "hf" / name.replace("/", "--") / (spec.model.revision or "default")
        return _once(target, lambda path: _download(name, spec.model.revision, path, progress))
    settings = parse_tiny(spec.model.uri)
    sets = [load_set(dataset, cache) for dataset in spec.data.train]
    rows = [loaded.rows for loaded in sets]
    key = settings.model_dump_json()
    key += "".join(s.dataset.model_dump_json() + s.fingerprint for s in sets)
    name = f"tiny-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    target = tiny_cache(directory) / name
    return _once(target, lambda path: build_tiny(settings, rows, path, progress))


def tiny_cache(directory: Path) -> Path:
    """Tiny models are shared between runs where a cache directory is set (local mode)."""
    cache = os.environ.get("PRORL_MODEL_CACHE")
    return Path(cache) if cache else directory


def check_model(path: Path) -> Path:
    """Raises ModelError naming what is missing or not allowed."""
    if not path.is_dir():
        raise ModelError(f"The model directory {path} does not exist.")
    if not (path / "config.json").is_file():
        raise ModelError(f"The model directory {path} has no config.json.")
    if not list(path.glob("*.safetensors")):
        raise ModelError(f"The model directory {path} has no *.safetensors file.")
    if '"auto_map"' in (path / "config.json").read_text(encoding="utf-8", errors="replace"):
        raise ModelError(
            f"The model in {path} brings code of its own (auto_map), which is refused."
        )
    return path


def load_tokenizer(model_dir: Path) -> Any:
    """The tokenizer. Raises ModelError also for one that could not serve a run."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
    except Exception as error:  # each of the parsers behind it raises what it likes
        raise ModelError(
            f"The tokenizer in {model_dir} cannot be loaded: {one_line(error)}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The tokenizer in {model_dir} has no end-of-sequence token.")
    try:
        encode(tokenizer, [{"role": "user", "content": "?"}])
    except TemplateError as error:
        raise ModelError(
            f"In {model_dir} the chat template refuses a message of a user: {one_line(error)}"
        ) from error
    return tokenizer


def check_context(model_dir: Path, sampling: SamplingSpec) -> None:
    """Raises ConfigError if the model cannot hold the longest prompt and completion."""
    config = json.loads((model_dir / "config.json").read_bytes())
    context = config.get("max_position_embeddings")
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(context, int) or "factor" in scaling:
        return  # only the engine knows
    prompt, response = sampling.max_prompt_tokens, sampling.max_response_tokens
    if prompt + response > context:
        raise ConfigError(
            f"spec.algorithm.sampling: maxPromptTokens {prompt} + maxResponseTokens {response} are "
            f"more than the {context} tokens that the model in {model_dir} can hold."
        )


Fill = Callable[[Path], None]


def _once(target: Path, fill: Fill) -> Path:
    """Fills a temporary directory and renames it: complete or absent, whoever else tries too."""
    if not target.is_dir():
        temporary = target.with_name(f"{target.name}.tmp-{uuid.uuid4().hex[:8]}")
        try:
            temporary.mkdir(parents=True)
            fill(temporary)
            temporary.rename(target)
        except OSError as error:
            if not target.is_dir():
                raise StorageError(f"The model cannot be written to {target}: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return check_model(target)


def _download(name: str, revision: str, path: Path, progress: Progress) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    progress(f"Downloading {name}")
    try:
        snapshot_download(name, revision=revision or None, local_dir=path, allow_patterns=HF_FILES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in DISK_FAULTS:
            raise  # not the model's fault
        raise ModelError(
            f"The model hf://{name} cannot be downloaded: {one_line(error)}"
        ) from error
