"""Which Ray nodes count while trainers come and go."""

import pytest
from prorl_api.job import ProRLJobSpec
from prorl_trainer.errors import ConfigError
from prorl_trainer.ray_driver import Node, refuse_missing_gpus, trainers_at, usable_ranks


def make_node(node_id: str, *, address: str = "10.0.0.1", ranks: int = 1) -> Node:
    return Node(node_id=node_id, address=address, trainer_ranks=ranks, engines=0)


def test_a_new_pod_with_the_address_of_one_that_left_is_used() -> None:
    leaving = trainers_at({"10.0.0.1"}, [make_node("old")])
    assert usable_ranks([make_node("old"), make_node("new", address="10.0.0.2")], leaving) == 1
    assert usable_ranks([make_node("new")], leaving) == 1


def test_only_the_trainers_at_an_address_leave() -> None:
    nodes = [make_node("trainer"), make_node("head", ranks=0), make_node("b", address="10.0.0.2")]
    assert trainers_at({"10.0.0.1"}, nodes) == {"trainer"}


def test_gpus_that_this_machine_lacks_are_refused_with_both_numbers() -> None:
    train = [{"name": "a", "domain": "logic", "uri": "gym://reasoning-gym/chain_sum"}]
    spec = ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": {"train": train},
            "trainer": {"gpusPerReplica": 2},
            "rollout": {"replicas": 2, "gpusPerReplica": 1},
        }
    )
    refuse_missing_gpus(spec, 4)
    with pytest.raises(ConfigError, match=r"gpusPerReplica 2 .* ask for 4 GPUs .* has 3\."):
        refuse_missing_gpus(spec, 3)
