"""`python -m prorl_trainer.checkpoint`: checkpoints seen offline. `prorl checkpoints` calls it."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.listing import Row, compare_checkpoints, list_checkpoints
from prorl_trainer.checkpoint.medium import Medium
from prorl_trainer.errors import CheckpointError, TrainingError

COLUMNS = ("step", "attempt", "created", "sizeBytes", "referenceVersion", "best", "state")


def main() -> None:
    """Exits with an ExitCode; with that of a checkpoint error if one is bad."""
    arguments = _parser().parse_args()
    try:
        medium = find_store(arguments.source)
        if arguments.compare:
            rows = compare_checkpoints(medium, *arguments.compare)
        else:
            rows = list_checkpoints(medium, hashes=arguments.verify)
    except TrainingError as error:
        print(f"prorl checkpoints: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if arguments.output == "json":
        print(json.dumps(rows, indent=2))
    else:
        print("\n".join(_differences(rows) if arguments.compare else _table(rows)))
    sys.exit(CheckpointError.exit_code if any(row.get("state") == "bad" for row in rows) else 0)


def find_store(source: str) -> Medium:
    """s3://BUCKET/PREFIX, a directory of checkpoints or of a run, or the name of one in ./runs.
    Raises CheckpointError, ConfigError."""
    if source.startswith("s3://"):
        from prorl_trainer.checkpoint.bucket import Bucket  # its library is large
        from prorl_trainer.checkpoint.objects import Objects

        return Bucket(Objects(source))
    places = [Path(source), Path("runs") / source]
    for path in (p for place in places for p in (place / "checkpoints", place)):
        medium = Directory(path)
        if medium.steps() or medium.aside():
            return medium
    raise CheckpointError(f"There is no checkpoint in {places[0]} or {places[1]}.")


def _table(rows: list[Row]) -> list[str]:
    if not rows:
        return ["no checkpoints"]
    cells = [[c.upper() for c in COLUMNS], *([_cell(row, c) for c in COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells]


def _cell(row: Row, column: str) -> str:
    if column == "step":
        return str(row.get("step", row.get("name")))
    if column == "state" and "reason" in row:
        return f"bad: {row['reason']}"
    if column == "created" and column in row:
        return datetime.fromtimestamp(row[column], tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = row.get(column, "")
    return ("yes" if value else "") if isinstance(value, bool) else str(value)


def _differences(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        values = row.get("checksum") or row["values"]
        words = [str(v)[:12] if "checksum" in row else json.dumps(v)[:200] for v in values]
        lines.append(f"{row.get('file') or row['field']}: {words[0]} -> {words[1]}")
    return lines or ["no difference"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prorl_trainer.checkpoint", description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--compare", type=int, nargs=2, metavar="STEP")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    return parser


if __name__ == "__main__":
    main()
