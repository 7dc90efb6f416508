"""The run's state as the JSON files of a checkpoint, and back."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from prorl_trainer.checkpoint.manifest import STATE
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.types import CarriedGroup

CARRIED = "carried.json"
"""The groups that wait for the next step: there only if there are any, and as large as they are."""

DOCUMENTS = (STATE, CARRIED)
_GROUPS = TypeAdapter(tuple[CarriedGroup, ...])


def documents(state: RunState) -> dict[str, bytes]:
    """File name -> content."""
    found = {STATE: state.model_dump_json(by_alias=True).encode()}
    return found | ({CARRIED: _GROUPS.dump_json(state.carried)} if state.carried else {})


def parse_state(files: Mapping[str, bytes]) -> RunState:
    """What documents wrote. Raises ValueError."""
    if STATE not in files:
        raise ValueError(f"{STATE} is missing")
    state = RunState.model_validate_json(files[STATE])
    if CARRIED not in files:
        return state
    groups = _GROUPS.validate_json(files[CARRIED], strict=True)
    return state.model_copy(update={"carried": groups})
