"""Muon for the matrices inside blocks, AdamW for everything else.

Muon (momentum made orthogonal) learns several times as much from a clip as AdamW does at this size: see NOTES.md.
torch's own works in bfloat16, which is slow on CPUs, and one matrix at a time.
"""

from __future__ import annotations

import torch

INNER = ("blocks.", "merger.", ".layers.")
"""In the names of the parameters that Muon takes."""


class Optimizer:
    """One learning rate for both; Muon's steps are scaled to the size of AdamW's."""

    def __init__(self, net: torch.nn.Module, *, weight_decay: float) -> None:
        matrices, rest = [], []
        for name, p in net.named_parameters():
            (matrices if p.ndim == 2 and any(part in name for part in INNER) else rest).append(p)
        self.weight_decay = weight_decay
        self.groups: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for p in matrices:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.momentum = {shape: torch.zeros(len(ps), *shape) for shape, ps in self.groups.items()}
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.01)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient."""
        for group in self.adam.param_groups:
            group["lr"] = rate / 2
        self.adam.step()
        for shape, ps in self.groups.items():
            grads = torch.stack([torch.zeros_like(p) if p.grad is None else p.grad for p in ps])
            momentum = self.momentum[shape].lerp_(grads, 0.05)
            update = orthogonal(grads.lerp(momentum, 0.95)) * (0.2 * max(shape) ** 0.5)
            for p, u in zip(ps, update, strict=True):
                if p.grad is not None:
                    p.mul_(1 - rate * self.weight_decay).sub_(u, alpha=rate)

    def state_dict(self) -> dict:
        """What `load_state_dict` takes."""
        return {"adam": self.adam.state_dict(), "momentum": list(self.momentum.values())}

    def load_state_dict(self, state: dict) -> None:
        """Go on from where `state_dict` was taken."""
        self.adam.load_state_dict(state["adam"])
        self.momentum = dict(zip(self.momentum, state["momentum"], strict=True))


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """About the nearest semi-orthogonal matrices to x [N, A, B]: five Newton-Schulz steps."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x
