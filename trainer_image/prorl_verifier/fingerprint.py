"""What verdicts depend on beyond the item and the flags, as one hash."""

import platform
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable

from prorl_verifier.plugins import installed

LIBRARIES = (
    "antlr4-python3-runtime", "latex2sympy2-extended", "math-verify", "msgspec", "reasoning-gym",
    "sympy",
)  # fmt: skip
"""They read, parse and compare answers."""


def dataset_hash() -> str:
    """SHA-256, in hex, of this package's files (scorers, tables, canaries), and the versions of the
    scoring libraries, the plug-ins and Python. Equal in two services if the same item gets the same
    verdict from both."""
    facts = sorted(
        [
            f"python {platform.python_version()}",
            *(f"library {name} {version(name)}" for name in LIBRARIES),
            *(
                f"plugin {found.name} {found.value} {found.dist and found.dist.version}"
                for found in installed()
            ),
            *(f"file {name} {digest}" for name, digest in _files(files(__package__))),
        ]
    )
    return sha256("\n".join(facts).encode()).hexdigest()


def _files(folder: Traversable, path: str = "") -> list[tuple[str, str]]:
    """Path and hash of every file of the package; what Python has compiled is none of it."""
    found = []
    for entry in folder.iterdir():
        name = f"{path}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            found += _files(entry, name)
        elif entry.is_file():
            found.append((name, sha256(entry.read_bytes()).hexdigest()))
    return found
