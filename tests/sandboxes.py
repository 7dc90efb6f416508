"""Levels of isolation that this machine has, and programs for them."""

from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.levels import Isolation

STRONGEST = detect.strongest()
LEVELS = [level for level in Isolation if Isolation.NONE < level <= STRONGEST]
ANSWER = {"function": "f", "tests": [{"args": [x], "expected": x + 1} for x in range(3)]}
RIGHT = "```python\ndef f(x):\n    return x + 1\n```"
SLEEPS = "```python\nimport time\ntime.sleep(1e9)\n```"
