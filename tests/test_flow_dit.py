"""The paper's IDM: windows in order, the paper's sizes, and a checkpoint of either backbone by the same path."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dreamgen_bench.idms import checkpoint, flow_dit
from dreamgen_bench.idms.flow_dit_network import PAPER, SMALL, network, sample
from dreamgen_bench.types import LABELS, UserError, Video

TINY = replace(
    PAPER,
    size=32,
    width=32,
    heads=2,
    layers=1,
    mixing=1,
    tokens=4,
    horizon=3,
    euler=2,
    vision={
        **PAPER.vision,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 8,
    },
)


def video(length: int, *, fps: float = 16, seed: int = 0, size: int = 32) -> Video:
    frames = np.random.default_rng(seed).integers(0, 255, (length, size, size, 3), dtype=np.uint8)
    return Video(frames=frames, fps=fps)


def test_windows_are_averaged_in_order():
    """Each step's label is the mean of all windows that tell of it, at its own place."""
    truth = np.arange(10.0)[:, None]
    chunks = np.stack([truth[start : start + 4] for start in range(7)])
    np.testing.assert_allclose(flow_dit.averaged(chunks, 10), truth)
    chunks[2, 1] += 3  # of step 3 tell windows 0 to 3
    assert flow_dit.averaged(chunks, 10)[3, 0] == pytest.approx(3 + 3 / 4)
    assert flow_dit.averaged(chunks, 10)[2, 0] == 2
    with pytest.raises(ValueError, match="do not cover"):
        flow_dit.averaged(chunks, 11)


def test_the_official_way_of_losing_the_order_gives_other_labels():
    """Windows collected as they got ready, then used as if in order (GR00T-Dreams, dump_idm_actions.py)."""
    truth = np.arange(10.0)[:, None]
    chunks = np.stack([truth[start : start + 4] for start in range(7)])
    shuffled = chunks[np.random.default_rng(0).permutation(7)]
    assert np.abs(flow_dit.averaged(shuffled, 10) - truth).max() > 1


def test_the_preset_has_the_papers_sizes():
    """DreamGen sec. 2.3 and its base.yaml; SigLIP-2 large has 24 layers of 1024."""
    assert (PAPER.horizon, PAPER.rate, PAPER.euler) == (16, 16, 16)
    assert (PAPER.layers, PAPER.heads, PAPER.width, PAPER.mixing, PAPER.tokens) == (8, 16, 1024, 4, 16)
    assert (PAPER.size, PAPER.vision["patch_size"], PAPER.vision["hidden_size"]) == (256, 16, 1024)
    assert PAPER.width // PAPER.heads == 64


@pytest.mark.parametrize("config", [TINY, SMALL], ids=["siglip2", "cnn"])
def test_what_is_saved_is_what_is_loaded(tmp_path, config):
    """Both backbones, with random weights, through the path that the shipped weights take."""
    import torch

    torch.manual_seed(0)
    net = network(config)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(value.half())
    scale = {"mean": np.arange(8.0).tolist(), "std": np.full(8, 0.1).tolist()}
    checkpoint.save(net, config, tmp_path, **scale, trained={})
    clip = video(12, fps=config.rate, size=48)
    labels = next(flow_dit.load(str(tmp_path)).label([clip]))
    assert labels.shape == (11, len(LABELS)) and np.isfinite(labels).all()
    direct = flow_dit.FlowDiT(net, config, np.arange(8.0, dtype=np.float32), np.full(8, 0.1, np.float32))
    np.testing.assert_array_equal(labels, next(direct.label([clip])))
    assert json.loads((tmp_path / "config.json").read_text())["model"]["horizon"] == config.horizon


def test_sampling_follows_the_flow_to_its_end():
    """Of a network that knows the way exactly, Euler steps arrive at the labels."""
    import torch

    goal = torch.linspace(-1, 1, 8).expand(2, SMALL.horizon, 8)
    noise = torch.randn(1, SMALL.horizon, 8, generator=torch.Generator().manual_seed(0))
    out = sample(lambda noisy, level, context: noise - goal, torch.zeros(2, 1, 4), SMALL)
    torch.testing.assert_close(out, goal)


def test_labels_do_not_depend_on_what_else_is_labeled():
    """To the last bit: shards and workers must leave the same records."""
    model = flow_dit.FlowDiT(network(TINY), TINY, np.zeros(8), np.ones(8))
    clips = [video(6 + seed, seed=seed) for seed in range(3)]
    together = list(model.label(clips))
    for clip, labels in zip(clips, together, strict=True):
        np.testing.assert_array_equal(labels, next(model.label([clip])))


def test_twice_the_frames_are_the_same_robot():
    """Of a video at twice the rate every other frame is looked at, and the labels at those are the same."""
    model = flow_dit.FlowDiT(network(TINY), TINY, np.zeros(8), np.ones(8))
    slow = video(9)
    fast = Video(frames=np.repeat(slow.frames, 2, 0)[:-1], fps=32)
    np.testing.assert_allclose(next(model.label([fast]))[1::2], next(model.label([slow])), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"backbone": "resnet"}, "no backbone named 'resnet'"),
        ({"width": 64}, "is no flow-dit checkpoint"),
        ({"depth": 3}, "is no flow-dit checkpoint"),
    ],
)
def test_a_broken_checkpoint_is_the_users_to_mend(tmp_path, change, says):
    """Sizes that are not those of the weights, an unknown key, an unknown backbone."""
    checkpoint.save(network(TINY), TINY, tmp_path, mean=[0.0] * 8, std=[1.0] * 8, trained={})
    facts = json.loads((tmp_path / "config.json").read_text())
    facts["model"] |= change
    (tmp_path / "config.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=says):
        flow_dit.load(str(tmp_path))
