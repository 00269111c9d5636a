"""The questions: what a rubric file promises to judges and to records."""

import hashlib
from importlib.resources import files

import pytest

from dreamgen_bench import rubrics
from dreamgen_bench.types import UserError


@pytest.mark.parametrize("name", rubrics.names())
def test_a_rubric_is_short_offers_two_answers_and_is_named_by_its_bytes(name):
    """What is loaded is what the file says, and its digest is that of the file."""
    rubric = rubrics.load(name)
    raw = (files("dreamgen_bench.rubrics") / f"{name}.yaml").read_bytes()
    assert rubric.name == name
    assert rubric.digest == hashlib.sha256(raw).hexdigest()[:12]
    assert rubric.options == {"1": 1.0, "0": 0.0}
    assert len(rubric.prompt.split()) <= 45
    assert rubric.prompt.endswith("Answer 1 or 0.")


def test_only_instruction_following_asks_about_the_instruction():
    """Physics alignment must not see what was asked for."""
    assert "{instruction}" in rubrics.load("instruction-following-v1").prompt
    assert "{instruction}" not in rubrics.load("physics-alignment-v1").prompt


def test_both_rubrics_look_at_the_same_frames():
    """One decoded video serves both."""
    assert len({rubrics.load(name).num_frames for name in rubrics.names()}) == 1


def test_an_unknown_rubric_is_the_users_to_mend():
    """The error names the rubrics that there are."""
    with pytest.raises(UserError, match="physics-alignment-v1"):
        rubrics.load("physics")
