"""The words of the benchmark, as values, and the four contracts that plug-ins keep.

What stays in memory is a frozen dataclass. What crosses the disk is a `Record`: flat, typed, and strict, so that an
unknown or a missing key is refused where it is read. Errors that are the user's to mend are `UserError`s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1
"""Of every record that we publish or resume from."""


class UserError(Exception):
    """Something that the user can mend: it names the thing, the choices and the cure. The command line exits with 2."""


# Values


@dataclass(frozen=True, kw_only=True)
class Task:
    """One first frame and one instruction to dream from, and how long the dream shall be."""

    id: str
    suite: str
    instruction: str
    first_frame: Path  # a PNG or JPEG
    num_frames: int
    fps: float
    behavior: str = ""  # what is asked for, as the environment names it; '' where unknown
    group: str = ""  # tasks of one group share the same first frame under different instructions
    state: Mapping[str, Any] = field(
        default_factory=dict
    )  # how to put a simulator into the first frame; {} off the sim track
    tags: tuple[str, ...] = ()
    views: tuple[str, ...] = ()  # names of the camera views that stand side by side in each frame, left to right


def seed_for(task: Task, seed: int) -> int:
    """A number of 63 bits to draw from: the same for a task and a seed, whatever ran before, on any machine."""
    name = f"{task.suite}/{task.id}/{seed}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A frozen, versioned, hashed list of tasks."""

    name: str
    digest: str  # sha256 over header, rows and first frames
    track: Literal["sim", "robot"]
    description: str
    license: str
    tasks: tuple[Task, ...]
    environment: str = ""  # registered name of the environment that the tasks' states belong to
    trajectories: str = ""  # the suite whose videos become neural trajectories and train the policy


@dataclass(frozen=True, kw_only=True)
class Video:
    """What a world model made."""

    frames: np.ndarray  # uint8 [T, H, W, 3]
    fps: float


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """The question put to a judge, and how its answer is read."""

    name: str
    digest: str
    score: str  # short column name: IF, PA
    prompt: str  # with {instruction} where the task's instruction goes
    options: Mapping[str, float]  # the answers on offer and their values
    num_frames: int  # evenly spaced frames shown to the judge, the first and the last among them
    scale: float = 1.0  # of the frames' sides, before they are shown; smaller ones are made without aliasing
    max_side: int | None = None  # in pixels, of the frames as shown
    frames_stand: Literal["before", "after"] = "before"  # the words
    checks: Mapping[str, str] = field(default_factory=dict)  # of a checklist: name -> what stands for {check}
    official: bool = False  # somebody else's prompt, imported by the user for figures comparable with a paper's


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a judge is asked: words and frames in, one of the options out."""

    prompt: str
    frames: np.ndarray  # uint8 [N, H, W, 3], in order
    options: tuple[str, ...]  # the best answer first
    fps: float = 1.0  # of the frames shown, for judges that are told
    frames_stand: Literal["before", "after"] = "before"  # the words
    instruction: str = ""  # what was asked of the robot, where the rubric tells the judge


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What answers cost, for judges that are paid; cost in US dollars, None where no price is known."""

    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a judge said. `error` is why it said nothing; `logprobs` are those of the options, where it gives them."""

    text: str
    logprobs: Mapping[str, float] | None = None
    error: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A neural trajectory: a video and the pseudo-actions between its frames, with the instruction that it follows."""

    frames: np.ndarray  # uint8 [T, H, W, 3]
    labels: np.ndarray  # float32 [T - 1, LABELS]
    instruction: str
    latent: bool = False  # the labels are latent actions: float32 [T - 1, an IDM's own columns]


LABELS = ("x", "y", "z", "opening", "dx", "dy", "dz", "grip")
"""Columns of an IDM's labels: waypoint at the later frame (hand in metres, finger opening 0-1), and the mean action
in between (hand motion and grip effort, in the simulator's units of [-1, 1])."""
WAYPOINT = (0, 1, 2, 7)
"""The columns that an environment's `step` takes: hand position and grip effort."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A named, published thing that can be loaded: a world model, a judge, an IDM, a policy, an environment."""

    name: str
    revision: str  # of weights, API or code: whatever changes its output changes this
    load: str  # "package.module:function", imported on first use
    license: str
    args: Mapping[str, Any] = field(default_factory=dict)  # for the loader
    unkeyed: tuple[str, ...] = ()  # of these, what changes speed, memory or price but no result
    fit: str = ""  # the same for what can be trained: (trajectories, *, seed, out) -> the checkpoint that load takes
    summary: str = ""
    group: Literal["trained", "control", "card", ""] = ""
    family: str = ""  # what it is a kind of: wan, cosmos, simulated
    adaptation: Literal["zero", "sft", "none"] = "none"
    weights: Literal["shipped", "recipe", "hub", "none"] = "none"
    parameters: int | None = None
    trained_on: tuple[str, ...] = ()
    training: str = ""  # how long, on what: "9000 steps of 8 clips, 70 min, one CPU core"
    needs: str = ""  # pip extra without which it can't be loaded
    paper: str = ""
    stochastic: bool = True  # of a world model: two seeds give two videos
    drifts: bool = False  # of a judge: its answers may change though its revision does not, since others host it
    domain: str = ""  # of a judge: the only videos that it can judge, in words, where it was made for some alone
    latent: bool = False  # of an IDM: its labels are latent actions; of a policy: it can learn from such labels
    address: str = ""  # where it is served, if it is; no part of any key, since it changes no video

    @property
    def id(self) -> str:
        """Name and revision, as records quote it."""
        return f"{self.name}@{self.revision}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about this machine that was looked at. An optional one that is not ok fails nothing."""

    name: str
    ok: bool
    found: str
    cure: str = ""
    optional: bool = False


# Contracts


@runtime_checkable
class WorldModel(Protocol):
    """Dreams one video per task, in the order given."""

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One `Video` per task, of task.num_frames frames, first the given frame; batched as the adapter likes."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Answers questions about frames."""

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One `Reply` per question, in order. A question that can't be answered gives a reply with an error."""
        ...


@runtime_checkable
class EagerJudge(Judge, Protocol):
    """A judge whose replies come when they like, and are too dear to wait for their turn in memory."""

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[int, Reply]]:
        """As `ask`, each reply as soon as it is there, with the place of its question."""
        ...


@runtime_checkable
class IDM(Protocol):
    """Infers the actions that would have produced a video.

    A latent action model, whose Spec says `latent`, has labels of its own: its attribute `columns` names them.
    """

    def label(self, videos: Sequence[Video]) -> Iterator[np.ndarray]:
        """For each video, float32 [T - 1, len(LABELS)]. UserError where its rate hides what the robot does."""
        ...


@runtime_checkable
class Policy(Protocol):
    """An observation in, a chunk of actions out."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """float32 [chunk, action] for {"image": uint8 [H, W, 3], "instruction": str, "state": float32 [4]}."""
        ...

    def reset(self) -> None:
        """Forget the last episode."""
        ...


# Records


class Record(BaseModel):
    """One line or file that is published or resumed from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_: int = Field(SCHEMA, alias="schema")


class VideoRecord(Record):
    """One line of videos.jsonl: what became of one (task, model, seed). The artefact is whole where file is set."""

    key: str
    suite: str
    suite_digest: str
    task: str
    model: str
    revision: str
    seed: int
    status: Literal["ok", "no_video"]
    file: str | None = None  # relative to the run folder
    sha256: str | None = None
    reason: str | None = None  # why there is no video
    begins: bool | None = None  # at the task's first frame; null where it was not looked at
    seconds: float = 0.0


class Judgment(Record):
    """One line of judgments.jsonl: one answer about one video."""

    key: str
    video: str  # key of the video's record
    suite: str
    task: str
    model: str
    seed: int
    judge: str
    rubric: str
    status: Literal["ok", "no_video", "judge_error", "unparsed"]
    value: float | None = None  # of the answer, 0-1; 0 for no_video, null for what could not be had
    probability: float | None = None  # of a yes, where the judge gives it
    reply: str = ""
    seconds: float = 0.0
    prompt_tokens: int | None = None  # of paid judges
    completion_tokens: int | None = None
    cost: float | None = None  # US dollars


class TrajectoryRecord(Record):
    """One line of trajectories.jsonl: the labels of one video."""

    key: str
    video: str
    suite: str
    task: str
    model: str
    seed: int
    idm: str
    status: Literal["ok", "no_video", "idm_error"]
    latent: bool = False  # the labels are latent actions, which no robot can follow
    file: str | None = None
    reason: str | None = None


class EpisodeRecord(Record):
    """One line of episodes.jsonl: one run in the simulator, of a policy or of labels replayed open loop."""

    key: str
    kind: Literal["policy", "replay"]
    suite: str
    model: str
    seed: int
    task: str  # of the replayed video; for a policy's episode, behavior and start
    behavior: str
    policy: str = ""  # '' for a replay
    idm: str = ""
    success: bool | None  # null where the episode crashed
    progress: float | None = None  # 0-1, the furthest that it came, where the environment tells it; 1 is success
    planned: int | None = None  # episodes of this policy, of which fewer were run if the rate was known earlier:
    precision: float | None = None  # to within so much on either side
    reason: str | None = None
    seconds: float = 0.0
