"""Two ranks reset their reference, from any checkpoint, to what one rank would have."""

from typing import Any

import pytest
from learner_builders import build_model_dir, make_batch, make_settings
from two_ranks import Plan, run_one, run_two

STEP = (make_batch(groups=3, samples=2), make_settings(num_updates=1))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[list[Any]]]:
    """Parts of a checkpoint of one rank, and what two ranks did with it and with a damaged one."""
    directory = tmp_path_factory.mktemp("story")
    model_dir = build_model_dir(directory / "model")
    good, bad = str(directory / "good"), directory / "bad"
    parts = run_one(
        model_dir, [("update", STEP), ("save", (good,)), ("save", (str(bad),)), ("parts", ())]
    )[-1]
    shard = next(p for p in bad.iterdir() if p.suffix == ".distcp")
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 50])
    plan: Plan = [
        ("parts", ()),
        ("update", STEP), ("update", STEP), ("parts", ()),
        ("error_of", ("reset_reference", str(bad), True)), ("parts", ()),
        ("reset_reference", (good,)), ("parts", ()),
        ("reset_reference", (None, True)), ("parts", ()), ("update", STEP),
    ]  # fmt: skip
    return parts, run_two(model_dir, plan, directory)


def test_a_damaged_source_is_refused_on_all_ranks_and_changes_nothing(story: Any) -> None:
    for rank in story[1]:
        assert rank[4].startswith("CheckpointError: The shards in ")
        assert rank[5] == rank[3]


def test_the_policy_of_a_checkpoint_becomes_the_reference_bit_for_bit(story: Any) -> None:
    saved, ranks = story
    for rank in ranks:
        assert rank[7] == rank[5] | {"reference": saved["policy"]}


def test_the_current_policy_becomes_the_reference_and_the_optimizer_is_as_new(story: Any) -> None:
    for rank in story[1]:
        assert rank[9]["reference"] == rank[9]["policy"] == rank[7]["policy"]
        assert rank[9]["optimizer"] == rank[0]["optimizer"] != rank[7]["optimizer"]
        assert rank[10].metrics["kl"] == 0.0
