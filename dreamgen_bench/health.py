"""IDM x true episodes, simulated on the spot -> how far its labels can be trusted, and whether that is far enough.

    episodes -> labels -> range, error, order, replay, error against strangeness -> the gate

Users of the published IDMs could not tell which part of their pipeline broke: actions far too small, frames out of
order, a frame gap other than in training. Each of these fails a figure here. Latent actions: see `codebook`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from . import codebook
from .reliability import Figure
from .types import IDM, LABELS, WAYPOINT, Spec, UserError, Video
from .validation import Requirement

Array = NDArray[np.float64]

FIRST_SEED = 80_000
"""Of the episodes: suites, demonstrations and policies' episodes use smaller ones, training data larger ones."""
UNSEEN = ("drawer-open", "button-press", "push", "window-open", "door-close", "reach", "plate-slide", "faucet-open")
LAGS = range(-4, 5)
WIDER = 0.1
"""By which share of its width the data's range is widened before labels are held to it."""
FPS = 10.0

GATE: tuple[Requirement, ...] = (
    Requirement(figure="in_range", least=0.95, why="a hand where the robot's never was is no label"),
    Requirement(figure="least_spread", least=0.5, why="labels that hardly vary: actions far too small to use"),
    Requirement(figure="most_spread", most=1.5, why="labels wilder than the data"),
    Requirement(figure="hand_error_taught", most=0.5, why="at most half as far off as saying the middle of the data"),
    Requirement(
        figure="hand_error_unseen", most=0.6, why="on behaviors that nobody taught, which it is there to label"
    ),
    Requirement(figure="worst_column_error", most=0.8, why="each column that a robot follows beats a constant"),
    Requirement(figure="order", least=0.7, why="a step's label is nearest to that step: .5 for labels out of order"),
    Requirement(
        figure="lag", most=0, why="labels belong to their own step: another frame gap puts them before or after"
    ),
    Requirement(figure="executable_taught", least=0.6, why="most labels of true videos, replayed, do what was shown"),
    Requirement(figure="executable_unseen", least=0.5, why="or a policy learns mostly from failures"),
)
"""One value for all IDMs. `executable` is of the episodes that succeed by their true waypoints."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One true video, with what the robot did in it."""

    group: str  # taught, unseen, room
    behavior: str
    scene: str
    seed: int
    look: str
    frames: np.ndarray  # uint8 [T, H, W, 3]
    labels: np.ndarray  # float32 [T - 1, LABELS], the true ones

    @property
    def video(self) -> Video:
        """As an IDM is shown it."""
        return Video(frames=self.frames, fps=FPS)


def episodes(count: int) -> list[Episode]:
    """`count` of each group: pick-and-place in the lab, behaviors never taught there, and those in rooms never seen.

    By Meta-World's experts, held out by their seeds. Raises UserError for fewer than four: halves of them are compared.
    """
    from .envs import start
    from .envs.demonstrations import labels_of
    from .envs.experts import expert, record

    if count < 4:
        raise UserError(f"{count} episodes of each group are too few for any figure: use 4 or more")
    made = []
    for number in range(count):
        unseen = UNSEEN[number % len(UNSEEN)]
        for group, behavior, scene, look in (
            ("taught", "pick-place", "puck", "lab"),
            ("unseen", unseen, "", "lab"),
            ("room", unseen, "", f"environment-{FIRST_SEED + number}"),
        ):
            seed = FIRST_SEED + number
            clip = record((env := start(behavior, scene, seed, look)), expert(env))
            made.append(
                Episode(
                    group=group,
                    behavior=behavior,
                    scene=scene,
                    seed=seed,
                    look=look,
                    frames=clip.frames,
                    labels=labels_of(clip),
                )
            )
    return made


def replayed(episode: Episode, labels: np.ndarray) -> bool:
    """Whether the behavior succeeds in the simulator when the labels' waypoints are followed open loop."""
    from .envs import start
    from .envs.experts import replay

    env = start(episode.behavior, episode.scene, episode.seed, episode.look, render=False)
    return replay(env, labels[:, WAYPOINT])


def run(
    spec: Spec,
    model: IDM,
    found: Sequence[Episode],
    *,
    generated: Sequence[Video] = (),
    follow: Callable[[Episode, np.ndarray], bool] = replayed,
) -> dict[str, Any]:
    """Label the episodes and return the report: figures, the gate, and why it failed.

    generated: dreamed videos, whose strangeness is set beside that of the true ones. follow: plays labels back.
    """
    gate, more = GATE, dict[str, Any]()
    if spec.latent:
        gate, figures = codebook.GATE, codebook.figures(model, [(e.video, e.labels) for e in found])
    else:
        labels = list(model.label([episode.video for episode in found]))
        figures, more["columns"] = waypoint_figures(found, labels, follow), _columns(found, labels)
        strange, more["strangeness"] = strangeness(model, found, labels, generated)
        figures["error_follows_strangeness"] = strange
    failures = [failure for need in gate if (failure := need.failed(figures[need.figure]))]
    return {
        "schema": 1,
        "idm": spec.id,
        "latent": spec.latent,
        "episodes": len(found),
        "figures": {name: figure.json() for name, figure in figures.items()},
        "marks": [{"figure": n.figure, "least": n.least, "most": n.most, "why": n.why} for n in gate],
        **more,
        "failures": failures,
        "gate": "failed" if failures else "passed",
    }


def waypoint_figures(
    found: Sequence[Episode], labels: Sequence[np.ndarray], follow: Callable[[Episode, np.ndarray], bool]
) -> dict[str, Figure]:
    """Everything about labels [T - 1, LABELS] of episodes whose true ones are known."""
    said, true = np.concatenate(labels).astype(float), np.concatenate([e.labels for e in found]).astype(float)
    low, high = true.min(0), true.max(0)
    margin = WIDER * (high - low)
    inside = ((said >= low - margin) & (said <= high + margin)).mean()
    spread = said.std(0) / np.maximum(true.std(0), 1e-6)
    error = relative_error(said, true)
    n = len(found)
    figures = {
        "in_range": Figure(value=float(inside), n=n),
        "least_spread": Figure(value=float(spread.min()), n=n),
        "most_spread": Figure(value=float(spread.max()), n=n),
        "worst_column_error": Figure(value=float(error[list(WAYPOINT)].max()), n=n),
        "order": Figure(value=float(np.mean([own_step(s, e.labels) for s, e in zip(labels, found, strict=True)])), n=n),
        "lag": Figure(value=float(abs(best_lag(labels, [e.labels for e in found]))), n=n),
    }
    for group in dict.fromkeys(episode.group for episode in found):
        mine = [(e, s) for e, s in zip(found, labels, strict=True) if e.group == group]
        figures[f"hand_error_{group}"] = _hand_error(mine, true)
        figures[f"executable_{group}"] = _executable(mine, follow)
    return figures


def relative_error(said: Array, true: Array) -> Array:
    """Mean absolute error of each column, as a share of that of the best constant, the median; [N, D] -> [D]."""
    constant = np.abs(true - np.median(true, 0)).mean(0)
    return np.abs(said - true).mean(0) / np.maximum(constant, 1e-6)


def own_step(said: np.ndarray, true: np.ndarray) -> float:
    """How much nearer labels lie to their own step than to another of the same episode: 1 always, .5 by chance.

    Both paths [N, D >= 3] about their own middle, so that a constant offset does not count.
    """
    path, way = (x[:, :3] - x[:, :3].mean(0) for x in (said, true))
    away = np.linalg.norm(path[:, None] - way[None], axis=2)
    own = np.diag(away)[:, None]
    nearer = (away > own + 1e-9) + 0.5 * (np.abs(away - own) <= 1e-9)
    others = ~np.eye(len(path), dtype=bool)
    return float(nearer[others].mean())


def best_lag(said: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> int:
    """By how many steps labels would have to be moved to fit the true hand best, over all episodes; 0 if they fit."""
    error = {}
    for lag in LAGS:
        cut = [
            (s[max(0, -lag) : len(s) - max(0, lag), :3], t[max(0, lag) : len(t) + min(0, lag), :3])
            for s, t in zip(said, true, strict=True)
        ]
        away = [(s - s.mean(0)) - (t - t.mean(0)) for s, t in cut]
        error[lag] = np.linalg.norm(np.concatenate(away), axis=1).mean()
    return min(LAGS, key=lambda lag: (error[lag], abs(lag)))


def _hand_error(mine: Sequence[tuple[Episode, np.ndarray]], true: Array) -> Figure:
    """Mean distance of the hand from where it was, as a share of that of the middle of all data."""
    away = np.concatenate([np.linalg.norm(s[:, :3] - e.labels[:, :3], axis=1) for e, s in mine])
    guess = np.concatenate([np.linalg.norm(np.median(true[:, :3], 0) - e.labels[:, :3], axis=1) for e, _ in mine])
    return Figure(value=float(away.mean() / max(guess.mean(), 1e-6)), n=len(mine))


def _executable(mine: Sequence[tuple[Episode, np.ndarray]], follow: Callable[[Episode, np.ndarray], bool]) -> Figure:
    able = [(episode, labels) for episode, labels in mine if follow(episode, episode.labels)]
    if not able:
        return Figure(value=None, why="no episode succeeds by its true waypoints")
    return Figure(value=float(np.mean([follow(*pair) for pair in able])), n=len(able))


def _columns(found: Sequence[Episode], labels: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """A row a column: range of the data and of the labels, error in its own units and against the best constant."""
    said, true = np.concatenate(labels).astype(float), np.concatenate([e.labels for e in found]).astype(float)
    error, relative = np.abs(said - true).mean(0), relative_error(said, true)
    return [
        {
            "column": name,
            "data": [round(float(x), 4) for x in (true[:, i].min(), true[:, i].max())],
            "labels": [round(float(x), 4) for x in (said[:, i].min(), said[:, i].max())],
            "error": round(float(error[i]), 4),
            "relative_error": round(float(relative[i]), 4),
        }
        for i, name in enumerate(LABELS)
    ]


# Strangeness: how unlike the pictures of taught episodes a video's are


def strangeness(
    model: IDM, found: Sequence[Episode], labels: Sequence[np.ndarray], generated: Sequence[Video]
) -> tuple[Figure, dict[str, Any]]:
    """Whether error grows with strangeness (Spearman), and how strange the generated videos are by that measure.

    Generated videos have no true labels. True ones in other rooms and looks, blurred and made noisy have, and show
    what error to expect of a video that is as strange.
    """
    score = likeness([e for e in found if e.group == "taught"][::2])
    probes, said = list(found), list(labels)
    for spoil in (blurred, grained):
        spoiled = [replace(e, frames=spoil(e.frames)) for e in found if e.group != "taught"]
        probes += spoiled
        said += list(model.label([e.video for e in spoiled]))
    strange = np.array([score(e.frames) for e in probes])
    error = np.array(
        [np.linalg.norm(s[:, :3] - e.labels[:, :3], axis=1).mean() for s, e in zip(said, probes, strict=True)]
    )
    edges = np.quantile(strange, [0, 1 / 3, 2 / 3, 1])
    third = np.clip(np.searchsorted(edges, strange, side="right") - 1, 0, 2)
    expected = [float(error[third == i].mean() * 1000) for i in range(3)]
    dreamed = np.array([score(video.frames) for video in generated])
    of_dreams = np.clip(np.searchsorted(edges, dreamed, side="right") - 1, 0, 2)
    more = {
        "thirds": [{"from": round(float(edges[i]), 3), "hand_mm": round(expected[i], 1)} for i in range(3)],
        "generated": len(dreamed),
        "generated_beyond_probes": round(float((dreamed > edges[-1]).mean()), 4) if len(dreamed) else None,
        "generated_expected_hand_mm": round(float(np.mean([expected[i] for i in of_dreams])), 1)
        if len(dreamed)
        else None,
    }
    if np.ptp(error) == 0:
        return Figure(value=None, n=len(probes), why="the error is the same everywhere"), more
    return Figure(value=float(stats.spearmanr(strange, error).statistic), n=len(probes)), more


def likeness(known: Sequence[Episode], *, components: int = 12) -> Callable[[np.ndarray], float]:
    """How far a video's frames lie from the principal components of known ones, in grey levels (root mean square)."""
    rows = np.concatenate([_small(e.frames) for e in known])
    middle = rows.mean(0)
    axes = np.linalg.svd(rows - middle, full_matrices=False)[2][:components]

    def score(frames: np.ndarray) -> float:
        away = _small(frames) - middle
        return float(np.sqrt(((away - away @ axes.T @ axes) ** 2).mean()))

    return score


def _small(frames: np.ndarray) -> Array:
    """uint8 [T, H, W, 3] -> [T, 16 * 16 * 3]."""
    from PIL import Image

    small = [np.asarray(Image.fromarray(f).resize((16, 16), Image.Resampling.BOX), float) for f in frames]
    return np.stack(small).reshape(len(frames), -1)


def blurred(frames: np.ndarray) -> np.ndarray:
    """Out of focus by two pixels."""
    return ndimage.gaussian_filter(frames.astype(float), (0, 2, 2, 0)).round().astype(np.uint8)


def grained(frames: np.ndarray) -> np.ndarray:
    """With noise of 25 grey levels, another in each frame."""
    noise = np.random.default_rng(0).normal(0, 25, frames.shape)
    return (frames + noise).clip(0, 255).round().astype(np.uint8)
