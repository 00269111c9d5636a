"""The simulated robot: frames that can be made again, groups, looks, experts, defects."""

import subprocess
import sys

import numpy as np
import pytest
import yaml
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from dreamgen_bench.envs import metaworld
from dreamgen_bench.envs.defects import DEFECTS, break_recording
from dreamgen_bench.envs.experts import expert, record, replay, stopping
from dreamgen_bench.envs.looks import dress
from dreamgen_bench.envs.metaworld import BEHAVIORS, MetaWorld
from dreamgen_bench.envs.scenes import SCENES
from dreamgen_bench.world_models.simulated import DEFECTS as NAMED_DEFECTS


@pytest.fixture(scope="module")
def drawer():
    env = MetaWorld("drawer-open", scene="drawer")
    yield env
    env.close()


def first_frame(behavior, scene, seed, look):
    env = MetaWorld(behavior, scene=scene)
    frame = env.reset(seed=seed, options={"look": look})[0]["image"]
    env.close()
    return frame


def test_it_is_a_gymnasium_environment(drawer):
    """Spaces hold what reset and step give."""
    observation, info = drawer.reset(seed=1)
    assert drawer.observation_space.contains(observation) and info["success"] is False
    observation, reward, terminated, truncated, info = drawer.step(drawer.action_space.sample())
    assert drawer.observation_space.contains(observation)
    assert isinstance(reward, float) and terminated is truncated is False


def test_the_same_start_is_bit_same_in_another_process():
    """(behavior, scene, seed, look) decides every byte of the first frame."""
    code = (
        "import hashlib, sys; from dreamgen_bench.envs.metaworld import MetaWorld;"
        "e = MetaWorld('push', scene='puck'); e.reset(seed=9); e.reset(seed=4, options={'look': 'web-8'});"
        "e.reset(seed=3, options={'look': 'environment-5'});"
        "sys.stdout.write(hashlib.sha256(e.render().tobytes()).hexdigest()); e.close()"
    )
    import hashlib

    here = hashlib.sha256(first_frame("push", "puck", 3, "environment-5").tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout == here


@pytest.mark.parametrize("scene", SCENES)
def test_one_first_frame_serves_every_behavior_of_a_scene(scene):
    """Only the instruction may tell a model what to do."""
    frames = [first_frame(behavior, scene, 5, "lab") for behavior in SCENES[scene].behaviors]
    assert all(np.array_equal(frame, frames[0]) for frame in frames[1:])


def test_puck_and_marker_are_at_least_six_pixels_wide():
    """What the task is about can be seen at 64x64."""
    frame = first_frame("pick-place", "puck", 1, "lab").astype(int)
    red, green, blue = frame[..., 0], frame[..., 1], frame[..., 2]
    puck = (blue > 110) & (red < 90) & (green < 90)
    marker = (red > 170) & (green < 90) & (blue < 90)
    for shown in (puck, marker):
        columns = np.flatnonzero(shown.any(0))
        assert columns.max() - columns.min() + 1 >= 6


def test_every_behavior_has_five_paraphrases_of_its_own():
    """Instructions are plain English, and no two behaviors share one."""
    path = metaworld.__file__.replace("metaworld.py", "instructions.yaml")
    with open(path, encoding="utf-8") as file:
        words = yaml.safe_load(file)
    assert sorted(words) == sorted(BEHAVIORS) and len(BEHAVIORS) == 50
    everything = [line for lines in words.values() for line in lines]
    assert all(len(set(lines)) >= 5 for lines in words.values())
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("behavior", SCENES["drawer"].behaviors)
def test_the_expert_succeeds_and_so_do_its_waypoints_open_loop(behavior):
    """The measure `executable` can reach its ceiling: replaying what truly happened does it again."""
    env = MetaWorld(behavior, scene="drawer", render=False)
    env.reset(seed=2)
    clip = record(env, expert(env))
    assert clip.success and clip.waypoints.shape == (16, 4)
    env.reset(seed=2)
    assert replay(env, clip.waypoints)
    env.reset(seed=2)
    assert not replay(env, np.repeat(clip.states[:1, :], 16, 0))


@pytest.mark.parametrize("behavior", ["pick-place", "stick-pull", "sweep"])
def test_contacts_by_arrays_say_what_meta_worlds_own_walk_says(behavior):
    """At every control step and of every geom, with the pads empty and full."""
    env = MetaWorld(behavior, render=False)
    env.reset(seed=3)
    act, own, said = expert(env), SawyerXYZEnv.touching_object, []
    for _ in range(130):
        env.control(act(env.sim._get_obs()))
        for geom in {env.sim._get_id_main_object(), *env.data.contact.geom.ravel()}:
            assert env.sim.touching_object(geom) == own(env.sim, geom)
        said.append(env.sim.touching_main_object)
    assert not said[0] and any(said)


def test_an_expert_that_gives_up_does_not_succeed():
    """A perturbed expert is a failure whose truth is known."""
    env = MetaWorld("drawer-open", scene="drawer", render=False)
    env.reset(seed=2)
    assert not record(env, stopping(expert(env), after=10)).success


@pytest.mark.parametrize("name", ["Lab", "object-", "environment-x", "web--1", ""])
def test_an_unknown_look_is_refused(drawer, name):
    """A typo must not silently be the lab."""
    with pytest.raises(ValueError, match="no look named"):
        dress(drawer.model, name)


def test_a_behavior_that_a_scene_does_not_allow_is_refused():
    """The error says what the scene allows."""
    with pytest.raises(ValueError, match="drawer-open, drawer-close"):
        MetaWorld("hammer", scene="drawer", render=False)
    with pytest.raises(KeyError, match="no behavior named"):
        MetaWorld("fly", render=False)


@pytest.fixture(scope="module")
def puck():
    env = MetaWorld("pick-place", scene="puck")
    env.reset(seed=8)
    yield env, record(env, expert(env))
    env.close()


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_grows_with_its_magnitude_and_can_be_drawn_again(puck, kind):
    """Severe is more visible than mild, nothing is broken at 0, and the same seed breaks the same."""
    env, clip = puck

    def away(magnitude):
        env.reset(seed=8)
        broken = break_recording(env, clip, kind, magnitude=magnitude, seed=1)
        assert broken.shape == clip.frames.shape and broken.dtype == np.uint8
        return np.abs(broken.astype(int) - clip.frames).mean()

    severe = away(1.0)
    assert severe == away(1.0) and severe > 0.15
    assert away(0.1) < severe


def test_the_controls_name_every_defect():
    """The light list that `list` shows without a simulator is the simulator's."""
    assert tuple(DEFECTS) == NAMED_DEFECTS
