"""The loop: which clips and which noise a step gets follows from its number alone, so resume needs no replay.

    state/latest.pt   step, learning weights, optimizer, schedule: whole or not there (read with weights_only)
    train.jsonl       one line a step: loss, rate, now and then the loss on clips held out

Order, noise and noise level are drawn from (seed, position in the data), not from a generator that goes on: a killed
and resumed training sees what an uninterrupted one sees, and eight processes what one sees. On a CPU the weights are
then the same bytes; on a GPU some kernels of attention add up in an order that changes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from peft import LoraConfig
from torch import Tensor

from ..store import RecordFile, whole_file
from ..types import Record, UserError
from .latents import batch_of, size_of
from .questions import Asked, Objective, noise_level, shift
from .recipes import Recipe

AT_ONCE = 2**21
"""Latent numbers that go through the transformer together: one clip of Wan 14 B at 480p, a hundred of wan-s."""
STATE = "state/latest.pt"

Window = tuple[Path, int]
"""File and number of one window's latents."""


class StepRecord(Record):
    """One line of train.jsonl. After a kill some steps are there twice, and the last line counts."""

    key: str
    step: int  # steps done; 0 is the base, of which only the held-out loss is known
    loss: float | None
    rate: float
    held_out: float | None = None  # the loss on clips that are never learnt from
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is learnt from, and what the learning is looked at by."""

    learnt: Sequence[Window]
    held_out: Sequence[Window]


def accelerator_for(device: str) -> Accelerator:
    """One process or many, on what the card names. Raises UserError for what was never tried."""
    made = Accelerator(cpu=device == "cpu", mixed_precision="no" if device == "cpu" else "bf16")
    known = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    if made.distributed_type not in known:
        raise UserError(f"accelerate says {made.distributed_type.value}: weights can't be sharded; use one GPU or DDP")
    return made


def set_learning(transformer: Any, objective: Objective, recipe: Recipe) -> None:
    """Choose what learns, in float32: low-rank changes, or every weight."""
    transformer.requires_grad_(False)
    if recipe.rank:
        with torch.random.fork_rng([]):
            torch.manual_seed(recipe.seed)
            config = LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=list(objective.lora))
            transformer.add_adapter(config)
    else:
        transformer.float().requires_grad_(True)
    for parameter in learning(transformer).values():
        parameter.data = parameter.data.float()


def learning(transformer: Any) -> dict[str, torch.nn.Parameter]:
    """The weights that learn, by name."""
    return {name: weight for name, weight in transformer.named_parameters() if weight.requires_grad}


class Training:
    """A transformer that learns, its optimizer and schedule, and how far it is."""

    def __init__(self, pipeline: Any, objective: Objective, recipe: Recipe, accelerator: Accelerator):
        self.pipeline, self.objective, self.recipe, self.accelerator = pipeline, objective, recipe, accelerator
        set_learning(pipeline.transformer, objective, recipe)
        if accelerator.device.type == "cuda":
            pipeline.transformer.enable_gradient_checkpointing()
        self.weights = learning(pipeline.transformer)
        pipeline.transformer.to(accelerator.device).train()
        self.model = accelerator.prepare_model(pipeline.transformer)
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=recipe.rate, weight_decay=recipe.weight_decay, foreach=False
        )
        rises = lambda step: min(1.0, (step + 1) / max(recipe.warmup, 1))  # noqa: E731
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rises)
        self.step = 0

    def resume(self, path: Path) -> None:
        """Go on from a state file, if there is one."""
        if not path.is_file():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        if set(state["weights"]) != set(self.weights):
            raise UserError(f"{path} is of another model: use another --out")
        with torch.no_grad():
            for name, value in state["weights"].items():
                self.weights[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = state["step"]

    def save(self, path: Path) -> None:
        """Write the state: the old one or the new one is there, whenever the process dies."""
        weights = {name: weight.detach().cpu() for name, weight in self.weights.items()}
        state = {"step": self.step, "weights": weights, "optimizer": self.optimizer.state_dict()}
        with whole_file(path) as file:
            torch.save(state | {"schedule": self.schedule.state_dict()}, file)

    def learn(self, windows: Sequence[Window]) -> float:
        """One step on this step's share of the windows; the mean loss of all processes."""
        batch, (rank, world) = self.recipe.batch, (self.accelerator.process_index, self.accelerator.num_processes)
        positions = range(self.step * batch + rank, (self.step + 1) * batch, world)
        torch.manual_seed(number(self.recipe.seed, "step", self.step, rank))  # for a model with dropout
        loss = 0.0
        parts = list(self._parts(positions, windows))
        for last, part in ((part is parts[-1], part) for part in parts):
            chosen = [windows[drawn(self.recipe.seed, position, len(windows))] for position in part]
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                share = (
                    self.loss(chosen, [(self.recipe.seed, p) for p in part], self.model) * len(part) / len(positions)
                )
                self.accelerator.backward(share)
            loss += share.item()
        self.accelerator.clip_grad_norm_(self.weights.values(), self.recipe.clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.step += 1
        mean = self.accelerator.reduce(torch.tensor(loss, device=self.accelerator.device), "mean")
        return float(mean)

    def _parts(self, positions: range, windows: Sequence[Window]) -> Iterator[range]:
        """As many positions at once as fit; every process has as many parts."""
        count = max(1, AT_ONCE // size_of(windows[0][0]))
        for start in range(0, len(positions), count):
            yield positions[start : start + count]

    def loss(self, windows: Sequence[Window], seeds: Sequence[tuple[Any, ...]], model: Any) -> Tensor:
        """Mean squared error of the velocity; each window's noise and level are drawn from its own seed."""
        batch = batch_of(windows, self.accelerator.device)
        draws = [torch.Generator().manual_seed(number(*seed)) for seed in seeds]
        level = torch.cat([torch.rand(1, generator=draw) for draw in draws])
        noise = torch.stack([torch.randn(batch["latents"].shape[1:], generator=draw) for draw in draws])
        positions = batch["latents"][0, 0].numel()
        sigma = noise_level(level, shift(self.pipeline.scheduler, positions)).to(self.accelerator.device)
        asked = self.objective.ask(self.pipeline, batch, noise.to(self.accelerator.device), sigma)
        return squared_error(model, asked)

    @torch.no_grad()
    def held_out(self, windows: Sequence[Window]) -> float | None:
        """The loss on windows never learnt from, always with the same noise."""
        if not windows:
            return None
        # Not through the wrapped model: processes need not meet here, and each computes the same.
        losses = [self.loss([w], [("held out", i)], self.pipeline.transformer) for i, w in enumerate(windows)]
        return float(torch.stack(losses).mean())


def squared_error(model: Any, asked: Asked) -> Tensor:
    """Of the transformer's answer, where it counts, in float32."""
    answer = model(**asked.inputs, return_dict=False)[0]
    wrong = (answer.float() - asked.target) ** 2 * asked.counts
    return wrong.sum() / asked.counts.expand_as(asked.target).sum()


def number(*parts: Any) -> int:
    """A seed that follows from its parts alone."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def drawn(seed: int, position: int, count: int) -> int:
    """Which of `count` windows comes at a position: every one once in each epoch, in an order of its own."""
    epoch, place = divmod(position, count)
    return int(_order(seed, epoch, count)[place])


@cache
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def train(
    training: Training, material: Material, steps: int, *, out: Path, tell: Callable[[StepRecord], None]
) -> list[StepRecord]:
    """Learn until `steps` are done, saving as the recipe says, and return the record of every step."""
    records, main = RecordFile(out / "train.jsonl", StepRecord), training.accelerator.is_main_process
    if training.step == 0 and (base := training.held_out(material.held_out)) is not None and main:
        records.append(StepRecord(key="0", step=0, loss=None, rate=0.0, held_out=base, seconds=0.0))
    while training.step < steps:
        started, rate = time.perf_counter(), training.schedule.get_last_lr()[0]
        loss = training.learn(material.learnt)
        if not np.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {training.step}: a lower --rate, from a new --out")
        due = training.step == steps or training.step % training.recipe.save_every == 0
        held_out = training.held_out(material.held_out) if due else None
        seconds = round(time.perf_counter() - started, 3)
        row = StepRecord(
            key=str(training.step), step=training.step, loss=loss, rate=rate, held_out=held_out, seconds=seconds
        )
        if main:
            records.append(row)
            if due:
                training.save(out / STATE)
            tell(row)
    return [row for row in records.read().values() if row.step <= training.step] if main else []
