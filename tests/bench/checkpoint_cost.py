"""What a checkpoint costs a training loop, against writing its bytes raw.

    python tests/bench/checkpoint_cost.py [--parameters 200e6] [--repeats 5] [--ways ours raw]

Steps of a real learner go on while its state (policy, both moments of Adam, reference, all fp32) is
saved by the product's own way: staged, written, fsynced, hashed, committed, the old one pruned.
Cost = seconds that the loop waited + what the steps took longer while the save was in flight than
those before and after it; and the same in CPU seconds of the steps' thread, which other people's
load does not touch, but neither does a core that the writer takes away. It is compared with the
seconds that O_DIRECT writes and an fsync need for as many bytes on the same disk, in the same run.
Peers, in turns with it: torch's distributed checkpoint, asynchronous, on the same steps; the same
synchronous, and torch.save with an fsync, for which the loop just waits.

Target: cost <= 0.15 of the raw write time. --sample is a small state, one repeat. It needs about 40
bytes of memory and 70 of disk per parameter.
"""

import argparse
import asyncio
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
import torch
import torch.distributed.checkpoint as dcp
from learner_builders import build_model_dir, make_batch, make_settings
from measuring import Row
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.learn.local import InProcessLearnerGroup
from prorl_trainer.saves import Saves

HIDDEN, INTERMEDIATE = 1024, 3072
BLOCK_BYTES = 16 * 2**20
BYTES_PER_PARAMETER = 16
STEPS_AROUND = 3
"""Undisturbed steps before and after each save."""
TARGET = 0.15
OURS, RAW = "ours", "raw"
WAYS = [OURS, "DCP async_save", "DCP save", "torch.save", RAW]
"""By turns, in each repeat."""

Ended = Callable[[], bool]
Begin = Callable[[], Awaitable[Ended]]


def main() -> None:
    """Measures and prints."""
    options = parse()
    machine = measuring.machine()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="checkpoint-cost-") as name:
        rows = asyncio.run(measure(Path(name), options))
    for row in rows:
        measuring.report("checkpoint_cost", row | machine)
    show(rows)
    measuring.describe(machine)


def parse() -> Any:
    """Options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parameters", type=float, default=200e6)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the training steps")
    parser.add_argument("--directory", type=Path, help="on the disk in question; default: /tmp")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="default: all")
    parser.add_argument("--sample", action="store_true", help="8e6 parameters, one repeat")
    options = parser.parse_args()
    options.ways = {*options.ways, OURS, RAW}
    if options.sample:
        options.parameters, options.repeats = 8e6, 1
    return options


class Bench:
    """One learner, and the ways to save what it holds."""

    def __init__(self, directory: Path, options: Any) -> None:
        # Queries, keys, values and output, and three matrices of the MLP.
        per_layer = 4 * HIDDEN**2 + 3 * HIDDEN * INTERMEDIATE
        layers = max(1, round(options.parameters / per_layer))
        model_dir = build_model_dir(
            directory / "model", hidden_size=HIDDEN, intermediate_size=INTERMEDIATE,
            num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=16,
            initializer_range=0.02,
        )  # fmt: skip
        self.group = InProcessLearnerGroup(model_dir)
        torch.set_num_threads(options.threads)
        self.store = CheckpointStore(Directory(directory / "checkpoints"), keep=2)
        self.store.open_for_attempt(1)
        self.saves = Saves(self.store, self._written, lambda _: nullcontext())
        self.size_bytes = 0
        self.batch, self.settings = make_batch(groups=1, samples=2), make_settings(num_updates=1)
        self._directory = directory
        self._count = 0

    def _written(self, manifest: Any, *_: object) -> None:
        self.size_bytes = manifest.size_bytes

    async def step(self) -> torch.Tensor:
        """Seconds and CPU seconds of a training step, in a thread as a rank of its own has one."""
        return await asyncio.to_thread(self._step)

    def _step(self) -> torch.Tensor:
        start = time.monotonic(), time.thread_time()
        self.group.learner.update(self.batch, self.settings)
        return torch.tensor([time.monotonic() - start[0], time.thread_time() - start[1]])

    def fresh(self) -> Path:
        """A path that is not there yet."""
        self._count += 1
        return self._directory / f"peer-{self._count}"

    async def ours(self) -> Ended:
        """Begins a save of the product."""
        self._count += 1
        state = RunState(job_uid="u", job_name="bench", spec_hash="h", step=self._count)
        await self.saves.begin(state, self.group)
        save = asyncio.create_task(self.saves.settle())

        def ended() -> bool:
            if save.done():
                save.result()
            return save.done()

        return ended

    async def dcp_async(self) -> Ended:
        """Begins torch's asynchronous save."""
        writer = dcp.FileSystemWriter(self.fresh(), sync_files=True)
        save: Any = dcp.async_save(self.group.learner._state(), storage_writer=writer, no_dist=True)

        def ended() -> bool:
            if save.done():
                save.result()
            return bool(save.done())

        return ended

    def dcp_sync(self) -> None:
        """torch's distributed checkpoint, durable."""
        writer = dcp.FileSystemWriter(self.fresh(), sync_files=True)
        dcp.save(self.group.learner._state(), storage_writer=writer, no_dist=True)

    def torch_save(self) -> None:
        """One file, durable."""
        with self.fresh().open("wb") as file:
            torch.save(self.group.learner._state(), file)
            file.flush()
            os.fsync(file.fileno())

    def raw(self) -> None:
        """As many bytes by O_DIRECT, and an fsync."""
        block = mmap.mmap(-1, BLOCK_BYTES)  # aligned to pages, as O_DIRECT wants it
        block.write(os.urandom(BLOCK_BYTES))
        flags = os.O_WRONLY | os.O_CREAT | os.O_DIRECT
        descriptor = os.open(self.fresh(), flags, 0o600)
        try:
            for _ in range(-(-self.size_bytes // BLOCK_BYTES)):
                os.write(descriptor, block)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            block.close()

    def clean(self) -> None:
        """Removes what peers have written, and has the disk do so before the next one begins."""
        for path in self._directory.glob("peer-*"):
            for file in [path] if path.is_file() else [*path.iterdir()]:
                file.unlink()
        os.sync()


async def measure(directory: Path, options: Any) -> list[Row]:
    """A row for each way to save."""
    bench = Bench(directory, options)
    await overlapped(bench, bench.ours)  # pages of the copy, and whatever else comes only once
    found: dict[str, list[Row]] = {}
    for _ in range(options.repeats):
        for name in filter(options.ways.__contains__, WAYS):
            found.setdefault(name, []).append(await once(bench, name))
            bench.clean()
    raw = [row["blocked_s"] for row in found[RAW]]
    return [summary(name, rows, raw, bench.size_bytes) for name, rows in found.items()]


async def once(bench: Bench, way: str) -> Row:
    """Times of one save."""
    behind = {OURS: bench.ours, "DCP async_save": bench.dcp_async}
    if way in behind:
        return await overlapped(bench, behind[way])
    return waited({"DCP save": bench.dcp_sync, "torch.save": bench.torch_save, RAW: bench.raw}[way])


async def overlapped(bench: Bench, begin: Begin) -> Row:
    """Steps before, during and after one save. Times in seconds."""
    around = [await bench.step() for _ in range(STEPS_AROUND)]
    start = time.monotonic()
    ended = await begin()
    blocked, during = time.monotonic() - start, [torch.zeros(2)]
    while not ended():
        during.append(await bench.step())
    written = time.monotonic() - start
    around += [await bench.step() for _ in range(STEPS_AROUND)]
    usual = torch.stack(around).mean(0)
    slower = (torch.stack(during).sum(0) - (len(during) - 1) * usual).tolist()
    return {"blocked_s": blocked, "slower_s": slower[0], "slower_cpu_s": slower[1],
            "cost_s": blocked + slower[0], "cost_cpu_s": blocked + slower[1],
            "until_durable_s": written, "step_s": usual[0].item()}  # fmt: skip


def waited(save: Callable[[], None]) -> Row:
    """The loop stands still."""
    start = time.monotonic()
    save()
    seconds = time.monotonic() - start
    return {"blocked_s": seconds, "slower_s": 0.0, "slower_cpu_s": 0.0, "cost_s": seconds,
            "cost_cpu_s": seconds, "until_durable_s": seconds}  # fmt: skip


def summary(name: str, rows: list[Row], raw: list[float], size_bytes: int) -> Row:
    """Medians with their range; each cost over the raw write of the same repeat."""
    row: Row = {key: measuring.spread([r[key] for r in rows], 3) for key in rows[0]}
    ratios = {
        f"{cost}_over_raw": [r[f"{cost}_s"] / s for r, s in zip(rows, raw, strict=True)]
        for cost in ("cost", "cost_cpu")
    }
    row |= {key: measuring.spread(values, 3) for key, values in ratios.items()}
    return {"way": name, "size_bytes": size_bytes, "repeats": len(rows)} | row


def show(rows: list[Row]) -> None:
    """The table."""
    head = ["way", "loop waits, s", "steps slower, s", "in CPU s", "cost / raw", "with CPU s",
            "durable after, s"]  # fmt: skip
    keys = ("blocked_s", "slower_s", "slower_cpu_s", "cost_over_raw", "cost_cpu_over_raw",
            "until_durable_s")  # fmt: skip
    measuring.table(head, [[r["way"], *(measuring.shown(r[k]) for k in keys)] for r in rows])
    size = rows[0]["size_bytes"]
    raw = next(r for r in rows if r["way"] == "raw")["cost_s"]["median"]
    steps = measuring.shown(rows[0]["step_s"])
    print(f"\n{size / 2**30:.2f} GiB, raw {size / raw / 1e9:.2f} GB/s, a step takes {steps} s. "
          f"Target: cost / raw <= {TARGET}.")  # fmt: skip


if __name__ == "__main__":
    main()
