"""Step time of the learner, packed, against the same step on padded batches.

    python tests/bench/packing.py [--shapes log-normal uniform] [--lengths FILE] [--repeats 5]

A step is what the learner does: log-probs of the old policy and of the reference, then loss,
gradients and an optimizer update. Packed: Learner.update. Padded: the same model on [B, T] batches
with an attention mask, in the order of arrival, as trainers without packing do it; transformer and
head both run on the padding. Both give the same loss and gradients, which is checked first.

Targets: padded time / packed time >= 0.9 · padded tokens / real tokens, and at most 1.05 between
the largest microbatch and the mean one. Times are CPU seconds of the process on one thread, the two
ways in turns; the model is random, so that nothing but the lengths matters.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
import torch
from learner_builders import VOCABULARY, build_model_dir, make_sequence, make_settings
from learner_rank import Recording, make_learner
from padded import padded_step
from prorl_trainer.learn.packing import pack_rank
from prorl_trainer.types import TrainingBatch

TOLERANCE = 1e-4
"""Of the largest gradient of a weight; fp32 sums in another order, over four layers."""


def main() -> None:
    """Measures and prints."""
    options = parse()
    torch.set_num_threads(1)
    machine, rows = measuring.machine(), []
    with tempfile.TemporaryDirectory() as directory:
        model_dir = build_model_dir(
            Path(directory), hidden_size=options.hidden, intermediate_size=3 * options.hidden,
            num_hidden_layers=options.layers, max_position_embeddings=4096, initializer_range=0.02,
        )  # fmt: skip
        for name, lengths in length_lists(options).items():
            rows.append(point(name, lengths, model_dir, options))
            measuring.report("packing", rows[-1] | machine)
    show(rows, machine)


def parse() -> Any:
    """Options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--lengths", type=Path, help="recorded lengths: a JSON list of integers")
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--budget", type=int, default=2048, help="tokens per microbatch")
    parser.add_argument("--padded-batch", type=int, default=8, help="sequences per padded batch")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def log_normal(rng: random.Random) -> int:
    """Median 40, a long tail, at most 400: the shape of responses of reasoning models."""
    return min(400, max(2, round(rng.lognormvariate(3.7, 0.9))))


def uniform(rng: random.Random) -> int:
    """From 2 to 200."""
    return rng.randint(2, 200)


SHAPES = {"log-normal": log_normal, "uniform": uniform}


def length_lists(options: Any) -> dict[str, list[int]]:
    """Fixed lists of tokens per response, by name."""
    found = {
        name: [SHAPES[name](rng) for _ in range(options.sequences)]
        for name in options.shapes
        for rng in [random.Random(0)]
    }
    if options.lengths:
        found[options.lengths.stem] = json.loads(options.lengths.read_text())
    return found


def make_batch(lengths: Sequence[int]) -> TrainingBatch:
    """Groups of eight random sequences with prompts of eight tokens."""
    rng = random.Random(1)
    rows = (make_sequence(rng, group=i // 8, prompt=8, response=n) for i, n in enumerate(lengths))
    return TrainingBatch(step=1, sequences=tuple(rows))


def point(name: str, lengths: list[int], model_dir: Path, options: Any) -> measuring.Row:
    """One length list: equality first, then time in turns."""
    batch = make_batch(lengths)
    longest = max(lengths) + 8
    settings = make_settings(
        num_updates=1, learning_rate=1e-6, tokens_per_microbatch=options.budget
    )
    packed, padded = make_learner(model_dir), make_learner(model_dir)
    difference = gradient_difference(packed, padded, batch, settings, options.padded_batch)
    if difference > TOLERANCE:
        raise AssertionError(f"{name}: gradients differ by {difference:.1e}")
    times = [
        (cpu_seconds(packed.update, batch, settings),
         cpu_seconds(padded_step, padded, batch, settings, options.padded_batch))
        for _ in range(options.repeats)
    ]  # fmt: skip
    return {
        "lengths": name, "sequences": len(lengths), "longest": longest,
        "budget": settings.tokens_per_microbatch, "padded_batch": options.padded_batch,
        "layers": options.layers, "hidden": options.hidden, "vocabulary": VOCABULARY,
        "packed_seconds": measuring.spread([a for a, _ in times]),
        "padded_seconds": measuring.spread([b for _, b in times]),
        "speed_up": measuring.spread([b / a for a, b in times]),
        "token_ratio": round(token_ratio(lengths, options.padded_batch), 3),
        "max_over_mean": round(max_over_mean(batch, settings.tokens_per_microbatch), 3),
        "gradient_difference": difference, "repeats": options.repeats,
    }  # fmt: skip


def gradient_difference(
    packed: Recording, padded: Recording, batch: TrainingBatch, settings: Any, size: int
) -> float:
    """The largest, each weight's over its largest gradient; also warms both up."""
    packed.update(batch, settings)
    padded_step(padded, batch, settings, size)
    expected = padded.gradients()
    return max(
        float((g - expected[n]).abs().max() / expected[n].abs().max())
        for n, g in packed.gradients().items()
    )


def cpu_seconds(call: Any, *arguments: Any) -> float:
    """Of this process."""
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


def token_ratio(lengths: Sequence[int], size: int) -> float:
    """Padded tokens over real ones, prompts included."""
    batches = [lengths[i : i + size] for i in range(0, len(lengths), size)]
    return sum(len(b) * (max(b) + 8) for b in batches) / sum(n + 8 for n in lengths)


def max_over_mean(batch: TrainingBatch, budget: int) -> float:
    """Tokens of the largest microbatch over those of the mean one."""
    packs = pack_rank(batch.sequences, rank=0, world_size=1, max_tokens=budget)
    sizes = [len(m.input_ids) for m in packs]
    return max(sizes) * len(sizes) / sum(sizes)


def show(rows: list[measuring.Row], machine: measuring.Row) -> None:
    """The table."""
    measuring.table(
        ["lengths", "packed s", "padded s", "speed-up", "token ratio", "share", "max/mean"],
        [
            [
                row["lengths"], measuring.shown(row["packed_seconds"]),
                measuring.shown(row["padded_seconds"]), measuring.shown(row["speed_up"]),
                row["token_ratio"], f"{row['speed_up']['median'] / row['token_ratio']:.2f}",
                row["max_over_mean"],
            ]
            for row in rows
        ],
    )  # fmt: skip
    measuring.describe(machine)


if __name__ == "__main__":
    main()
