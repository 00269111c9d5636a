"""Videos x judge x rubrics -> judgments."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from .store import RecordFile, Summary, digest, sharded
from .types import EagerJudge, Judge, Judgment, Question, Reply, Rubric, Spec, Task, Video, VideoRecord
from .video import VideoError, sampled

S = TypeVar("S")
T = TypeVar("T")
BATCH = 16
"""Videos decoded and asked about together."""
REPLY = 10_000
"""Characters of a reply that are kept: a judge that answers with megabytes fills no disk."""


def judgment_key(video: VideoRecord, spec: Spec, rubric: Rubric) -> str:
    """What determines a judgment: the video, the judge and its revision, the rubric with its frame sampling."""
    args = {name: value for name, value in spec.args.items() if name not in spec.unkeyed}
    return digest(video.key, video.sha256, spec.id, args, rubric.name, rubric.digest)


def answers(videos: Iterable[VideoRecord], spec: Spec, *, rubrics: Sequence[Rubric], out: Path) -> list[Judgment]:
    """What this judge said of these videos under these very rubrics, in the order of the file.

    A rubric that was edited since, or another of the same name, is another question: its answers are not among them.
    """
    wanted = {judgment_key(video, spec, rubric) for video in videos for rubric in rubrics}
    there = RecordFile(out / "judgments.jsonl", Judgment).read()
    return [judgment for key, judgment in there.items() if key in wanted]


def run(
    videos: Iterable[VideoRecord],
    tasks: Mapping[tuple[str, str], Task],
    spec: Spec,
    load: Callable[[], Judge],
    *,
    rubrics: Sequence[Rubric],
    out: Path,
    shard: tuple[int, int] = (1, 1),
) -> Summary:
    """Judge every video that `out` has no judgment of, each decoded once for all rubrics.

    tasks: (suite, task id) -> task. A video that is not there counts 0 under `no_video`; a judge that gave no answer
    is a `judge_error`, asked again by the next run; an answer that was not on offer stays `unparsed`, with its words.
    """
    records = RecordFile(out / "judgments.jsonl", Judgment)
    there = {key for key, record in records.read().items() if record.status != "judge_error"}
    mine = sharded(videos, shard)
    owed = [(v, [r for r in rubrics if judgment_key(v, spec, r) not in there]) for v in mine]
    missing = [(video, left) for video, left in owed if left]
    asked = sum(len(left) for _, left in missing)
    summary = Summary(planned=len(mine) * len(rubrics), skipped=len(mine) * len(rubrics) - asked)
    model: Judge | None = None
    batches = [missing[start : start + BATCH] for start in range(0, len(missing), BATCH)]
    for batch in _ahead(lambda batch: [_prepared(v, tasks, left, out) for v, left in batch], batches):
        ready: list[tuple[VideoRecord, Rubric, list[Question]]] = []
        for video, left, asked_of, reason in batch:
            if asked_of is None:
                for rubric in left:
                    _note(records, summary, _judgment(video, spec, rubric, status="no_video", value=0.0, reply=reason))
                continue
            ready += [(video, rubric, asked) for rubric, asked in zip(left, asked_of, strict=True)]
        if ready:
            model = model or load()
            for place, replies, seconds in _ask(model, [asked for _, _, asked in ready]):
                video, rubric, _ = ready[place]
                _note(records, summary, read_replies(video, spec, rubric, replies, seconds=seconds))
    return summary


def questions(video: Video, task: Task, rubrics: Sequence[Rubric]) -> list[list[Question]]:
    """What each rubric asks about a video: its one question, or one for each check of a checklist.

    Rubrics that show the same frames share one array, so that a judge can tell, and look at them once.
    """
    pictures: dict[tuple[int, float, int | None], np.ndarray] = {}
    asked = []
    for rubric in rubrics:
        sampling = rubric.num_frames, rubric.scale, rubric.max_side
        whole = question(video, task, rubric, frames=pictures.get(sampling))
        pictures[sampling] = whole.frames
        checks = rubric.checks.values()
        each = [replace(whole, prompt=whole.prompt.replace("{check}", check)) for check in checks]
        asked.append(each or [whole])
    return asked


def question(video: Video, task: Task, rubric: Rubric, *, frames: np.ndarray | None = None) -> Question:
    """A rubric's question about a video: evenly spaced frames, the first and the last among them.

    frames: those that the rubric shows, where they are there already.
    """
    count = min(rubric.num_frames, len(video.frames))
    if frames is None:
        index = np.linspace(0, len(video.frames) - 1, count).round().astype(int)
        frames = shown(video.frames[index], scale=rubric.scale, max_side=rubric.max_side)
    seconds = max(len(video.frames) - 1, 1) / (video.fps or 1.0)
    instruction = task.instruction.replace("\n", " ")
    told = "{instruction}" in rubric.prompt
    return Question(
        prompt=_views(task) + rubric.prompt.replace("{instruction}", instruction),
        frames=frames,
        options=tuple(sorted(rubric.options, key=lambda option: -rubric.options[option])),
        fps=max(count - 1, 1) / seconds,
        frames_stand=rubric.frames_stand,
        instruction=instruction if told else "",
    )


def _views(task: Task) -> str:
    if not task.views:
        return ""
    return f"Each picture shows {len(task.views)} camera views side by side, from the left: {', '.join(task.views)}. "


def shown(frames: np.ndarray, *, scale: float, max_side: int | None) -> np.ndarray:
    """Frames uint8 [N, H, W, 3] at the size in which the judge sees them: never enlarged, shrunk without aliasing."""
    height, width = frames.shape[1:3]
    scale = min(scale, 1.0, (max_side or max(height, width)) / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return frames
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.LANCZOS)) for f in frames])


def read_answer(text: str, options: Mapping[str, float]) -> float | None:
    """The value of the last option that stands in a reply as a word of its own; None where there is none.

    The last answer wins: models restate the options while reasoning, and only the final one is their verdict.
    """
    words = re.findall(r"(?<![\w.])(" + "|".join(map(re.escape, options)) + r")(?![\w]|\.\d)", text, re.IGNORECASE)
    values = {option.lower(): value for option, value in options.items()}
    return values[words[-1].lower()] if words else None


def probability(reply: Reply, options: Mapping[str, float]) -> float | None:
    """P(yes) among the options, by their log-probabilities; None where the judge gives none."""
    if not reply.logprobs or set(reply.logprobs) != set(options):
        return None
    logits = np.array([reply.logprobs[option] for option in options], float)
    weights = np.exp(logits - logits.max())
    return float(np.dot(weights / weights.sum(), [options[option] for option in options]))


def read_replies(
    video: VideoRecord, spec: Spec, rubric: Rubric, replies: Sequence[Reply], *, seconds: float
) -> Judgment:
    """One judgment out of what the judge said.

    Of a checklist every check must hold: its value is the least of the answers, and one that is missing leaves the
    judgment missing; its probability is the least, too, the most that all of them together can have.
    """
    error = next((reply.error for reply in replies if reply.error), "")
    paid = _paid(replies)
    if error:
        return _judgment(video, spec, rubric, status="judge_error", reply=_kept(error, 2000), seconds=seconds, **paid)
    values = [read_answer(reply.text, rubric.options) for reply in replies]
    chances = [probability(reply, rubric.options) for reply in replies]
    known = [value for value in values if value is not None]
    likely = [chance for chance in chances if chance is not None]
    whole = len(known) == len(values)
    return _judgment(
        video,
        spec,
        rubric,
        status="ok" if whole else "unparsed",
        value=min(known) if whole else None,
        probability=round(min(likely), 4) if len(likely) == len(chances) else None,
        reply=_said(rubric, replies),
        seconds=seconds,
        **paid,
    )


def _said(rubric: Rubric, replies: Sequence[Reply]) -> str:
    if not rubric.checks:
        return _kept(replies[0].text, REPLY)
    texts = [_kept(reply.text, REPLY // len(replies)) for reply in replies]
    return json.dumps(dict(zip(rubric.checks, texts, strict=True)), ensure_ascii=False)


def _kept(text: str, length: int) -> str:
    # Half of a surrogate pair is no text that a file can hold.
    return text[:length].encode("utf-8", "replace").decode()


def _paid(replies: Sequence[Reply]) -> dict[str, float | None]:
    used = [reply.usage for reply in replies if reply.usage is not None]
    if not used:
        return {}
    costs = [usage.cost for usage in used if usage.cost is not None]
    return {
        "prompt_tokens": sum(usage.prompt_tokens for usage in used),
        "completion_tokens": sum(usage.completion_tokens for usage in used),
        "cost": round(sum(costs), 8) if len(costs) == len(used) else None,
    }


def _ask(model: Judge, asked: Sequence[Sequence[Question]]) -> Iterator[tuple[int, list[Reply], float]]:
    """Each group of questions with its replies, by the group's place, as soon as the last of them is there.

    A judge that raises, or that falls silent, has given an error to what is left.
    """
    flat = [question for group in asked for question in group]
    owner = [place for place, group in enumerate(asked) for _ in group]
    waiting: dict[int, dict[int, Reply]] = {place: {} for place in range(len(asked))}
    started, why = time.perf_counter(), "the judge gave too few replies"
    replies = model.answers(flat) if isinstance(model, EagerJudge) else enumerate(model.ask(flat))
    try:
        for index, reply in replies:
            if index >= len(flat):
                break
            place = owner[index]
            waiting[place][index] = reply
            if len(waiting[place]) == len(asked[place]):
                there = waiting.pop(place)
                yield place, [there[i] for i in sorted(there)], round(time.perf_counter() - started, 4)
                started = time.perf_counter()
    except OSError:
        raise
    except Exception as error:  # a judge's failure is not the video's
        why = f"{type(error).__name__}: {error}"
    for place, there in waiting.items():
        # What it did say and cost before it fell silent is not forgotten.
        yield place, [*there.values(), Reply(text="", error=why)], 0.0


def _ahead(make: Callable[[S], T], of: Sequence[S]) -> Iterator[T]:
    """What is made of each, the next one while the caller is busy: a judge does not wait for frames."""
    with ThreadPoolExecutor(1) as pool:
        coming: deque[Future[T]] = deque()
        for one in of:
            coming.append(pool.submit(make, one))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _prepared(
    video: VideoRecord, tasks: Mapping[tuple[str, str], Task], rubrics: Sequence[Rubric], out: Path
) -> tuple[VideoRecord, Sequence[Rubric], list[list[Question]] | None, str]:
    """A video with what each rubric asks about it, or with None and the reason why there is nothing to ask about."""
    if video.file is None:
        return video, rubrics, None, video.reason or "no video"
    try:
        clips, task = sampled(out / video.file, [r.num_frames for r in rubrics]), tasks[video.suite, video.task]
        asked: dict[str, list[Question]] = {}
        for count, clip in clips.items():
            alike = [rubric for rubric in rubrics if rubric.num_frames == count]
            asked |= {r.name: of for r, of in zip(alike, questions(clip, task, alike), strict=True)}
        return video, rubrics, [asked[rubric.name] for rubric in rubrics], ""
    except VideoError as error:
        return video, rubrics, None, str(error)


def _judgment(video: VideoRecord, spec: Spec, rubric: Rubric, **fields) -> Judgment:  # type: ignore[no-untyped-def]
    return Judgment(
        key=judgment_key(video, spec, rubric),
        video=video.key,
        suite=video.suite,
        task=video.task,
        model=video.model,
        seed=video.seed,
        judge=spec.id,
        rubric=rubric.name,
        **fields,
    )


def _note(records: RecordFile, summary: Summary, judgment: Judgment) -> None:
    records.append(judgment)
    if judgment.status == "ok":
        summary.done += 1
    else:
        summary.failed[judgment.status] += 1
