"""prorl_trainer.data.gym: generated rows, and which URIs are refused."""

import pytest
from data_builders import SPELL, make_set
from prorl_trainer.data.gym import UNSAFE, parse_gym, read_gym
from prorl_trainer.errors import DataError


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gym://reasoning-gym/spell_backwards", ["no dataset", "spell_backward"]),
        ("gym://reasoning-gym/spell_backward?min_word=3", ["min_word", "min_word_len"]),
        ("gym://reasoning-gym/spell_backward?min_word_len=x", ["min_word_len", "'x'", "int"]),
        ("gym://reasoning-gym/spell_backward?size=0", ["size is 0"]),
        *((f"gym://reasoning-gym/{name}", [name, "refused"]) for name in sorted(UNSAFE)),
    ],
)
def test_a_wrong_gym_uri_is_refused_with_close_matches(uri: str, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        parse_gym("tasks", uri)
    for word in ["Dataset tasks", *words]:
        assert word in str(caught.value)


def test_options_that_make_no_sense_together_are_refused() -> None:
    dataset = make_set("gym://reasoning-gym/spell_backward?min_word_len=9&max_word_len=3")
    with pytest.raises(DataError, match="refuses these options of spell_backward"):
        read_gym(dataset, parse_gym(dataset.name, dataset.uri))


def test_more_items_than_can_be_looked_through_are_refused() -> None:
    with pytest.raises(DataError, match=r"size is 10000000000, must be from 1 to 1000000"):
        parse_gym("a", f"{SPELL}&size=10000000000")
