"""Videos x judge x rubrics -> judgments."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from .store import RecordFile, Summary, digest, sharded
from .types import Judge, Judgment, Question, Reply, Rubric, Spec, Task, Video, VideoRecord
from .video import VideoError, read

BATCH = 16
"""Videos decoded and asked about together."""


def judgment_key(video: VideoRecord, spec: Spec, rubric: Rubric) -> str:
    """What determines a judgment: the video, the judge and its revision, the rubric with its frame sampling."""
    return digest(video.key, video.sha256, spec.id, dict(spec.args), rubric.name, rubric.digest)


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
    for start in range(0, len(missing), BATCH):
        ready, questions = [], []
        for video, left in missing[start : start + BATCH]:
            frames, reason = _frames(video, out)
            for rubric in left:
                if frames is None:
                    _note(records, summary, _judgment(video, spec, rubric, status="no_video", value=0.0, reply=reason))
                else:
                    ready.append((video, rubric))
                    questions.append(question(frames, tasks[video.suite, video.task], rubric))
        if questions:
            model = model or load()
            for (video, rubric), reply, seconds in _ask(model, ready, questions):
                _note(records, summary, read_reply(video, spec, rubric, reply, seconds=seconds))
    return summary


def question(video: Video, task: Task, rubric: Rubric) -> Question:
    """A rubric's question about a video: evenly spaced frames, the first and the last among them."""
    count = min(rubric.num_frames, len(video.frames))
    index = np.linspace(0, len(video.frames) - 1, count).round().astype(int)
    seconds = max(len(video.frames) - 1, 1) / (video.fps or 1.0)
    return Question(
        prompt=rubric.prompt.replace("{instruction}", task.instruction.replace("\n", " ")),
        frames=video.frames[index],
        options=tuple(rubric.options),
        fps=max(count - 1, 1) / seconds,
    )


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


def read_reply(video: VideoRecord, spec: Spec, rubric: Rubric, reply: Reply, *, seconds: float) -> Judgment:
    """One judgment out of what the judge said."""
    if reply.error:
        return _judgment(video, spec, rubric, status="judge_error", reply=reply.error[:2000], seconds=seconds)
    value, chance = read_answer(reply.text, rubric.options), probability(reply, rubric.options)
    return _judgment(
        video,
        spec,
        rubric,
        status="ok" if value is not None else "unparsed",
        value=value,
        probability=None if chance is None else round(chance, 4),
        reply=reply.text[:10_000],
        seconds=seconds,
    )


def _ask(
    model: Judge, ready: list, questions: list[Question]
) -> Iterator[tuple[tuple[VideoRecord, Rubric], Reply, float]]:
    """Each question with its reply; a judge that raises, or that falls silent, has given an error to what is left."""
    started, answered = time.perf_counter(), 0
    why = "the judge gave too few replies"
    try:
        for reply in model.ask(questions):
            if answered == len(ready):
                break
            yield ready[answered], reply, round(time.perf_counter() - started, 4)
            answered, started = answered + 1, time.perf_counter()
    except OSError:
        raise
    except Exception as error:  # a judge's failure is not the video's
        why = f"{type(error).__name__}: {error}"
    for row in ready[answered:]:
        yield row, Reply(text="", error=why), 0.0


def _frames(video: VideoRecord, out: Path) -> tuple[Video | None, str]:
    if video.file is None:
        return None, video.reason or "no video"
    try:
        return read(out / video.file), ""
    except VideoError as error:
        return None, str(error)


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
