"""What is said of a word that is not known."""

import pytest

from reverie import registry
from reverie.errors import ReverieError, likely


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("hein", ["heun", "unipc", "ddim"], "did you mean heun?"),
        ("HEUM", ["heun", "Heum2", "ddim"], "did you mean Heum2 or heun?"),
        ("nope", ["heun", "unipc", "ddim"], "there are heun, unipc and ddim."),
        ("x", ["cosine"], "there is cosine."),
    ],
)
def test_a_word_that_is_like_none_gets_the_list_and_one_that_is_gets_its_likes(word, known, said):
    assert likely(word, known) == said


@pytest.mark.parametrize(("room", "word"), [("samplers", "nope"), ("schedules", "x")])
def test_no_stranger_is_taken_for_what_was_meant(room, word):
    with pytest.raises(ReverieError, match=f"no '{word}' among the {room}; there are "):
        registry.find(room, word)
