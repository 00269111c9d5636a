"""Every registered policy keeps the contract, and the recipe learns, repeats itself and survives new words."""

import subprocess
import sys

import numpy as np
import pytest

from dreamgen_bench import registry
from dreamgen_bench.types import Policy, Trajectory, UserError

RECIPES = [spec for spec in registry.specs("policies").values() if spec.fit]
LEFT, RIGHT = (-0.2, 0.6, 0.2), (0.2, 0.7, 0.1)


def toy(count: int, *, length: int = 6) -> list[Trajectory]:
    """Grey pictures that tell nothing: only the instruction says to which of two places the hand goes."""
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        goal = (LEFT, RIGHT)[number % 2]
        labels = np.zeros((length - 1, 8), np.float32)
        labels[:, :3], labels[:, 7] = goal, number % 2
        frames = rng.integers(120, 130, (length, 64, 64, 3), dtype=np.uint8)
        made.append(Trajectory(frames=frames, labels=labels, instruction=("go left", "go right")[number % 2]))
    return made


def observation(instruction: str) -> dict:
    picture = np.full((64, 64, 3), 125, np.uint8)
    return {"image": picture, "instruction": instruction, "state": np.zeros(4, np.float32)}


@pytest.fixture(scope="module", params=RECIPES, ids=lambda spec: spec.name)
def recipe(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(recipe, tmp_path_factory):
    return registry.fitter(recipe)(toy(8), seed=0, out=tmp_path_factory.mktemp("policy"), steps=60)


def test_importing_the_folder_needs_no_torch():
    """Listing policies works without their libraries."""
    names = "bc_chunk, diffusion, exchange, imitation, websocket"
    code = f"from dreamgen_bench.policies import {names}; import sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_policy_acts_in_chunks_of_waypoints(recipe, checkpoint):
    """Hand in metres and grip, a few at once, and the same after a reset."""
    policy = registry.load(recipe, checkpoint=checkpoint)
    assert isinstance(policy, Policy)
    first = policy.act(observation("go left"))
    assert first.dtype == np.float32 and first.ndim == 2 and first.shape[1] == 4 and np.isfinite(first).all()
    policy.reset()
    np.testing.assert_array_equal(first, policy.act(observation("go left")))


def test_a_policy_listens(recipe, checkpoint):
    """The same picture under two instructions gives two places."""
    policy = registry.load(recipe, checkpoint=checkpoint)
    left, right = (policy.act(observation(instruction))[0, :3] for instruction in ("go left", "go right"))
    assert left[0] < 0 < right[0] and right[0] - left[0] > 0.1


def test_unknown_words_and_other_sizes_are_no_crash(recipe, checkpoint):
    """A policy answers whatever it is told and shown."""
    policy = registry.load(recipe, checkpoint=checkpoint)
    for instruction in ("", "défenestrate the quux!", "go " * 300):
        seen = observation(instruction) | {"image": np.zeros((128, 128, 3), np.uint8)}
        assert np.isfinite(policy.act(seen)).all()


def test_fitting_is_determined_by_the_seed(recipe, tmp_path):
    """The same seed gives the same policy, another seed another."""
    acts = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = registry.fitter(recipe)(toy(4), seed=seed, out=tmp_path / folder, steps=5)
        acts.append(registry.load(recipe, checkpoint=made).act(observation("go left")))
    np.testing.assert_array_equal(acts[0], acts[1])
    assert not np.array_equal(acts[0], acts[2])


def test_what_a_diffusion_policy_draws_is_the_episodes():
    """Two episodes differ in their noise, and the same one is the same again; how sure it is, is in how little."""
    from dreamgen_bench.policies.diffusion import DiffusionPolicy, _network

    policy = DiffusionPolicy(_network().eval(), np.zeros(4, np.float32), np.ones(4, np.float32))
    acts = []
    for number in (1, 2, 1):
        policy.reset()
        policy.seed(number)
        acts.append([policy.act(observation("go left")) for _ in range(2)])
    np.testing.assert_array_equal(acts[0], acts[2])
    assert not np.array_equal(acts[0], acts[1]) and not np.array_equal(acts[0][0], acts[0][1])


def test_a_missing_checkpoint_is_the_users_to_mend(recipe, tmp_path):
    """Not a traceback about files."""
    with pytest.raises(UserError, match=str(tmp_path)):
        registry.load(recipe, checkpoint=tmp_path)


def test_random_stays_within_reach_and_follows_its_seed():
    """The floor is a floor that can be reproduced."""
    from dreamgen_bench.envs.metaworld import WAYPOINT_HIGH, WAYPOINT_LOW

    first, second = (registry.load(registry.find("policies", "random")) for _ in range(2))
    for policy in (first, second):
        policy.seed(7)
    for _ in range(20):
        action = first.act(observation("go left"))
        np.testing.assert_array_equal(action, second.act(observation("go left")))
        assert (action >= WAYPOINT_LOW).all() and (action <= WAYPOINT_HIGH).all()
