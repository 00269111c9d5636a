"""Meta-World (MuJoCo, Sawyer arm, 50 behaviors) as a plain gymnasium environment for video world models.

One `step` is one video frame: a waypoint for the hand, held for `STRIDE` control steps of 12.5 ms, so frames come at
10 Hz and a video of 17 frames spans 1.6 s of the robot's time. Pictures are 64x64 from our own camera.

Source: Yu et al., Meta-World (CoRL 2019), version 3.1.1 of the Farama package.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
from metaworld.asset_path_utils import full_V3_path_for
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP

from .looks import Look, dress
from .scenes import MARKED, PLATE_GOALS, PLATE_NET, SCENES, draw
from .visuals import Camera

STRIDE = 8
"""Control steps (12.5 ms each) between two frames."""
NUM_FRAMES = 17
"""Frames of a video: enough for every behavior's expert."""
FPS = 10
ARM_JOINTS = 9
"""The first numbers of qpos: seven of the arm, two of the fingers. What follows are the objects."""
GAIN = 30.0
"""Proportional gain of the controller that takes the hand to a waypoint; reaches it within a frame."""
WAYPOINT_LOW = np.array([-0.525, 0.348, -0.0525, -1.0], np.float32)
WAYPOINT_HIGH = np.array([0.525, 1.025, 0.7, 1.0], np.float32)
BEHAVIORS: tuple[str, ...] = tuple(sorted(name.removesuffix("-v3") for name in ENV_POLICY_MAP))

_RESTORED = ("body_pos", "body_quat", "site_pos", "geom_pos", "geom_size", "geom_rgba", "geom_matid")


def _simulator(behavior: str, xml: str) -> Any:
    """Meta-World's own environment for a behavior, in another behavior's model file where `xml` names one."""
    cls = ALL_V3_ENVIRONMENTS[f"{behavior}-v3"]
    ours: dict[str, Any] = {"touching_object": _touching}
    if xml:
        path = full_V3_path_for(xml)
        ours["model_name"] = property(lambda self: path)
    sim = type(cls.__name__, (cls,), ours)()
    # What Meta-World's "goal observable" classes set, which can't be subclassed: its experts need to see the goal.
    sim._partially_observable = False
    sim._set_task_called = True
    sim._freeze_rand_vec, sim.seeded_rand_vec = False, True
    sim.max_path_length = 10_000
    del sim.sawyer_observation_space
    return sim


def _touching(sim: Any, geom: int) -> bool:
    """Whether both finger pads press on a geom: Meta-World's `touching_object`, by the contacts' arrays.

    Its own walks twice over all contacts as Python objects, at every control step: a quarter of an episode's time.
    """
    pairs, addresses, forces = sim.data.contact.geom, sim.data.contact.efc_address, sim.data.efc_force
    on_geom = (pairs == geom).any(axis=1)
    return all(
        sum(forces[addresses[on_geom & (pairs == sim.data.geom(pad).id).any(axis=1)]]) > 0
        for pad in ("leftpad_geom", "rightpad_geom")
    )


class MetaWorld(gymnasium.Env):
    """One behavior of Meta-World, from a given scene, in a given look.

    observation: {"image": uint8 [64, 64, 3], "state": float32 [4] hand x, y, z in metres and finger opening 0-1}.
    action: float32 [4], the waypoint: hand x, y, z in metres, and grip effort in [-1 open, 1 closed].
    reset(seed=, options={"look": NAME}) gives the bit-same first frame for the same (behavior, scene, seed, look) in
    any process. info["success"] tells whether the behavior has succeeded at any control step so far, and
    info["progress"], 0-1, how far it came at best: 1 for a success, else the most of Meta-World's `in_place_reward`,
    which says how near the object or the hand is to the goal and is seldom 0 at the start.
    While `watched` is False, until the next reset, steps draw nothing and give zeros: for who acts long on one look.

    Raises KeyError for an unknown behavior or scene, and ValueError for a behavior that its scene does not allow.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}
    render_mode = "rgb_array"

    def __init__(self, behavior: str, *, scene: str = "", size: int = 64, render: bool = True):
        if behavior not in BEHAVIORS:
            raise KeyError(f"no behavior named {behavior!r}; known: {', '.join(BEHAVIORS)}")
        if scene and behavior not in SCENES[scene].vectors:
            raise ValueError(f"scene {scene!r} allows {', '.join(SCENES[scene].behaviors)}, not {behavior!r}")
        self.behavior, self.scene, self.size = behavior, scene, size
        self._scene = SCENES.get(scene)
        self.sim = _simulator(behavior, self._scene.xml if self._scene else "")
        self.model, self.data = self.sim.model, self.sim.data
        self._pristine = {name: getattr(self.model, name).copy() for name in _RESTORED}
        self._hand = np.array(self._scene.hand if self._scene else self.sim.hand_init_pos)
        self.camera = Camera(self.model, size) if render else None
        self.look: Look | None = None
        self.watched, self.success, self.progress = True, False, 0.0
        self.observation_space = gymnasium.spaces.Dict(
            image=gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8),
            state=gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32),
        )
        self.action_space = gymnasium.spaces.Box(WAYPOINT_LOW, WAYPOINT_HIGH, dtype=np.float32)

    @property
    def marker(self) -> np.ndarray | None:
        """Where the goal marker is drawn, metres [3]; None where the scene shows the goal by itself."""
        if self._scene.marker if self._scene else self.behavior in MARKED:
            return self._marker
        return None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Start an episode. Without a seed one is drawn from the environment's own generator."""
        super().reset(seed=seed)
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        for name, value in self._pristine.items():  # a reset moves bodies in the model, which the next one would keep
            getattr(self.model, name)[:] = value
        self.look = dress(self.model, (options or {}).get("look", "lab"))
        self.sim.hand_init_pos = self._hand
        self.sim.seed(seed)
        if self._scene:
            self._place(draw(self._scene, np.random.default_rng(seed)))
        else:
            self.sim.reset()
        self._marker = np.array(self.sim._target_pos, float)
        if self.scene == "puck" and self.behavior == "push":
            self._marker = self._above
        self.watched, self.success, self.progress = True, False, 0.0
        return self._observe(), {"success": False, "seed": seed}

    def _place(self, numbers: np.ndarray) -> None:
        """Put the shared scene's objects where the drawn numbers say, whatever the behavior."""
        scene = self._scene
        assert scene is not None
        self.sim._freeze_rand_vec, self.sim._last_rand_vec = True, np.array(scene.vectors[self.behavior](numbers))
        self.sim.reset()
        self.sim._freeze_rand_vec = False
        if scene.joint:
            joint = self.model.joint(scene.joint)
            self.data.qpos[joint.qposadr[0]] = numbers[-1]
        if self.scene == "puck":
            self._above = np.array([numbers[2], numbers[3], numbers[4]])
        if self.scene == "plate":
            self._place_plate(numbers)
        # The resets of the behaviors leave the arm and the velocities a little different; the picture must not be.
        objects = self.data.qpos[ARM_JOINTS:].copy()
        mujoco.mj_resetData(self.model, self.data)
        self.sim._reset_hand()
        self.data.qpos[ARM_JOINTS:] = objects
        self.data.qvel[:] = 0.0
        mujoco.mj_forward(self.model, self.data)
        self.sim._prev_obs = self.sim._get_curr_obs_combined_no_goal()

    def _place_plate(self, numbers: np.ndarray) -> None:
        x, y = numbers[:2]
        slide_x, slide_y = self.model.joint("goal_slidex"), self.model.joint("goal_slidey")
        self.data.qpos[slide_x.qposadr[0]], self.data.qpos[slide_y.qposadr[0]] = x, y - 0.6
        self.model.body("puck_goal").pos = PLATE_NET
        dx, dy = PLATE_GOALS[self.behavior]
        self.sim._target_pos = np.array([x + dx, y + dy, 0.015])

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Take the hand towards a waypoint for one frame's time."""
        action = np.clip(np.asarray(action, np.float64), WAYPOINT_LOW, WAYPOINT_HIGH)
        reward = 0.0
        for _ in range(STRIDE):
            hand = self.sim.get_endeff_pos()
            reward, _ = self.control(np.append((action[:3] - hand) * GAIN, action[3]))
        return self._observe(), float(reward), False, False, {"success": self.success, "progress": self.progress}

    def control(self, action: np.ndarray) -> tuple[float, np.ndarray]:
        """One control step of 12.5 ms with Meta-World's own action (hand motion, grip), in [-1, 1] [4]."""
        state, reward, _, _, info = self.sim.step(np.clip(action, -1.0, 1.0).astype(np.float32))
        self.success = self.success or bool(info["success"])
        in_place = float(np.clip(info.get("in_place_reward", 0.0), 0.0, 1.0))
        self.progress = 1.0 if self.success else max(self.progress, in_place)
        return float(reward), state

    @property
    def state(self) -> np.ndarray:
        """Hand x, y, z in metres and finger opening 0-1; float32 [4]."""
        return self.sim._get_curr_obs_combined_no_goal()[:4].astype(np.float32)

    def _observe(self) -> dict[str, np.ndarray]:
        drawn = self.camera and self.watched
        image = self.render() if drawn else np.zeros((self.size, self.size, 3), np.uint8)
        return {"image": image, "state": self.state}

    def render(self) -> np.ndarray:
        """The camera's picture; uint8 [size, size, 3]. Raises RuntimeError where it was made with render=False."""
        if self.camera is None or self.look is None:
            raise RuntimeError("made with render=False, or not reset yet: there is no picture")
        return self.camera.picture(self.data, self.look, self.marker)

    def close(self) -> None:
        """Free the renderer."""
        if self.camera:
            self.camera.close()
            self.camera = None
