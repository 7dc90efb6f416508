"""What a person would write with the libraries, in one process: reads completions as JSON lines,
scores each, writes scores as JSON lines.

    python tests/bench/verifier/bare.py math COMPLETIONS.jsonl SCORES.jsonl

math is math_verify's parse and verify with its own limits of time, logic reasoning-gym's
score_answer. stem and instruction have no library: the scorers of this repository, without the
service. The last line on stdout has CPU seconds per completion: of all but the imports, and of the
scorer's calls alone.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from prorl_verifier.worker import GRADERS

Sample = dict[str, Any]
SCORER_CPU_S = 3.0
SLICE = 50


def score_math(sample: Sample) -> float:
    """As the library's own documentation does."""
    from math_verify import parse, verify

    return float(verify(parse(f"${sample['answer']}$"), parse(sample["completion"])))


def score_logic(sample: Sample) -> float:
    """The data set's own scorer of the answer without its tags."""
    answer = sample["completion"].rpartition("<answer>")[2].removesuffix("</answer>")
    meta = sample["meta"]
    try:
        return float(dataset(meta["dataset"]).score_answer(answer, meta["entry"]))
    except ValueError:  # some of them expect numbers
        return 0.0


@cache
def dataset(name: str) -> Any:
    """Of reasoning-gym; a sample brings its own entry."""
    from reasoning_gym.factory import create_dataset

    return create_dataset(name, seed=0, size=1)


def score_own(sample: Sample) -> float:
    """By a scorer of ours."""
    return GRADERS[sample["verifier"]](sample["answer"], sample["meta"])(sample["completion"])[0]


SCORERS: dict[str, Callable[[Sample], float]] = {
    "math": score_math, "numbers": score_math, "logic": score_logic, "stem": score_own,
    "instruction": score_own,
}  # fmt: skip


def warm(score: Callable[[Sample], float], path: Path) -> None:
    """Imports, and one of every data set: a worker has them as well."""
    seen = set()
    for line in path.read_text().splitlines():
        sample = json.loads(line)
        if (name := sample["meta"].get("dataset")) not in seen:
            seen.add(name)
            score(sample)


def main() -> None:
    """See the module."""
    domain, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    score = SCORERS[domain]
    warm(score, source)
    begin = time.process_time()
    with source.open("rb") as completions, target.open("w") as scores:
        for line in completions:
            sample = json.loads(line)
            scores.write(json.dumps({"id": sample["id"], "score": score(sample)}) + "\n")
    whole_s = (time.process_time() - begin) / len(source.read_text().splitlines())
    print(json.dumps({"whole_s": whole_s, "scorer_s": scorer_alone(score, source)}))


def scorer_alone(score: Callable[[Sample], float], path: Path) -> float:
    """CPU seconds of a call, on average of all or of what SCORER_CPU_S allow."""
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    number, begin = 0, time.process_time()
    while number < len(samples) and time.process_time() - begin < SCORER_CPU_S:
        for sample in samples[number : number + SLICE]:
            score(sample)
        number += SLICE
    return (time.process_time() - begin) / min(number, len(samples))


if __name__ == "__main__":
    main()
