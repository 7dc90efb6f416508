"""Parts of the loop for tests that need only a few of them."""

from dataclasses import fields
from typing import Any, NoReturn

from prorl_api.job import ProRLJobSpec
from prorl_trainer.loop import Parts


def unplanned(*_: Any) -> NoReturn:
    """Stands for a part that a test does not reckon with."""
    raise AssertionError("this part is not to be asked for anything")


def make_parts(spec: ProRLJobSpec, **parts: Any) -> Parts:
    """Whatever is not given is unplanned."""
    others = {field.name: unplanned for field in fields(Parts)}
    return Parts(**(others | {"spec": spec} | parts))
