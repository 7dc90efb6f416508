"""Do engine and learner agree on the log-probs of the same tokens?

    python tests/bench/agreement.py [--model DIRECTORY] [--seeds 0 1 2] [--temperature 0.8]

vLLM draws responses and gives its log-probs (processed, so at the temperature), in float32 and in
bfloat16, each in a process of its own. The learner's Policy scores the same tokens packed, in fp32
and under bfloat16 autocast with fp32 weights and an fp32 head. Per seed and pair, with
d = lp_learner - lp_engine over all tokens: mean and max |d|, token_mult_prob_error = mean exp|d|,
gen_kl = mean(exp(d) - 1 - d); the table has the median and the range over the seeds. The default
model is a random Llama (4 layers, 256 wide, 512 tokens) with weights large enough that the
distributions are far from uniform; a trained one comes by --model.
"""

import argparse
import math
import os
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring

Drawn = list[tuple[list[int], list[int], list[float]]]
"""Prompt, response and the engine's log-probs, per sequence."""
PAIRS = [("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32")]
"""Engine, learner."""
NUMBERS = ("mean", "max", "token_mult_prob_error", "gen_kl")
small = partial(measuring.shown, digits=1, notation="e")


def main() -> None:
    """Measures and prints."""
    options = parse()
    if options.child:
        measuring.answer({"drawn": draw(options.child[0], options)})
        return
    machine, rows = measuring.machine(), []
    with tempfile.TemporaryDirectory() as directory:
        options.model = options.model or build_model(Path(directory))
        drawn = {e: draw_in_new_process(e, options) for e in {engine for engine, _ in PAIRS}}
        for engine, learner in PAIRS:
            rows.append(pair(engine, learner, drawn[engine], options))
            measuring.report("agreement", rows[-1] | machine)
    show(rows, machine)


def parse() -> Any:
    """Options, with those of a child."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a model in Hugging Face format")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64, help="longest response")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--child", nargs=1, help=argparse.SUPPRESS)
    return parser.parse_args()


def build_model(directory: Path) -> Path:
    """The default model."""
    from learner_builders import build_model_dir

    return build_model_dir(
        directory, vocab_size=512, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
        num_attention_heads=8, max_position_embeddings=1024, initializer_range=0.1,
    )  # fmt: skip


def draw_in_new_process(engine: str, options: Any) -> list[Drawn]:
    """One list of sequences per seed."""
    found: list[Drawn] = measuring.in_new_process(
        __file__, engine, "--model", options.model, "--prompts", options.prompts, "--tokens",
        options.tokens, "--temperature", options.temperature, "--seeds", *options.seeds,
    )["drawn"]  # fmt: skip
    return found


def draw(dtype: str, options: Any) -> list[Drawn]:
    """In the child: vLLM as the trainer runs it on a CPU, but for the dtype."""
    from prorl_trainer.rollout.vllm_engine import CPU_ENVIRONMENT

    for name, value in CPU_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=str(options.model), dtype=dtype, enforce_eager=True, skip_tokenizer_init=True,
        max_model_len=512, max_num_seqs=options.prompts, logprobs_mode="processed_logprobs", seed=0,
    )  # fmt: skip
    found = []
    for seed in options.seeds:
        params = SamplingParams(
            temperature=options.temperature, max_tokens=options.tokens, logprobs=0, seed=seed,
            ignore_eos=True, detokenize=False,
        )  # fmt: skip
        prompts = make_prompts(seed, options.prompts)
        outputs = llm.generate([{"prompt_token_ids": p} for p in prompts], params, use_tqdm=False)
        found.append([row(p, o.outputs[0]) for p, o in zip(prompts, outputs, strict=True)])
    return found


def make_prompts(seed: int, count: int) -> list[list[int]]:
    """Random tokens of random lengths."""
    rng = random.Random(seed)
    return [[rng.randrange(2, 48) for _ in range(rng.randrange(4, 64))] for _ in range(count)]


def row(prompt: list[int], output: Any) -> tuple[list[int], list[int], list[float]]:
    """Of a vLLM output."""
    tokens = list(output.token_ids)
    chosen = [entry[t].logprob for entry, t in zip(output.logprobs, tokens, strict=True)]
    return prompt, tokens, chosen


def pair(engine: str, learner: str, drawn: list[Drawn], options: Any) -> measuring.Row:
    """Engine against learner, a number per seed for each measure."""
    runs = [differences(score(learner, sequences, options), sequences) for sequences in drawn]
    spreads = {name: measuring.spread([r[name] for r in runs], digits=12) for name in NUMBERS}
    tokens = sum(len(response) for sequences in drawn for _, response, _ in sequences)
    return {"engine": engine, "learner": learner, "tokens": tokens, **spreads}


def score(dtype: str, sequences: Drawn, options: Any) -> list[float]:
    """The learner's log-probs, packed in microbatches of about 1024 tokens."""
    import torch
    from prorl_trainer.learn.packing import pack_rank
    from prorl_trainer.learn.policy import load_policy
    from prorl_trainer.types import TrainingSequence

    policy = load_policy(options.model, torch.device("cpu"))
    rows = [
        TrainingSequence(
            prompt_token_ids=tuple(p), response_token_ids=tuple(r), mask=(True,) * len(r),
            rollout_logprobs=tuple(lp), group=0, reward=0.0, advantage=float(i),
        )
        for i, (p, r, lp) in enumerate(sequences)
    ]  # fmt: skip
    found: dict[float, list[float]] = {}
    for m in pack_rank(rows, rank=0, world_size=1, max_tokens=1024):
        inputs = [
            torch.tensor(x) for x in (m.input_ids, m.position_ids, m.predict_index, m.targets)
        ]
        low = dtype == "bfloat16"
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            out = policy(*inputs, options.temperature)
        logprobs = out[0] if isinstance(out, tuple) else out
        for owner, logprob in zip(m.advantages, logprobs.tolist(), strict=True):
            found.setdefault(owner, []).append(logprob)
    return [logprob for owner in sorted(found) for logprob in found[owner]]


def differences(learner: list[float], sequences: Drawn) -> dict[str, float]:
    """The measures over all tokens."""
    engine = [logprob for _, _, logprobs in sequences for logprob in logprobs]
    d = [a - b for a, b in zip(learner, engine, strict=True)]
    return {
        "mean": math.fsum(map(abs, d)) / len(d),
        "max": max(map(abs, d)),
        "token_mult_prob_error": math.fsum(math.exp(abs(x)) for x in d) / len(d),
        "gen_kl": math.fsum(math.expm1(x) - x for x in d) / len(d),
    }


def show(rows: list[measuring.Row], machine: measuring.Row) -> None:
    """The table."""
    measuring.table(
        ["engine", "learner", "tokens", "mean |d|", "max |d|", "token_mult_prob_error", "gen_kl"],
        [
            [
                r["engine"], r["learner"], r["tokens"], small(r["mean"]), small(r["max"]),
                measuring.shown(r["token_mult_prob_error"], 7), small(r["gen_kl"]),
            ]
            for r in rows
        ],
    )  # fmt: skip
    measuring.describe(machine)


if __name__ == "__main__":
    main()
