"""Which Ray nodes count while trainers come and go."""

from prorl_trainer.ray_driver import Node, trainers_at, usable_ranks


def make_node(node_id: str, *, address: str = "10.0.0.1", ranks: int = 1) -> Node:
    return Node(node_id=node_id, address=address, trainer_ranks=ranks, engines=0)


def test_a_new_pod_with_the_address_of_one_that_left_is_used() -> None:
    leaving = trainers_at({"10.0.0.1"}, [make_node("old")])
    assert usable_ranks([make_node("old"), make_node("new", address="10.0.0.2")], leaving) == 1
    assert usable_ranks([make_node("new")], leaving) == 1


def test_only_the_trainers_at_an_address_leave() -> None:
    nodes = [make_node("trainer"), make_node("head", ranks=0), make_node("b", address="10.0.0.2")]
    assert trainers_at({"10.0.0.1"}, nodes) == {"trainer"}
