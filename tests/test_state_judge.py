"""The state judge: laws that hold of sound pictures and not of broken ones, and the contract of any judge."""

import numpy as np
import pytest

from dreamgen_bench.judges import state
from dreamgen_bench.judges.invariants import ARM, NAMES, OBJECT, measured
from dreamgen_bench.types import Judge, Question

BEHAVIORS = {"push": ["push the puck", "shove the puck"], "drawer-open": ["open the drawer"]}


def scene(way=None, hand=None):
    """Frames, what they show, and the hand: an arm that comes from the left, and pushes a block along its way."""
    frames, shown = np.full((17, 64, 64, 3), 120, np.uint8), np.zeros((17, 64, 64), int)
    for t in range(17):
        tip = 8 + 2 * t if hand is None else hand[t]
        left = max(30, tip) if way is None else way[t]
        for what, color, columns in (
            (ARM, (200, 30, 30), slice(0, tip)),
            (OBJECT, (20, 40, 220), slice(left, left + 8)),
        ):
            frames[t, 40:46, columns], shown[t, 40:46, columns] = color, what
    return frames, shown, np.tile([0.0, 0.6, 0.2], (17, 1))


def numbers(frames, shown, hand):
    return dict(zip(NAMES, measured(frames, shown, hand), strict=True))


def test_a_sound_clip_breaks_no_law():
    """An arm that pushes a block: nothing is gone, torn or untouched, and the surroundings stay."""
    found = numbers(*scene())
    for law in (
        "surroundings_change",
        "surroundings_spots",
        "object_gone",
        "object_untouched",
        "arm_torn",
        "hand_sunk",
    ):
        assert found[law] == 0, law


def test_each_law_is_broken_by_what_it_is_about():
    """One number goes up for each thing that can't be."""
    sound = numbers(*scene())
    still = [8] * 17
    assert numbers(*scene(way=[30 + t for t in range(17)], hand=still))["object_untouched"] > 10
    assert numbers(*scene(way=[30] * 8 + [50] * 9, hand=still))["object_jump"] > sound["object_jump"]
    frames, shown, hand = scene(way=[40] * 17, hand=still)
    frames[9:, 40:46, 40:48], shown[9:, 40:46, 40:48] = 120, 0
    assert numbers(frames, shown, hand)["object_gone"] > 0.5
    frames, shown, hand = scene()
    frames[9:] = np.minimum(frames[9:].astype(int) + 40, 255)
    assert numbers(frames, shown, hand)["surroundings_change"] > 20
    frames, shown, hand = scene()
    to_and_fro = [0, 1, 2, 3, 4, 5, 6, 4, 3, 2, 3, 4, 5, 6, 7, 8, 9]
    assert numbers(frames[to_and_fro], shown[to_and_fro], hand)["seen_again"] > 1.5
    hand[5:, 2] = -0.1
    assert numbers(frames, shown, hand)["hand_sunk"] > 0.1
    frozen = [0, 1, 2, 3, 3, 3, 3, 3, 3, 9, 10, 11, 12, 13, 14, 15, 16]
    found = numbers(frames[frozen], shown[frozen], hand)
    assert found["standstill"] >= 5 and found["jump_after_standstill"] > 0.5


@pytest.fixture(scope="module")
def untrained():
    """A judge of two behaviors with random eyes and even rules."""
    import torch

    torch.manual_seed(0)
    rules = []
    for names, rows in ((NAMES, 1), (state.GOALS, 2)):
        ones = np.ones(len(names))
        rules.append(
            state.Logistic(mean=0 * ones, spread=ones, weight=-np.ones((rows, len(names))), bias=np.ones(rows))
        )
    return state.StateJudge(state.network(2), BEHAVIORS, *rules)


def question(instruction="", side=64, count=17, options=("1", "0")):
    frames = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Question(prompt="?", frames=frames, options=options, instruction=instruction)


def test_it_keeps_the_contract(untrained):
    """One reply a question, in order, with probabilities that add up to one, at any size and length."""
    assert isinstance(untrained, Judge)
    asked = [question("push the puck"), question(), question("open that drawer", side=96, count=5)]
    replies = list(untrained.ask(asked))
    assert [reply.error for reply in replies] == [""] * 3
    for reply in replies:
        assert sum(np.exp(list(reply.logprobs.values()))) == pytest.approx(1)
        assert reply.text == max(reply.logprobs, key=reply.logprobs.get)
    assert list(untrained.ask(asked)) == replies and list(untrained.ask(asked[:1])) == replies[:1]


def test_what_can_not_be_asked_is_an_error_in_its_own_reply(untrained):
    """Three options, words that it has never met, one frame that is none: the others are answered."""
    wrong = [question(options=("a", "b", "c")), question("zzz"), question(count=0)]
    replies = list(untrained.ask([*wrong, question()]))
    assert [bool(reply.error) for reply in replies] == [True, True, True, False]


@pytest.mark.parametrize(("words", "row"), [("Push the PUCK!", 0), ("shove puck", 0), ("please open the drawer", 1)])
def test_the_behavior_is_the_one_with_most_words_in_common(untrained, words, row):
    """However it is put."""
    assert untrained.behavior(words) == row


def test_approach_is_told_in_metres():
    """A hand that takes a thing from 20 cm to 5 cm of its goal, and lifts it by 5."""
    states = np.zeros((17, state.STATES))
    states[:, 4] = np.linspace(0, 0.15, 17)
    states[:, 6] = np.linspace(0, 0.05, 17)
    states[:, :3] = states[:, 4:7] + [0.01, 0, 0]
    states[:, 7] = 0.2
    states[:, 10] = np.linspace(2, 0.4, 17)
    states[5, 10] = -1
    found = dict(zip(state.GOALS, state.approached(states), strict=True))
    assert found["start_apart"] == pytest.approx(0.2) and found["end_apart"] == pytest.approx(np.hypot(0.05, 0.05))
    assert found["margin_start"] == 2 and found["margin_end"] == pytest.approx(0.4)
    assert found["margin_least"] == -1 and found["margin_less"] == pytest.approx(0.4)
    assert found["object_rose"] == pytest.approx(0.05) and found["hand_to_object"] == pytest.approx(0.01)
