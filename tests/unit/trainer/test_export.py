"""An export is the checkpoint's policy, whole or not at all, and its card tells the truth."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from export_builders import Trained, make_document, make_export, make_state
from export_builders import make_trained as make_trained_in
from full_disk import full_disk
from hypothesis import given
from hypothesis import strategies as st
from learner_builders import build_model_dir
from prorl_api.spec_output import ExportDtype
from prorl_trainer.errors import CheckpointError, ConfigError, StorageError
from prorl_trainer.export.__main__ import find_checkpoint
from prorl_trainer.export.card import CardFacts, build_card
from prorl_trainer.export.export import write_export
from prorl_trainer.export.manifest import ExportManifest, sha256
from prorl_trainer.export.policy_weights import PolicyWeights
from prorl_trainer.export.safetensors_file import split_files
from prorl_trainer.export.target import DirectoryTarget
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return make_trained_in(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "model"
    make_export(trained, out)
    return out


def load(directory: Path) -> tuple[AutoModelForCausalLM, AutoTokenizer]:
    model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto", local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(directory, local_files_only=True)


def test_transformers_loads_the_weights_bit_for_bit(trained: Trained, exported: Path) -> None:
    model, _ = load(exported)
    wanted = dict(trained.group.learner.named_weights())
    found = dict(model.named_parameters())
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    initial, _ = load(trained.model_dir)
    assert not torch.equal(initial.model.norm.weight, model.model.norm.weight), "it has learned"


def test_the_export_continues_a_chat_as_the_learners_policy_does(
    trained: Trained, exported: Path
) -> None:
    model, tokenizer = load(exported)
    chat = [{"role": "user", "content": "spell backward: abc"}]
    texts = []
    policy, _ = load(trained.model_dir)
    policy.load_state_dict(dict(trained.group.learner.named_weights()), strict=False)
    for network in (model, policy):
        ids = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        answer = network.generate(**ids, max_new_tokens=12, do_sample=False)
        texts.append(tokenizer.decode(answer[0]))
    assert texts[0] == texts[1]
    assert len(texts[0]) > len("spell backward: abc")


def test_bfloat16_weights_are_the_rounded_ones_and_the_config_says_so(
    trained: Trained, tmp_path: Path
) -> None:
    make_export(trained, tmp_path / "model", ExportDtype.BFLOAT16)
    model, _ = load(tmp_path / "model")
    for name, tensor in trained.group.learner.named_weights():
        found = model.get_parameter(name)
        assert found.dtype is torch.bfloat16
        assert torch.equal(found, tensor.to(torch.bfloat16))


def test_large_models_are_split_into_files_with_an_index(trained: Trained, tmp_path: Path) -> None:
    make_export(trained, tmp_path / "model", max_file_bytes=20_000)
    names = sorted(p.name for p in (tmp_path / "model").glob("*.safetensors"))
    assert len(names) > 2
    assert names[0] == f"model-00001-of-{len(names):05}.safetensors"
    model, _ = load(tmp_path / "model")
    wanted = dict(trained.group.learner.named_weights())
    assert all(torch.equal(model.get_parameter(n), t) for n, t in wanted.items())
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in wanted.values())


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    max_elements=st.integers(1, 120),
)
def test_files_hold_every_tensor_once_in_order_and_no_more_than_they_may(
    sizes: list[int], max_elements: int
) -> None:
    shapes = {f"t{i}": [size] for i, size in enumerate(sizes)}
    files = split_files(shapes, ExportDtype.FLOAT32, max_bytes=4 * max_elements)
    assert [name for file in files for name in file.tensors] == list(shapes)
    for file in files:
        total = sum(shapes[name][0] for name in file.tensors)
        assert total <= max_elements or len(file.tensors) == 1


def test_the_manifest_names_checkpoint_and_files_with_their_hashes(
    trained: Trained, exported: Path
) -> None:
    manifest = ExportManifest.model_validate_json((exported / "export.json").read_bytes())
    assert (manifest.job_uid, manifest.step, manifest.reference_version) == ("5b0f", 9, 1)
    assert manifest.checkpoint_sha256 == sha256(trained.source.checkpoint / "manifest.json")
    others = {p.name: sha256(p) for p in exported.iterdir() if p.name != "export.json"}
    assert {name: entry.sha256 for name, entry in manifest.files.items()} == others


def test_the_card_says_what_was_measured_and_where_it_is_from(
    trained: Trained, exported: Path
) -> None:
    card = (exported / "README.md").read_text()
    assert "base_model: acme/small" in card
    assert "trained for 9 of 9 steps" in card
    # The second attempt's step 4 counts; step 12 is beyond the checkpoint.
    assert "| | step 0 (first) | step 4 (best) | step 9 (last) |" in card
    assert "| accuracy_sums | 0.1250 | 0.5000 | 0.3750 |" in card
    assert "Mean score of 4 samples per prompt at temperature 1.0" in card
    assert "Reference resets: step 2: Interval." in card
    assert "| a | train | math | 3 | `file:///a.jsonl` | rows-0 |" in card
    assert "| sums | held out | math |  | `file:///held.jsonl` | rows-1 |" in card
    assert "credentialsSecret" not in card, "the job names one"
    assert sha256(trained.source.checkpoint / "manifest.json") in card
    assert "trained with | torch 1.2.3 |" in card


def test_a_card_claims_nothing_that_was_not_measured() -> None:
    state = make_state(make_document(), step=3)
    facts = CardFacts(
        state=state, spec=None, records=[], dtype=ExportDtype.BFLOAT16, checkpoint_sha256="c",
        versions={},
    )  # fmt: skip
    card = build_card(facts)
    assert "Nothing was held out or measured, so nothing is claimed." in card
    assert "base_model" not in card
    assert f"The recipe is that of the job with spec hash `{state.spec_hash}`." in card
    assert "rounded from float32" in card


def test_repeating_an_export_changes_nothing(trained: Trained, exported: Path) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in exported.iterdir()}
    assert make_export(trained, exported).step == 9
    assert {p.name: p.stat().st_mtime_ns for p in exported.iterdir()} == before


def test_another_export_is_never_overwritten(trained: Trained, exported: Path) -> None:
    with pytest.raises(ConfigError, match=r"exists already, of job small .* step 9, float32"):
        make_export(trained, exported, ExportDtype.BFLOAT16)
    assert load(exported)[0].dtype is torch.float32


def test_a_place_with_something_else_is_left_alone(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="there is something else at"):
        make_export(trained, tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["thesis.txt"]


def test_a_full_disk_leaves_nothing_and_the_next_attempt_succeeds(
    trained: Trained, tmp_path: Path
) -> None:
    with full_disk(4096), pytest.raises(StorageError, match="cannot be written"):
        make_export(trained, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".model.tmp-killed").mkdir()
    make_export(trained, tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_shards_of_another_model_are_refused(trained: Trained, tmp_path: Path) -> None:
    other = build_model_dir(tmp_path / "other")
    source = dataclasses.replace(trained.source, model_dir=other)
    target = DirectoryTarget(tmp_path / "model", "model")
    with pytest.raises(CheckpointError, match=r"are not of the model in .*embed_tokens"):
        write_export(source, target, ExportDtype.FLOAT32)
    assert not (tmp_path / "model").exists()


def test_one_tensor_is_read_at_a_time(trained: Trained) -> None:
    weights = PolicyWeights(str(trained.source.checkpoint / "shards"), trained.model_dir)
    for name, tensor in trained.group.learner.named_weights():
        assert torch.equal(weights.read(name), tensor)


def test_the_newest_checkpoint_that_is_whole_is_found(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.directory / "checkpoints", run / "checkpoints")
    (run / "checkpoints" / "step-00000012.tmp-1-ab").mkdir()
    newest = run / "checkpoints" / "step-00000009"
    assert {find_checkpoint(p) for p in (run, run / "checkpoints", newest)} == {newest}
    (newest / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"is broken: state.json has 2 bytes"):
        find_checkpoint(run)
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        find_checkpoint(tmp_path)
