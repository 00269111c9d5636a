"""Who moves the arm: scripted experts of varied skill, and episodes that do something else than they were told.

An episode is recorded at the video's rate, with the simulator's state at every frame, so that it can be drawn again
with something broken in it (`defects.py`) or replayed open loop (`replay`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from .metaworld import GAIN, NUM_FRAMES, STRIDE, MetaWorld

Actor = Callable[[np.ndarray], np.ndarray]
"""Meta-World's state vector in, its action (hand motion, grip) out; called every control step."""
Place = Callable[[np.random.Generator], np.ndarray]
WANDER_LOW, WANDER_HIGH = np.array([-0.4, 0.4, 0.05]), np.array([0.4, 0.95, 0.4])


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded episode of T frames."""

    frames: np.ndarray  # uint8 [T, H, W, 3]; [0, ...] where it was recorded without pictures
    states: np.ndarray  # float32 [T, 4]: hand x, y, z in metres, finger opening 0-1
    actions: np.ndarray  # float32 [T - 1, 4]: mean of Meta-World's actions between two frames
    qpos: np.ndarray  # float64 [T, nq]: the simulator's positions at each frame
    success: bool

    @property
    def waypoints(self) -> np.ndarray:
        """What `MetaWorld.step` takes to do the same again: hand at the next frame, and grip; float32 [T - 1, 4]."""
        return np.concatenate([self.states[1:, :3], self.actions[:, 3:]], 1)


def expert(env: MetaWorld) -> Actor:
    """Meta-World's scripted expert for the environment's behavior, for an episode that has just been reset."""
    policy: Any = ENV_POLICY_MAP[f"{env.behavior}-v3"]()  # type: ignore[abstract]
    if env.scene == "plate" and env.behavior.endswith("side"):
        # These two experts are written for a plate that lies at y = 0.6: show them everything as if it did.
        away = env.sim._get_pos_objects()[1] - 0.6

        def act(state: np.ndarray) -> np.ndarray:
            state = state.copy()
            state[[1, 5]] -= away
            return policy.get_action(state)

        return act
    return policy.get_action


def noisy(actor: Actor, rng: np.random.Generator, *, sigma: float) -> Actor:
    """An unsteady hand: the actor's motion with noise that is held for four control steps."""
    step, noise = 0, np.zeros(3)

    def act(state: np.ndarray) -> np.ndarray:
        nonlocal step, noise
        if step % 4 == 0:
            noise = rng.normal(0, sigma, 3)
        step += 1
        action = np.array(actor(state), float)
        action[:3] = np.clip(action[:3], -1, 1) + noise
        return action

    return act


def stopping(actor: Actor, *, after: int) -> Actor:
    """Gives up: the actor until control step `after`, then nothing."""
    step = 0

    def act(state: np.ndarray) -> np.ndarray:
        nonlocal step
        step += 1
        return actor(state) if step <= after else np.array([0.0, 0.0, 0.0, -1.0])

    return act


def anywhere(rng: np.random.Generator) -> np.ndarray:
    """A place for the hand, all alike: x, y, z in metres."""
    return rng.uniform(WANDER_LOW, WANDER_HIGH)


def outlying(rng: np.random.Generator) -> np.ndarray:
    """A place within the whole reach: half of them just above the table, and sides come up often.

    A hand that goes from one uniformly drawn place to the next is mostly in the middle, and an inverse dynamics model
    trained on that draws every hand low and far away towards it.
    """
    x, y = rng.beta(0.7, 0.7, 2)
    z = rng.uniform(0.03, 0.12) if rng.uniform() < 0.5 else rng.uniform(0.05, 0.45)
    return np.array([x - 0.5, 0.38 + 0.55 * y, z])


def wanderer(rng: np.random.Generator, *, stay: int = 30, place: Place = anywhere, speed: float = 1.0) -> Actor:
    """Moves the hand from one random place to another and opens or closes the fingers at random.

    stay: control steps for each place. speed: of the hand, at most, as a share of the fastest.
    """
    step, goal, grip = 0, np.zeros(3), -1.0

    def act(state: np.ndarray) -> np.ndarray:
        nonlocal step, goal, grip
        if step % stay == 0:
            goal, grip = place(rng), rng.choice([-1.0, 1.0])
        step += 1
        return np.append(np.clip((goal - state[:3]) * GAIN, -speed, speed), grip)

    return act


def detour(actor: Actor, first: Actor, *, steps: int) -> Actor:
    """`first` for so many control steps, then the actor."""
    step = 0

    def act(state: np.ndarray) -> np.ndarray:
        nonlocal step
        step += 1
        return first(state) if step <= steps else actor(state)

    return act


def record(env: MetaWorld, actor: Actor, *, frames: int = NUM_FRAMES) -> Recording:
    """Let the actor act from the state that the environment was just reset to."""
    draw = env.camera is not None
    pictures = [env.render()] if draw else []
    states, qpos, actions = [env.state], [env.data.qpos.copy()], []
    state = env.sim._get_obs()
    for _ in range(frames - 1):
        taken = []
        for _ in range(STRIDE):
            taken.append(np.clip(actor(state), -1, 1))
            _, state = env.control(taken[-1])
        actions.append(np.mean(taken, 0))
        states.append(env.state)
        qpos.append(env.data.qpos.copy())
        if draw:
            pictures.append(env.render())
    return Recording(
        frames=np.array(pictures, np.uint8),
        states=np.array(states, np.float32),
        actions=np.array(actions, np.float32),
        qpos=np.array(qpos),
        success=env.success,
    )


def replay(env: MetaWorld, waypoints: np.ndarray) -> bool:
    """Whether the behavior truly succeeds when these waypoints [T - 1, 4] are followed open loop after a reset."""
    for waypoint in waypoints:
        env.step(waypoint)
    return env.success
