"""prorl plan: counted numbers against hand-computed ones, and the verdict."""

import json
import tracemalloc
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from learner_builders import build_model_dir
from prorl_api.spec_roles import EngineKind
from prorl_api.validate import read_documents, read_manifest
from prorl_cli.arithmetic import Line, Section
from prorl_cli.budget import TOKEN_BYTES, plan_sections
from prorl_cli.main import main
from prorl_cli.quantity import parse_quantity
from prorl_cli.shapes import KNOWN_MODELS
from prorl_trainer.rollout.backend import wire_dtype

GIB = 2**30
DISTILL = KNOWN_MODELS["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
MANIFEST = """
apiVersion: prorl.dev/v1alpha1
kind: ProRLJob
metadata: {name: big}
spec:
  model: {uri: "hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}
  data: {train: [{name: a, domain: math, uri: "file:///a.jsonl"}]}
  algorithm:
    tokensPerMicrobatch: 9216
    sampling: {maxPromptTokens: 1024, maxResponseTokens: 8192}
  checkpoint: {storage: {pvc: {size: 110Gi}}}
  coordinator: {pod: {resources: {memory: 16Gi}}}
  trainer: {gpusPerReplica: 8, pod: {resources: {memory: 64Gi}}}
  rollout: {replicas: 2, gpusPerReplica: 1}
"""


def sections_of(text: str, gpu_memory: int = 80 * GIB) -> dict[str, Section]:
    job = read_manifest(read_documents(text)[0])  # type: ignore[index]
    found = plan_sections(job.spec, DISTILL, gpu_memory)  # type: ignore[union-attr]
    return {section.title.split(":")[0].split(" (")[0]: section for section in reversed(found)}


def lines_of(section: Section) -> dict[str, Line]:
    return {line.name.strip(): line for line in section.lines}


def test_the_trainers_budget_is_the_one_computed_by_hand() -> None:
    section = sections_of(MANIFEST)["Trainer"]
    assert "8 ranks, per GPU" in section.title
    lines = lines_of(section)
    n, root, layer = 1_777_088_000, 466_748_928, 46_797_824
    assert lines["weights, fp32"].value == n * 4 // 8
    assert lines["Adam moments, fp32"].value == n
    assert lines["gathered by FSDP, bf16"].value == 6 * root + 8 * layer
    # 16 x 1536 + 2 x (2 x 1536 + 2 x 256 + 4 x 8960) + 4 x 12 + 8 bytes of a token in a layer.
    assert lines["activations, bf16"].value == 9216 * 28 * 103_480
    checkpointed = lines["(activations, checkpointed, bf16)"]
    assert checkpointed.value == 9216 * (2 * 1536 * 28 + 103_480)
    assert not checkpointed.counted
    assert lines["log-prob chunk, fp32"].value == 2 * 256 * 151_936 * 4
    assert section.limit == 72 * GIB
    assert section.fits


@pytest.mark.parametrize(("replicas", "gpus", "of_a_pod"), [(1, 8, 8), (2, 4, 4), (3, 0, 1)])
def test_a_staged_checkpoint_is_counted_on_the_host(
    replicas: int, gpus: int, of_a_pod: int
) -> None:
    trainer = f"replicas: {replicas}, gpusPerReplica: {gpus},"
    text = MANIFEST.replace("gpusPerReplica: 8,", trainer)
    job = read_manifest(read_documents(text)[0])  # type: ignore[index]
    sections = plan_sections(job.spec, DISTILL, 80 * GIB)  # type: ignore[union-attr]
    [staged] = [lines_of(s)["staged checkpoint, fp32"] for s in sections
                if "staged checkpoint, fp32" in lines_of(s)]  # fmt: skip
    ranks = replicas * max(1, gpus)
    assert staged.counted
    assert staged.value == -(-of_a_pod * 16 * 1_777_088_000 // ranks)


def test_a_sequence_longer_than_the_microbatch_is_what_must_fit() -> None:
    small = MANIFEST.replace("tokensPerMicrobatch: 9216", "tokensPerMicrobatch: 64")
    assert sections_of(small)["Trainer"].total == sections_of(MANIFEST)["Trainer"].total


def test_precision_and_checkpointing_of_the_spec_are_what_is_counted() -> None:
    before = sections_of(MANIFEST)["Trainer"]
    again = sections_of(
        MANIFEST.replace("gpusPerReplica: 8,", "gpusPerReplica: 8, activationCheckpointing: true,")
    )["Trainer"]
    saved = 9216 * 28 * 103_480 - 9216 * (2 * 1536 * 28 + 103_480)
    assert before.total - again.total == saved
    fp32 = MANIFEST.replace("gpusPerReplica: 8,", "gpusPerReplica: 8, precision: fp32,")
    # 4 x (6 x 1536 + 2 x 1536 + 2 x 256 + 4 x 8960) + 4 x 12 + 8.
    assert lines_of(sections_of(fp32)["Trainer"])["activations, fp32"].value == 9216 * 28 * 194_616


def test_one_rank_in_fp32_gathers_nothing_and_divides_by_nothing() -> None:
    one = MANIFEST.replace("gpusPerReplica: 8,", "gpusPerReplica: 1, precision: fp32,")
    lines = lines_of(sections_of(one)["Trainer"])
    assert not [name for name in lines if name.startswith("gathered")]
    assert lines["weights, fp32"].value == 4 * 1_777_088_000


def test_the_engines_cache_is_the_one_computed_by_hand() -> None:
    section = sections_of(MANIFEST)["Rollout"]
    lines = lines_of(section)
    assert lines["cache per token"].value == 2 * 28 * 2 * 128 * 2
    room = int(0.92 * 80 * GIB) - 2 * 1_777_088_000 - 4 * GIB
    assert lines["tokens that fit"].value == room // 28_672 // 16 * 16
    assert lines["longest sequences at once"].value == 256
    assert section.fits
    tight = sections_of(MANIFEST, gpu_memory=8 * GIB)["Rollout"]
    assert lines_of(tight)["longest sequences at once"].value == 0
    assert not tight.fits


def test_checkpoints_must_fit_the_claim_with_one_more_being_written() -> None:
    section = sections_of(MANIFEST)["Checkpoints"]
    assert section.total == 4 * 16 * 1_777_088_000
    assert section.fits
    assert not sections_of(MANIFEST.replace("110Gi", "105Gi"))["Checkpoints"].fits


def test_weights_travel_in_the_engines_dtype() -> None:
    every = lines_of(sections_of(MANIFEST)["Every step"])
    assert every["weights to all engines"].value == 2 * 2 * 1_777_088_000
    assert every["response tokens at most"].value == 512 * 16 * 8192
    on_cpu = MANIFEST.replace("replicas: 2, gpusPerReplica: 1", "replicas: 2, gpusPerReplica: 0")
    for text, gpus, name in ((MANIFEST, 1, "bfloat16"), (on_cpu, 0, "float32")):
        assert wire_dtype(EngineKind.VLLM, gpus) == name
        width = getattr(torch, name).itemsize
        one = lines_of(sections_of(text)["Every step"])["weights to one engine"]
        assert one.value == width * 1_777_088_000


def test_a_token_of_a_completion_takes_what_is_counted_for_it() -> None:
    count = 20_000
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = (
            tuple([1000 + i for i in range(count)]),
            (True,) * count,
            tuple([i / 3 for i in range(count)]),
        )
        size = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(kept[0]) == count
    assert size / count == pytest.approx(TOKEN_BYTES, rel=0.01)


@pytest.mark.parametrize(("text", "size_bytes"), [
    ("80Gi", 80 * GIB), ("1.5Ki", 1536), ("64G", 64 * 10**9), ("12", 12), ("2000m", 2),
])  # fmt: skip
def test_quantities_are_those_of_kubernetes(text: str, size_bytes: int) -> None:
    assert parse_quantity(text) == size_bytes


def run_plan(tmp_path: Path, *options: str, text: str = MANIFEST) -> tuple[int, str]:
    (tmp_path / "job.yaml").write_text(text)
    result = CliRunner().invoke(main, ["plan", str(tmp_path / "job.yaml"), *options])
    return result.exit_code, result.output


def test_the_verdict_is_the_exit_code_and_what_does_not_fit_says_what_to_change(
    tmp_path: Path,
) -> None:
    code, output = run_plan(tmp_path)
    assert (code, output.splitlines()[-1]) == (0, "It fits.")
    assert "N x 4 / R = 1,777,088,000 x 4 / 8" in output
    code, output = run_plan(tmp_path, "--gpu-memory", "32Gi")
    assert (code, output.splitlines()[-1]) == (1, "It does not fit.")
    assert "0.9 x GPU memory: DOES NOT FIT. Set trainer.activationCheckpointing" in output


def test_json_says_the_same(tmp_path: Path) -> None:
    code, output = run_plan(tmp_path, "-o", "json", "--set", "spec.checkpoint.keep=9")
    document = json.loads(output)
    assert (code, document["fits"]) == (1, False)
    assert [s["title"] for s in document["sections"] if not s["fits"]] == ["Checkpoints"]
    assert document["sections"][0]["total"] == 1_777_088_000


def test_shapes_come_from_a_local_model_or_from_config(tmp_path: Path) -> None:
    build_model_dir(tmp_path)
    local = MANIFEST.replace("hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", f"file://{tmp_path}")
    unknown = MANIFEST.replace("DeepSeek-R1-Distill-Qwen-1.5B", "Other")
    _, first = run_plan(tmp_path, text=local)
    _, second = run_plan(tmp_path, "--config", str(tmp_path), text=unknown)
    assert "Model (llama)" in first
    assert first == second


@pytest.mark.parametrize(("options", "text", "says"), [
    ((), MANIFEST.replace("R1-Distill", "V9"), "are not known here; give its config.json"),
    (("--config", "/nowhere.json"), MANIFEST, "/nowhere.json cannot be read: No such file"),
    (("--gpu-memory", "lots"), MANIFEST, "'lots' is no quantity such as 80Gi"),
    ((), MANIFEST.replace("replicas: 2", "replicas: 0"), "spec.rollout.replicas"),
])  # fmt: skip
def test_what_cannot_be_planned_is_refused_with_the_reason(
    tmp_path: Path, options: tuple[str, ...], text: str, says: str
) -> None:
    code, output = run_plan(tmp_path, *options, text=text)
    assert code == 2
    assert says in output
