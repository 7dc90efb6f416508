"""Builders of data sets, of files with rows, and of a local web server."""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import DataSet
from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.source import Prompts
from prorl_trainer.model.tiny import build_tokenizer
from serving import Quiet, serving

SPELL = "gym://reasoning-gym/spell_backward?min_word_len=3&max_word_len=4"
ROWS = [{"prompt": "1 + 1", "answer": "2"}, {"prompt": "2 + 2", "answer": "4"}]


def make_set(uri: str = SPELL, **fields: Any) -> DataSet:
    """A math set, a logic set where it is generated; `fields` in camelCase."""
    domain = "logic" if uri.startswith("gym://") else "math"
    return DataSet.model_validate({"name": "a", "domain": domain, "uri": uri} | fields)


def make_spec(
    train: Sequence[DataSet],
    held_out: Sequence[DataSet] = (),
    *,
    algorithm: Mapping[str, Any] | None = None,
    max_prompt: int = 128,
    **data: Any,
) -> ProRLJobSpec:
    """A job on these sets."""
    sets = [s.model_dump(by_alias=True) for s in train]
    blocks: dict[str, Any] = {"train": sets} | data
    if held_out:
        blocks["validation"] = {"sets": [s.model_dump(by_alias=True) for s in held_out]}
    sampling = {"maxPromptTokens": max_prompt, "maxResponseTokens": 8}
    return ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": blocks,
            "algorithm": {"sampling": sampling} | dict(algorithm or {}),
        }
    )


def make_cache(directory: Path, tries: int = 1) -> DataCache:
    """A cache that does not wait between tries."""
    return DataCache(directory / "data", lambda _: None, [0.0] * (tries - 1))


def make_prompts(spec: ProRLJobSpec, directory: Path, tokenizer: Any = None) -> Prompts:
    """The prompts of a job, with a character tokenizer that has a chat template."""
    return Prompts(spec, tokenizer or build_tokenizer(), make_cache(directory))


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    """A .jsonl or .parquet file."""
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of a response."""


@contextmanager
def serve(
    answer: Callable[[str, Mapping[str, str]], Answer], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A web server on this machine; `answer` gets the path and the headers of each request. Yields
    its base URL."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

    with serving(Handler, tls=tls) as port:
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}"
