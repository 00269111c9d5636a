"""Datasets of neural trajectories: every number and byte is ours, in the places where LeRobot and GR00T look."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dreamgen_bench import export
from dreamgen_bench.export.clips import CAMERA, Clip
from dreamgen_bench.types import UserError, Video
from dreamgen_bench.video import encode, read

WORDS = ("open the drawer", "push the button", "open the drawer", "öffne die Tür")


def clip(number, *, length=6, size=64, fps=10.0):
    rng = np.random.default_rng(number)
    frames = rng.integers(0, 255, (length, size, size, 3), dtype=np.uint8)
    mp4 = encode(Video(frames=frames, fps=fps))
    labels = rng.normal(size=(length - 1, 8)).astype(np.float32)
    return Clip(name=f"clip {number}", mp4=mp4, frames=frames, fps=fps, labels=labels, instruction=WORDS[number % 4])


CLIPS = [clip(number, length=4 + number) for number in range(4)]
FORMATS = sorted(export.FORMATS)


@pytest.fixture(scope="module", params=FORMATS)
def written(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / request.param
    return request.param, out, export.write(CLIPS, request.param, out)


def rows(layout, out, index):
    if layout == "lerobot-v3":
        table = pd.read_parquet(out / "data/chunk-000/file-000.parquet")
        return table[table.episode_index == index]
    return pd.read_parquet(out / f"data/chunk-000/episode_{index:06d}.parquet")


def test_rows_are_ours(written):
    """Actions bit for bit, a zero state, times of the frames that they belong to, places in order."""
    layout, out, info = written
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"], info["fps"]) == (4, 18, 3, 10)
    first = 0
    for index, one in enumerate(CLIPS):
        found = rows(layout, out, index)
        np.testing.assert_array_equal(np.stack(found["action"]), one.labels[:, [0, 1, 2, 7]])
        assert not np.stack(found["observation.state"]).any()
        steps = np.arange(len(one.labels))
        np.testing.assert_array_equal(found["frame_index"], steps)
        np.testing.assert_allclose(found["timestamp"], steps / 10, rtol=1e-6)
        np.testing.assert_array_equal(found["index"], first + steps)
        assert set(found["episode_index"]) == {index} and set(found["task_index"]) == {[0, 1, 0, 2][index]}
        first += len(steps)


def test_videos_are_the_same_bytes(written):
    """Nothing is encoded twice; a file has one frame more than its episode has rows."""
    layout, out, info = written
    for index, one in enumerate(CLIPS):
        where = {"episode_chunk": 0, "episode_index": index, "video_key": CAMERA, "chunk_index": 0, "file_index": index}
        path = out / info["video_path"].format(**where)
        assert path.read_bytes() == one.mp4
        assert len(read(path).frames) == len(one.labels) + 1
    assert len(list(out.rglob("*.mp4"))) == 4


def test_instructions_are_ours(written):
    """Language in the files of each layout, also beyond ASCII."""
    layout, out, _ = written
    if layout == "lerobot-v3":
        tasks = pd.read_parquet(out / "meta/tasks.parquet")
        assert list(tasks.index) == [WORDS[0], WORDS[1], WORDS[3]] and list(tasks["task_index"]) == [0, 1, 2]
        episodes = pd.read_parquet(out / "meta/episodes/chunk-000/file-000.parquet")
        assert [list(tasks) for tasks in episodes["tasks"]] == [[words] for words in WORDS]
        assert list(episodes["dataset_from_index"]) == [0, 3, 7, 12] and list(episodes["dataset_to_index"])[-1] == 18
    else:
        lines = (out / "meta/tasks.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(line)["task"] for line in lines] == [WORDS[0], WORDS[1], WORDS[3]]
        lines = (out / "meta/episodes.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(line)["tasks"] for line in lines] == [[words] for words in WORDS]


def test_statistics_are_those_of_the_rows(written):
    """What policies normalize by."""
    stats = json.loads((written[1] / "meta/stats.json").read_text())
    actions = np.concatenate([one.labels[:, [0, 1, 2, 7]] for one in CLIPS])
    for name, value in (("mean", actions.mean(0)), ("std", actions.std(0)), ("min", actions.min(0))):
        np.testing.assert_allclose(stats["action"][name], value, rtol=1e-5)
    pixels = np.concatenate([one.frames[:-1].reshape(-1, 3) for one in CLIPS]) / 255
    np.testing.assert_allclose(np.ravel(stats[CAMERA]["mean"]), pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(np.ravel(stats[CAMERA]["std"]), pixels.std(0), rtol=1e-6)
    assert stats[CAMERA]["count"] == [18] and np.shape(stats[CAMERA]["mean"]) == (3, 1, 1)


def test_gr00t_is_told_what_the_columns_are(tmp_path):
    """modality.json covers state and action without gap, and names columns that are there."""
    export.write(CLIPS[:1], "gr00t", tmp_path / "d")
    modality = json.loads((tmp_path / "d/meta/modality.json").read_text())
    columns = set(rows("gr00t", tmp_path / "d", 0).columns)
    for kind, column in (("state", "observation.state"), ("action", "action")):
        spans = sorted((part["start"], part["end"]) for part in modality[kind].values())
        width = len(rows("gr00t", tmp_path / "d", 0)[column][0])
        assert spans[0][0] == 0 and spans[-1][1] == width
        assert all(one[1] == other[0] for one, other in zip(spans, spans[1:], strict=False))
    assert modality["annotation"]["human.task_description"]["original_key"] in columns
    assert modality["video"]["main"]["original_key"] == CAMERA


@pytest.mark.parametrize(
    ("clips", "layout", "says"),
    [
        (CLIPS, "lerobot", "Did you mean 'lerobot-v"),
        ([], "lerobot-v3", "no trajectory to export"),
        ([CLIPS[0], clip(1, size=32)], "lerobot-v3", "clip 1: .* one size"),
        ([CLIPS[0], clip(1, fps=5.0)], "gr00t", "clip 1: .*one rate"),
    ],
)
def test_what_can_not_be_a_dataset_is_refused(tmp_path, clips, layout, says):
    """Named, with the cure."""
    with pytest.raises(UserError, match=says):
        export.write(clips, layout, tmp_path / "d")


def test_without_pyarrow_there_is_one_line_and_no_file(tmp_path, monkeypatch):
    """It is an extra: who exports nothing need not have it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'dreamgen-bench\[export\]'"):
        export.write(CLIPS, "lerobot-v3", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_nothing_is_overwritten(tmp_path):
    """A folder in use is left alone."""
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="already"):
        export.write(CLIPS, "lerobot-v3", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


LEROBOT = Path(sys.prefix) / "lerobot"


@pytest.mark.slow
@pytest.mark.skipif(not LEROBOT.is_dir(), reason=f"`make test` installs lerobot 0.4.4 into {LEROBOT}")
@pytest.mark.parametrize("layout", ["lerobot-v3", "gr00t"])
def test_lerobot_itself_reads_what_we_wrote(tmp_path, layout):
    """Frames, actions, times and language as we have them; v2.1, which GR00T's layout is, after lerobot's converter."""
    export.write(CLIPS, layout, tmp_path / "d")
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("load_with_lerobot.py"), tmp_path / "d"]
    done = subprocess.run([*command, tmp_path / "read.npz"], env={**os.environ, "PYTHONPATH": str(LEROBOT)})
    assert done.returncode == 0
    found, videos = np.load(tmp_path / "read.npz"), sorted((tmp_path / "d").rglob("*.mp4"))
    np.testing.assert_array_equal(found["frames"], np.concatenate([read(path).frames[:-1] for path in videos]))
    np.testing.assert_array_equal(found["action"], np.concatenate([one.labels[:, [0, 1, 2, 7]] for one in CLIPS]))
    times = np.concatenate([np.arange(len(one.labels)) / 10 for one in CLIPS])
    np.testing.assert_allclose(found["timestamp"], times, rtol=1e-6)
    assert list(found["task"]) == [one.instruction for one in CLIPS for _ in one.labels]
    assert found["fps"] == 10 and not found["state"].any()
