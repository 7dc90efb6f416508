"""Full garbage collections in quiet moments.

One stops everything for about 0.1 s with 100 jobs, and Python makes it when most objects are made:
in the middle of whatever is going on. So it is made when nothing waits, and what survives it is
frozen: until the next one Python looks only at what is younger.
"""

import asyncio
import gc
from collections.abc import Callable

PERIOD_S = 30.0
OLDEST = 50
"""Five times Python's own: it collects all the same when there never is a quiet moment, at the
latest after 350,000 more objects."""


async def collect_when_quiet(is_quiet: Callable[[], bool]) -> None:
    """At once, for what imports have made, then every PERIOD_S unless work waits. Never ends."""
    gc.set_threshold(700, 10, OLDEST)
    collect()
    while True:
        await asyncio.sleep(PERIOD_S)
        if is_quiet():
            collect()


def collect() -> None:
    """What was frozen before may be garbage by now."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
