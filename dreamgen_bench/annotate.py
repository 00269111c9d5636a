"""People's labels of videos: blind, shuffled for each rater, kept after each answer, and read by `validate-judge`.

A clip is a video and a question. Its name on the page is drawn at random when the folder is made, and the video is
encoded anew, so that neither name, file nor order says which model made it. Answers are lines that are only appended:
a rater's last line about a clip counts, and no rater can touch another's.
"""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from .store import RecordFile, digest, read_json, whole_file, write_json
from .types import Record, Rubric, Task, UserError, VideoRecord
from .video import VideoError, encode, read

A = TypeVar("A")
ASSETS = ("annotate.html", "annotate.css", "annotate.js")
COLUMNS = ("id", "video", "instruction", "rubric", "rater", "label", "model", "behavior", "look")
NAME = re.compile(r"[\w .@-]{1,40}")


class Answer(Record):
    """One line of answers.jsonl: what a rater said of a clip; null where it was passed over."""

    key: str
    rater: str
    clip: str
    label: int | float | None


class Rater(Record):
    """One line of raters.jsonl: a name, and the secret that its owner's browser holds."""

    key: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One answer on offer: its words, the keys that give it, and the label that it is on the page."""

    words: str
    keys: tuple[str, ...]
    label: float


class Asked(Protocol):
    """What a session asks about: a clip, or a pair of them."""

    choices: ClassVar[tuple[Choice, ...]]

    @property
    def id(self) -> str:
        """Its name, drawn at random."""

    @property
    def rubric(self) -> str:
        """The question's name."""

    def shown(self, rater: str) -> dict[str, Any]:
        """What this rater sees: nothing that names a model or a task."""

    def meant(self, rater: str, label: float) -> float:
        """What a label on this rater's page means in the record, and the other way round."""

    def videos(self) -> list[str]:
        """The page's videos, to be loaded before they are shown."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video and a question about it, with what only the label file says."""

    choices: ClassVar[tuple[Choice, ...]] = (
        Choice(words="Yes", keys=("1", "y"), label=1),
        Choice(words="No", keys=("0", "n"), label=0),
    )
    id: str
    file: str  # of the page's video
    source: str  # of the label file's video
    instruction: str
    rubric: str
    question: str
    model: str
    behavior: str
    look: str

    def shown(self, rater: str) -> dict[str, Any]:
        """The same for every rater."""
        return {"id": self.id, "videos": [self.file], "question": self.question}

    def meant(self, rater: str, label: float) -> float:
        """What it is."""
        return label

    def videos(self) -> list[str]:
        """The one."""
        return [self.file]


@dataclass(kw_only=True)
class Session:
    """A folder of labels being made: its clips, and the two files that grow."""

    out: Path
    clips: Mapping[str, Asked]
    answers: RecordFile
    raters: RecordFile
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, path: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        """What the page asks: /join a rater, /next clip, keep an /answer."""
        with self.lock:
            rater = self._rater(sent.get("rater"), sent.get("secret"), joining=path == "/join")
            if path == "/answer":
                self._keep(rater.key, sent.get("clip"), sent.get("label"))
            elif path not in ("/join", "/next"):
                raise UserError(f"nothing answers at {path}")
            return self._state(rater)

    def _rater(self, name: Any, secret: Any, *, joining: bool) -> Rater:
        if not isinstance(name, str) or not NAME.fullmatch(name.strip()):
            raise UserError("a rater's name has 1 to 40 letters, digits, spaces, dots or dashes")
        name = name.strip()
        known: Rater | None = self.raters.read().get(name)
        if known is None and joining:
            known = Rater(key=name, secret=secrets.token_hex(4))
            self._append(self.raters, known)
        if known is None or (known.secret != secret and not (joining and secret is None and not self._used(name))):
            raise UserError(f"{name!r} is taken: enter the code that was shown when it was first used, or another name")
        return known

    def _used(self, name: str) -> bool:
        return any(answer.rater == name for answer in self.answers.read().values())

    def _keep(self, rater: str, clip: Any, label: Any) -> None:
        if not isinstance(clip, str) or clip not in self.clips:
            raise UserError("that clip is not one of these")
        offered = [choice.label for choice in self.clips[clip].choices]
        if label is not None and (label not in offered or isinstance(label, bool)):
            raise UserError(f"a label is {', '.join(f'{one:g}' for one in sorted(offered))} or null")
        meant = None if label is None else self.clips[clip].meant(rater, label)
        self._append(self.answers, Answer(key=digest(rater, clip), rater=rater, clip=clip, label=meant))

    @staticmethod
    def _append(file: RecordFile, record: Record) -> None:
        """Append, and wait for the disk: what a person said is not asked twice."""
        file.append(record)
        with file.path.open("rb") as stream:
            os.fsync(stream.fileno())

    def _state(self, rater: Rater) -> dict[str, Any]:
        said = {answer.clip: answer for answer in self.answers.read().values() if answer.rater == rater.key}
        order = sorted(self.clips, key=lambda clip: digest("order", rater.key, clip))
        # What was passed over comes again at the end, so that nothing waits behind a hard clip.
        left = [clip for clip in order if clip not in said]
        passed = [clip for clip in said if said[clip].label is None]
        answered = [clip for clip in said if said[clip].label is not None]
        upcoming = [*left, *passed]
        state = {"rater": rater.key, "secret": rater.secret, "done": len(answered), "planned": len(order)}
        before = [self.clips[clip] for clip in answered[-1:]]
        return state | {
            "choices": [asdict(choice) for choice in next(iter(self.clips.values())).choices],
            "clip": self.clips[upcoming[0]].shown(rater.key) if upcoming else None,
            "after": self.clips[upcoming[1]].videos() if len(upcoming) > 1 else [],
            "before": [
                one.shown(rater.key) | {"label": one.meant(rater.key, said[one.id].label or 0)} for one in before
            ],
        }


def prepare(
    videos: Sequence[VideoRecord],
    tasks: Mapping[tuple[str, str], Task],
    *,
    run: Path,
    rubrics: Sequence[Rubric],
    out: Path,
) -> Session:
    """Make, or find again, the clips of these videos. UserError: the folder began with other videos or questions."""
    wanted = digest([video.key for video in videos], [rubric.digest for rubric in rubrics])
    kept = remembered(out, wanted, lambda: _clips(videos, tasks, run=run, rubrics=rubrics, out=out))
    return opened(out, {clip["id"]: Clip(**clip) for clip in kept})


def remembered(out: Path, of: str, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What was drawn when the folder was made; `of` is the digest of what it was drawn from.

    UserError: the folder began with something else, or there is nothing to look at.
    """
    path = out / "clips.json"
    if path.exists():
        kept = read_json(path)
        if kept["of"] != of:
            raise UserError(f"{out}: holds labels of other videos or questions; choose another --out")
        return list(kept["clips"])
    made = make()
    if not made:
        raise UserError(f"{out}: there is no video to look at, or no two of one task where two are compared")
    write_json(path, {"of": of, "clips": made})
    return made


def opened(out: Path, clips: Mapping[str, Asked]) -> Session:
    """A session over these, with the answers that the folder has already; its page is written anew."""
    with as_file(files("dreamgen_bench") / "page") as folder:
        (out / "page").mkdir(exist_ok=True)
        for name in ASSETS:
            shutil.copyfile(folder / name, out / "page" / name.replace("annotate.html", "index.html"))
    answers, raters = RecordFile(out / "answers.jsonl", Answer), RecordFile(out / "raters.jsonl", Rater)
    return Session(out=out, clips=clips, answers=answers, raters=raters)


def _clips(
    videos: Sequence[VideoRecord],
    tasks: Mapping[tuple[str, str], Task],
    *,
    run: Path,
    rubrics: Sequence[Rubric],
    out: Path,
) -> list[dict[str, str]]:
    found = []
    for video in videos:
        task = tasks.get((video.suite, video.task))
        copies = copied(video, run=run, out=out) if task else None
        if task is None or copies is None:
            continue
        about = copies | {"model": video.model, **described(task)}
        for rubric in rubrics:
            question = rubric.prompt.replace("{instruction}", task.instruction)
            found.append(about | {"id": secrets.token_hex(8), "rubric": rubric.name, "question": question})
    return found


def copied(video: VideoRecord, *, run: Path, out: Path) -> dict[str, str] | None:
    """A video for the page and for the label file, under a name that tells nothing; None where it can't be seen."""
    if video.file is None:
        return None
    source, name = run / video.file, secrets.token_hex(8)
    try:
        web = encode(read(source), web=True)
    except VideoError:
        return None  # a judge can't see it either: it is a no_video there
    with whole_file(out / "page" / "clips" / f"{name}.mp4") as file:
        file.write(web)
    kept = out / "videos" / f"{name}{source.suffix}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, kept)
    return {"file": f"clips/{name}.mp4", "source": f"videos/{kept.name}"}


def described(task: Task) -> dict[str, str]:
    """What figures are split by, and what was asked for."""
    look = next((tag.removeprefix("look:") for tag in task.tags if tag.startswith("look:")), "")
    about = {"behavior": task.behavior, "look": str(task.state.get("look", look) or "")}
    return about | {"instruction": task.instruction}


# What came of it


def write_labels(session: Session) -> Path:
    """labels.csv, as `validate-judge` reads it: one line a rater and clip, every answer that was given."""
    rows = []
    for clip, answer in given(session, Clip):
        about = {name: getattr(clip, name) for name in ("instruction", "rubric", "model", "behavior", "look")}
        # Two questions about one video are two lines of one clip, so the id is the video's.
        row = about | {"id": Path(clip.source).stem, "video": clip.source}
        rows.append(row | {"rater": answer.rater, "label": answer.label})
    return write_csv(session.out / "labels.csv", COLUMNS, rows)


def given(session: Session, kind: type[A]) -> Iterator[tuple[A, Answer]]:
    """Every answer that is a label, with what it is about, in an order that no rater has had."""
    for answer in sorted(session.answers.read().values(), key=lambda answer: (answer.clip, answer.rater)):
        asked = session.clips.get(answer.clip)
        if isinstance(asked, kind) and answer.label is not None:
            yield asked, answer


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """A table with a header, complete or not at all."""
    text = io.StringIO()
    lines = csv.DictWriter(text, columns, lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode())
    return path


def agreement(session: Session) -> list[str]:
    """How far raters agree, a line a question: shared clips, share of equal answers, Krippendorff's alpha."""
    said: dict[str, dict[str, dict[str, float]]] = {}
    for answer in session.answers.read().values():
        clip = session.clips.get(answer.clip)
        if clip is not None and answer.label is not None:
            said.setdefault(clip.rubric, {}).setdefault(answer.rater, {})[answer.clip] = answer.label
    return [f"{rubric}: {_agreed(by_rater)}" for rubric, by_rater in sorted(said.items())]


def _agreed(by_rater: Mapping[str, Mapping[str, float]]) -> str:
    raters = sorted(by_rater)
    counts = ", ".join(f"{rater} {len(by_rater[rater])}" for rater in raters)
    clips = sorted({clip for said in by_rater.values() for clip in said})
    table = np.array([[by_rater[rater].get(clip, np.nan) for clip in clips] for rater in raters], dtype=np.float64)
    shared = (~np.isnan(table)).sum(axis=0) > 1
    if not shared.any():
        return f"{counts} answers; no clip has two raters yet"
    pairs = [
        column[one] == column[other]
        for column in table[:, shared].T
        for one in range(len(raters))
        for other in range(one)
        if not np.isnan(column[[one, other]]).any()
    ]
    words = f"{counts} answers; {int(shared.sum())} clips of several raters, {np.mean(pairs):.0%} of pairs equal"
    if len(np.unique(table[:, shared][~np.isnan(table[:, shared])])) < 2:
        return f"{words}, alpha undefined: all answers are alike"
    import krippendorff

    alpha = krippendorff.alpha(table[:, shared], level_of_measurement="nominal")
    return f"{words}, Krippendorff's alpha {alpha:.2f}"
