"""The export of a real run, its offline repetition, its ranks, and vLLM as its reader."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawing import complete
from export_builders import make_export, make_trained
from learner_builders import build_model_dir, make_batch, make_settings
from local_run import MANIFEST, STEPS, LocalRun
from prorl_api.exit_codes import ExitCode
from prorl_api.spec_output import ExportDtype
from prorl_api.spec_roles import EngineKind
from prorl_trainer.export.policy_weights import PolicyWeights
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.rollout.vllm_engine import VllmEngine
from prorl_trainer.types import GenerationRequest
from transformers import AutoModelForCausalLM
from two_ranks import run_two

PRORL_EXPORT = (sys.executable, "-m", "prorl_cli.main", "export")


def export_again(run: LocalRun, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PRORL_EXPORT, *options], env=os.environ | {"PRORL_CACHE": str(run.cache)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_a_run_ends_with_its_export_which_the_offline_command_repeats(tmp_path: Path) -> None:
    out = tmp_path / "out" / "model"
    manifest = MANIFEST.replace("WARM", "150").replace(f"steps: {STEPS}", "steps: 2")
    manifest += f'  export: {{uri: "file://{out}", dtype: float32}}\n'
    (tmp_path / "cache").mkdir()
    run = LocalRun(directory=tmp_path / "run", cache=tmp_path / "cache", manifest=manifest)
    code, output = run.start().ended()
    assert code == 0, output + run.log()
    assert f"Exported: file://{out}" in output
    assert "trained for 2 of 2 steps" in (out / "README.md").read_text()

    code, output = run.start().ended()
    assert code == 0, "a finished run that is started again has its export already"

    again = export_again(run, str(run.directory), "--out", str(tmp_path / "b"), "--dtype=float32")
    assert again.returncode == 0, again.stderr
    names = {path.name for path in out.iterdir()}
    assert names == {path.name for path in (tmp_path / "b").iterdir()}
    assert all((out / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)

    lost = export_again(run, str(run.directory), "--out", str(tmp_path / "b"))
    assert lost.returncode == ExitCode.CONFIG
    assert "exists already" in lost.stderr
    assert "Traceback" not in lost.stderr


@pytest.mark.timeout(300)
def test_shards_of_two_ranks_are_read_as_one_model(tmp_path: Path) -> None:
    model_dir = build_model_dir(tmp_path / "model", tied=False)
    (tmp_path / "shards").mkdir()
    plan = [
        ("update", (make_batch(), make_settings())),
        ("save", (str(tmp_path / "shards"),)),
        ("weights", ()),
    ]
    wanted = run_two(model_dir, plan, tmp_path)[0][2]
    weights = PolicyWeights(str(tmp_path / "shards"), model_dir)
    assert weights.shapes.keys() == dict(wanted).keys()
    for name, tensor in dict(wanted).items():
        assert torch.equal(weights.read(name), tensor)


@pytest.mark.timeout(300)
async def test_vllm_loads_an_export_and_writes_what_transformers_writes(tmp_path: Path) -> None:
    trained = await asyncio.to_thread(make_trained, tmp_path / "run")
    make_export(trained, tmp_path / "model", ExportDtype.BFLOAT16)
    engine = VllmEngine(
        EngineSettings(
            kind=EngineKind.VLLM, model_dir=str(tmp_path / "model"), max_model_len=64, num_gpus=0,
            max_concurrent_sequences=4, seed=0,
        )
    )  # fmt: skip
    prompt = tuple(3 + 7 * j % 80 for j in range(40))
    request = GenerationRequest(
        request_id="r", prompt_token_ids=prompt, max_tokens=12, temperature=0.0, seed=0
    )
    try:
        (completion,) = await complete(engine.generate, [request])
    finally:
        engine.close()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    ids = torch.tensor(prompt)[None]
    mask = torch.ones_like(ids)
    answer = model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False)
    assert completion.token_ids == tuple(answer[0, len(prompt) :].tolist())
