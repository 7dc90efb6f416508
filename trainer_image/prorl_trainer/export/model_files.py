"""The files of a model that are not weights: config, tokenizer, chat template."""

import json
import shutil
from pathlib import Path

from prorl_api.spec_output import ExportDtype

from prorl_trainer.errors import ModelError

COPIED = ("*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "NOTICE*")
WEIGHTS = ("*.safetensors.index.json", "pytorch_model.bin.index.json")
OWN = ("README.md", "export.json")


def copy_model_files(model_dir: Path, target: Path, dtype: ExportDtype) -> None:
    """Byte for byte, but for the number format in config.json. Raises OSError, ModelError."""
    left_out = {path.name for pattern in WEIGHTS for path in model_dir.glob(pattern)}
    for path in sorted({path for pattern in COPIED for path in model_dir.glob(pattern)}):
        if path.is_file() and path.name not in left_out | {*OWN, "config.json"}:
            shutil.copyfile(path, target / path.name)
    config = json.loads((model_dir / "config.json").read_bytes())
    if not isinstance(config, dict):
        raise ModelError(f"{model_dir / 'config.json'} must hold an object.")
    # Older versions of transformers wrote and read torch_dtype.
    keys = [key for key in ("dtype", "torch_dtype") if key in config] or ["dtype"]
    config |= dict.fromkeys(keys, str(dtype))
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
