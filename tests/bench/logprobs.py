"""Memory and time of log-probs, forward and backward: the learner's chunked head against naive
log_softmax over [T, V] logits.

    python tests/bench/logprobs.py [--tokens 1024 4096 16384 32768] [--hidden 64] [--repeats 3]

Every point runs in a process of its own; its memory is the peak of that process (VmHWM) less what
it held before the inputs were made. The floor is what this way of computing cannot do without:
chunk · V · 4 bytes for the logits of one chunk, the inputs (hidden states and head) and their
gradients. Naive is left out above --naive-up-to tokens and where the machine has not the memory for
three [T, V] arrays; both ways are linear in T, so a time per token compares with that of naive at
its largest T. The transformer below the head is a given tensor here. The default --hidden is small
so that a CPU can do it. Times are CPU seconds of the process: neighbours disturb them less.

Targets: memory <= 1.2 floors, time <= 1.1 naive, gradients within 1e-5 of the largest one.
"""

import argparse
import time
from types import SimpleNamespace
from typing import Any

import measuring

VOCABULARY = 151_936
"""Of Qwen 2.5 and of its distilled descendants."""
TEMPERATURE = 0.8
COMPARED_TOKENS = 512
"""For the gradients of both ways, which are held at once."""


def main() -> None:
    """Measures and prints."""
    options = parse()
    if options.child:
        variant, tokens = options.child
        measuring.answer(measure(variant, int(tokens), options))
        return
    machine, rows = measuring.machine(), []
    for tokens in options.tokens:
        for variant in ("chunked", "naive"):
            if variant == "naive" and not naive_fits(tokens, options):
                continue
            rows.append(point(variant, tokens, options))
            measuring.report("logprobs", rows[-1] | machine)
    difference = run_child("compare", COMPARED_TOKENS, options)
    measuring.report("logprobs", difference | machine)
    show(rows, difference, machine)


def parse() -> Any:
    """Options, with those of a child."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096, 16_384, 32_768])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--naive-up-to", type=int, default=4096, metavar="TOKENS")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def naive_fits(tokens: int, options: Any) -> bool:
    """Logits, log-probs and a gradient, with room to spare."""
    wanted = 3.5 * tokens * options.vocabulary * 4
    return tokens <= options.naive_up_to and wanted < measuring.free_bytes()


def run_child(variant: str, tokens: int, options: Any) -> measuring.Row:
    """One measurement in a fresh process."""
    return measuring.in_new_process(
        __file__, variant, tokens, "--hidden", options.hidden, "--vocabulary",
        options.vocabulary, "--threads", options.threads,
    )  # fmt: skip


def point(variant: str, tokens: int, options: Any) -> measuring.Row:
    """All repeats of one point."""
    runs = [run_child(variant, tokens, options) for _ in range(options.repeats)]
    memory = measuring.spread([r["bytes"] / r["floor_bytes"] for r in runs])
    return {
        "variant": variant, "tokens": tokens, "hidden": options.hidden,
        "vocabulary": options.vocabulary, "threads": options.threads, "repeats": options.repeats,
        "floor_mib": round(runs[0]["floor_bytes"] / 2**20), "memory_over_floor": memory,
        "memory_mib": measuring.spread([r["bytes"] / 2**20 for r in runs]),
        "cpu_ms_per_token": measuring.spread([r["seconds"] / tokens * 1e3 for r in runs]),
        "wall_seconds": measuring.spread([r["wall_seconds"] for r in runs]),
    }  # fmt: skip


def show(rows: list[measuring.Row], difference: measuring.Row, machine: measuring.Row) -> None:
    """The table: time of a chunked point is over the naive one of the most tokens that fitted."""
    naive = [r for r in rows if r["variant"] == "naive"]
    lines = []
    for row in rows:
        base = next((n for n in naive if n["tokens"] == row["tokens"]), naive[-1] if naive else row)
        ratio = row["cpu_ms_per_token"]["median"] / base["cpu_ms_per_token"]["median"]
        lines.append(
            [
                row["variant"], row["tokens"], row["floor_mib"],
                measuring.shown(row["memory_mib"], 0), measuring.shown(row["memory_over_floor"]),
                measuring.shown(row["cpu_ms_per_token"]), f"{ratio:.2f}",
            ]
        )  # fmt: skip
    measuring.table(
        ["way", "tokens", "floor MiB", "peak MiB", "peak / floor", "CPU ms/token", "time / naive"],
        lines,
    )
    print(f"\ngradients differ by {difference['gradient_difference']:.1e} of the largest one")
    measuring.describe(machine)


def measure(variant: str, tokens: int, options: Any) -> measuring.Row:
    """In the child: one forward and backward pass, or both ways compared."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    backward = {"chunked": chunked, "naive": naive}
    for run in backward.values():  # imports, kernels and their buffers
        run(*make_inputs(8, options.hidden, 1000))
    if variant == "compare":
        return compare(*make_inputs(tokens, options.hidden, options.vocabulary))
    before = measuring.own_memory("VmRSS")
    inputs = make_inputs(tokens, options.hidden, options.vocabulary)
    start, wall = time.process_time(), time.perf_counter()
    backward[variant](*inputs)
    return {
        "seconds": time.process_time() - start,
        "wall_seconds": time.perf_counter() - wall,
        "bytes": measuring.own_memory("VmHWM") - before,
        "before_bytes": before,
        "floor_bytes": floor_bytes(tokens, options.hidden, options.vocabulary),
    }


def floor_bytes(tokens: int, hidden: int, vocabulary: int) -> int:
    """fp32 logits of one chunk, inputs, gradients."""
    from prorl_trainer.algo.head import ROWS_PER_CHUNK

    chunk = min(ROWS_PER_CHUNK, tokens)
    return 4 * (chunk * vocabulary + 2 * (tokens + vocabulary) * hidden)


def make_inputs(tokens: int, hidden: int, vocabulary: int) -> Any:
    """Hidden states [T, D] and head [V, D], both with gradients, and targets and weights [T]."""
    import torch

    states = torch.randn(tokens, hidden, requires_grad=True)
    head = torch.nn.Linear(hidden, vocabulary, bias=False)
    return states, head, torch.randint(vocabulary, (tokens,)), torch.randn(tokens)


def chunked(states: Any, head: Any, targets: Any, weights: Any) -> None:
    """As the learner does it: through Policy, with the transformer's output given."""
    import torch
    from prorl_trainer.learn.policy import Policy

    class Given(torch.nn.Module):
        """A causal language model whose last hidden states are known."""

        def __init__(self) -> None:
            super().__init__()
            self.lm_head = head

        def model(self, **_: Any) -> Any:
            """Stands for the transformer."""
            return SimpleNamespace(last_hidden_state=states[None])

    index = torch.arange(len(targets))
    Policy(Given())(
        index, index, index, targets, TEMPERATURE,
        token_loss=lambda rows, logprobs, _: (logprobs * weights[rows]).sum() / len(targets),
    ).loss.backward()  # fmt: skip


def naive(states: Any, head: Any, targets: Any, weights: Any) -> None:
    """The whole [T, V] logits."""
    logprobs = (head(states) / TEMPERATURE).log_softmax(-1)
    chosen = logprobs.gather(1, targets[:, None])[:, 0]
    (chosen * weights).mean().backward()


def compare(states: Any, head: Any, targets: Any, weights: Any) -> measuring.Row:
    """The largest difference of the two ways' gradients, over the largest gradient."""
    found = []
    for run in (chunked, naive):
        states.grad = head.weight.grad = None
        run(states, head, targets, weights)
        found.append((states.grad, head.weight.grad))
    differences = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(*found, strict=True)]
    return {"tokens": len(targets), "gradient_difference": max(differences)}


if __name__ == "__main__":
    main()
