"""Where engines can be, and which of these places are being given up."""

from collections.abc import Callable, Sequence

from prorl_trainer.ray_driver import Node


class Places:
    """A place is NODE_ID/SLOT, for every engine that the live Ray nodes can hold."""

    def __init__(self, live_nodes: Callable[[], Sequence[Node]]) -> None:
        self._live_nodes = live_nodes
        self._address_of: dict[str, str] = {}
        self._leaving: set[str] = set()

    def find(self) -> list[str]:
        """All that are there now. Asks Ray, so a thread calls it."""
        nodes = self._live_nodes()
        self._address_of = {node.node_id: node.address for node in nodes if node.engines}
        return [f"{node.node_id}/{slot}" for node in nodes for slot in range(node.engines)]

    def is_leaving(self, place: str) -> bool:
        """Its pod is to go: what is there gets no more requests, and nothing new is put there."""
        return node_of(place) in self._leaving

    def give_up(self, address: str) -> set[str]:
        """The pod at the address is to go: the IDs of its nodes. An address may soon be another
        pod's, so that it counts for the nodes of now only."""
        nodes = {node_id for node_id, known in self._address_of.items() if known == address}
        self._leaving |= nodes
        return nodes


def node_of(place: str) -> str:
    """ID of the Ray node of a place."""
    return place.split("/")[0]
