"""Pictures of the lab, changed in every way that leaves the robot where it is: what IDMs are trained on."""

import numpy as np
import torch
from torch.nn import functional as F


def background(frames: np.ndarray) -> torch.Tensor:
    """The empty lab: the median of many first and last frames; float [64, 64, 3] in 0..255."""
    return torch.from_numpy(np.median(np.concatenate([frames[:200, 8], frames[:200, -1]]), axis=0)).float()


def augmented(x: torch.Tensor, empty: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """[N, frames, 64, 64, 3] in 0..255, every sample changed in its own way but constant over its frames.

    What stands before the empty lab (arm, puck, marker) is kept and the lab behind it is rebuilt: another color, other
    things in it, some also before the arm. Then the colors of everything are mixed, and the picture is blurred and
    made noisy.
    """
    n = len(x)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=rng)

    shown = ((x - empty).abs().amax(-1, keepdim=True) > 22).float()
    field = F.interpolate(uniform(n, 3, 3, 3) * 255, size=64, mode="bilinear").permute(0, 2, 3, 1)
    room = torch.where(uniform(n, 1, 1, 1) < 0.5, empty * (0.5 + uniform(n, 1, 1, 3)), field)
    room = with_boxes(room, rng, boxes=7, often=0.55, largest=19)
    changed = (uniform(n, 1, 1, 1, 1) < 0.85).float()
    x = x * (1 - changed) + changed * (shown * x + (1 - shown) * room[:, None])
    before = with_boxes(torch.full((n, 64, 64, 3), -1.0), rng, boxes=2, often=0.2, largest=10)[:, None]
    x = torch.where(before < 0, x, before)
    mix = torch.eye(3) + torch.randn(n, 3, 3, generator=rng) * uniform(n, 1, 1) * 0.15
    x = torch.einsum("ntijc,ncd->ntijd", x, mix)
    x = x * (0.7 + 0.6 * uniform(n, 1, 1, 1, 1)) + 30 * (uniform(n, 1, 1, 1, 3) - 0.5)
    soft = torch.nonzero(uniform(n) < 0.35).flatten()
    if len(soft):
        flat = x[soft].permute(0, 1, 4, 2, 3).reshape(-1, 3, 64, 64)
        flat = F.interpolate(F.avg_pool2d(flat, 2), scale_factor=2, mode="bilinear")
        x[soft] = flat.reshape(len(soft), -1, 3, 64, 64).permute(0, 1, 3, 4, 2)
    return (x + torch.randn(x.shape, generator=rng) * 6 * uniform(n, 1, 1, 1, 1)).clamp(0, 255)


def with_boxes(
    picture: torch.Tensor, rng: torch.Generator, *, boxes: int, often: float, largest: float
) -> torch.Tensor:
    """[N, 64, 64, 3] with up to so many boxes of one color each, `largest` pixels from middle to side at most."""
    n, grid = len(picture), torch.arange(64.0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=rng)

    for _ in range(boxes):
        there = (uniform(n, 1, 1) < often).float()
        middle, half = uniform(n, 2) * 64, 2 + uniform(n, 2) ** 1.5 * (largest - 2)
        inside = ((grid[None, :, None] - middle[:, 0, None, None]).abs() < half[:, 0, None, None]) & (
            (grid[None, None, :] - middle[:, 1, None, None]).abs() < half[:, 1, None, None]
        )
        paint = (inside.float() * there)[..., None]
        picture = picture * (1 - paint) + paint * uniform(n, 1, 1, 3) * 255
    return picture
