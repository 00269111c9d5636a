"""How fast the parts are: `make bench`. Nothing here asserts a time."""

import numpy as np
import pytest

from dreamgen_bench import judge, registry, rubrics, suites
from dreamgen_bench.types import Video
from dreamgen_bench.video import encode, read


@pytest.fixture(scope="module")
def clips():
    tasks = suites.limited(suites.load("metaworld-behavior-v1"), 8)
    return tasks, list(registry.load(registry.find("world_models", "replay")).generate(tasks, seed=0))


def test_render(benchmark):
    """Frames of 64x64 from the simulator."""
    from dreamgen_bench.envs.metaworld import MetaWorld

    env = MetaWorld("drawer-open")
    env.reset(seed=1)
    benchmark(env.render)
    env.close()


def test_write_a_video(benchmark, clips):
    """17 frames to h264."""
    benchmark(encode, clips[1][0])


def test_read_a_video(benchmark, clips, tmp_path):
    """17 frames from h264."""
    path = tmp_path / "x.mp4"
    path.write_bytes(encode(clips[1][0]))
    benchmark(read, path)


def test_judge_eight_videos_on_both_rubrics(benchmark, clips):
    """The shipped judge, one thread."""
    model = registry.load(registry.find("judges", "qwen-s"))
    chosen = [rubrics.load(name) for name in ("instruction-following-v1", "physics-alignment-v1")]
    asked = [judge.question(video, task, rubric) for task, video in zip(*clips, strict=True) for rubric in chosen]
    benchmark(lambda: list(model.ask(asked)))


def test_label_eight_videos(benchmark, clips):
    """The shipped IDM, one thread."""
    model = registry.load(registry.find("idms", "waypoint-cnn"))
    benchmark(lambda: list(model.label(clips[1])))


def test_dream_a_video(benchmark, clips):
    """The shipped world model, one thread."""
    model = registry.load(registry.find("world_models", "wan-s"))
    video = benchmark(lambda: next(iter(model.generate(clips[0][:1], seed=0))))
    assert isinstance(video, Video) and video.frames.dtype == np.uint8
