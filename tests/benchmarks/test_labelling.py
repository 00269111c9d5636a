"""How fast videos are labeled, against the published pattern on the same network: `make bench`. Asserts no time.

The published dump (GR00T-Dreams, IDM_dump/dump_idm_actions.py) prepares every step by itself, both frames, in 16
threads, and encodes and denoises windows a few at a time: its batch size is overwritten in its loop and falls, for
clips of 93 frames 32, 29, 6, then 3 for all that follow. Ours encodes every frame once and denoises a video's windows
together.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dreamgen_bench.idms.flow_dit import FlowDiT, averaged
from dreamgen_bench.idms.flow_dit_network import SMALL, network, pictures, sample
from dreamgen_bench.types import Video
from dreamgen_bench.video import resized

LENGTH, FEW, THREADS = 93, 3, 16


@pytest.fixture(scope="module")
def model():
    import torch

    torch.manual_seed(0)  # what the weights are changes no time
    return FlowDiT(network(SMALL), SMALL, np.zeros(8, np.float32), np.ones(8, np.float32))


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [Video(frames=rng.integers(0, 255, (LENGTH, 128, 128, 3), dtype=np.uint8), fps=10) for _ in range(2)]


def published(model, video: Video, few: int) -> np.ndarray:
    """Labels of one video, `few` windows at a time, prepared step by step; in order, unlike the published ones."""
    import torch

    net, config, count = model._net, model._config, len(video.frames)
    stamps = np.arange(count) / video.fps

    def prepared(step: int) -> torch.Tensor:
        wanted = stamps[[step, min(step + config.horizon, count - 1)]]
        rows = [np.where(np.isclose(stamps, stamp))[0][0] for stamp in wanted]
        return pictures(resized(video.frames[rows], config.size, config.size))

    with ThreadPoolExecutor(THREADS) as pool:
        steps = list(pool.map(prepared, range(count)))
    chunks = []
    with torch.inference_mode():
        for start in range(0, count, few):
            pairs = torch.stack(steps[start : start + few])
            tokens = net.see(pairs.flatten(0, 1)).unflatten(0, (len(pairs), 2))
            chunks.append(sample(net, net.context(tokens), config).numpy() * model._std + model._mean)
    windows = np.concatenate(chunks)[: count - config.horizon]
    return averaged(windows, count - 1)


def test_both_ways_say_the_same(model, clips):
    """What is compared is the same work."""
    np.testing.assert_allclose(published(model, clips[0], FEW), next(model.label(clips[:1])), atol=1e-4)


def seconds(work) -> float:
    """Of the processor, the least of two runs: a busy neighbor does not count."""
    taken = []
    for _ in range(2):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def test_labelling_against_the_published_pattern(benchmark, model, clips, capsys):
    """Videos of 93 frames, one thread: the ratio in processor time, and what each part of it gives."""
    import torch

    net, config, video = model._net, model._config, clips[0]
    ours = benchmark.pedantic(lambda: list(model.label(clips)), rounds=1, warmup_rounds=1)
    mine = seconds(lambda: list(model.label(clips))) / len(clips)
    one, few, whole = (seconds(lambda n=n: published(model, video, n)) for n in (1, FEW, LENGTH))
    frames = pictures(resized(video.frames, config.size, config.size))
    with torch.inference_mode():
        once = seconds(lambda: net.see(frames))
        twice = seconds(lambda: [net.see(frames[[i, i]].clone()) for i in range(LENGTH)])
    parts = {
        "ours_s_per_video": mine,
        "published_batch_of_3": few / mine,
        "one_window_at_a_time": one / mine,
        "published_if_its_batch_held_93": whole / mine,
        "encoding_per_window_over_each_frame_once": twice / once,
    }
    benchmark.extra_info.update(parts)
    with capsys.disabled():
        print("\n" + "\n".join(f"{name}: {value:.3g}" for name, value in parts.items()))
    assert [len(labels) for labels in ours] == [LENGTH - 1] * len(clips)
