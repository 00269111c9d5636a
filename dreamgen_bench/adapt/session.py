"""One adaptation from the first clip to the card. A killed one goes on when the same command is given again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image

from .. import registry
from ..store import digest, read_json, whole_file, write_json
from ..types import Spec, Task, UserError, Video
from ..video import encode
from ..world_models import card as cards
from ..world_models.diffusers_i2v import DiffusersImageToVideo, assembled
from ..world_models.machine import pipeline_class
from . import outcome, training
from .clips import Row, opened, rows, windows
from .latents import ClipRecord, Encoder, encoded, latents_of
from .objectives import objective
from .questions import Objective
from .recipes import Recipe

SHOWN = 4  # clips that the model dreams before and after
HELD_OUT = 20  # one video of so many is never learnt from, and at most 8


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What came of it."""

    card: Path
    steps: Sequence[training.StepRecord]
    clips: Sequence[ClipRecord]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Who is told what while it goes on."""

    text: Callable[[str], None] = lambda text: None
    step: Callable[[training.StepRecord, int], None] = lambda row, steps: None


@dataclass(frozen=True, kw_only=True)
class Session:
    """What all steps of one adaptation share."""

    encoder: Encoder
    recipe: Recipe
    accelerator: Accelerator
    data: Path
    out: Path
    progress: Progress

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return bool(self.accelerator.is_main_process)


def run(spec: Spec, recipe: Recipe, *, data: Path, out: Path, progress: Progress | None = None) -> Adapted:
    """Adapt a card's model to a folder of clips. Raises UserError before any weight is read, where it can tell."""
    card, asks = _adaptable(spec, recipe)
    outcome.name_of(out, registry.specs("world_models"))
    manifest = rows(data)
    accelerator = training.accelerator_for(card.device)
    if recipe.batch % accelerator.num_processes:
        raise UserError(f"--batch {recipe.batch} can't be shared evenly by {accelerator.num_processes} processes")
    gpus = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        pipeline = assembled(card)
        if why := asks.refused(pipeline):
            raise UserError(f"{spec.name!r} can't be adapted: {why}")
        encoder = Encoder(
            spec=spec, card=card, pipeline=pipeline, objective=asks, device=accelerator.device, folder=out / "latents"
        )
        session = Session(
            encoder=encoder, recipe=recipe, accelerator=accelerator, data=data, out=out, progress=progress or Progress()
        )
        return _adapted(session, _clips(session, manifest))


def _adaptable(spec: Spec, recipe: Recipe) -> tuple[cards.Card, Objective]:
    if spec.load != cards.LOADER:
        raise UserError(f"{spec.name!r} is no card of a diffusers pipeline, so it can't be adapted")
    if spec.args.get("lora"):
        raise UserError(f"{spec.name!r} has a LoRA already: adapt its base to all clips together")
    name = spec.args["pipeline"]
    asks, cls = objective(name), pipeline_class(name)
    if recipe.rank and cls and not hasattr(cls, "load_lora_weights"):
        raise UserError(f"{name} of diffusers loads no LoRA: adapt every weight, with --full")
    return cards.Card(**spec.args), asks


def _clips(session: Session, manifest: Sequence[Row]) -> list[ClipRecord]:
    """Every row's latents, encoded by all processes together, and what became of each row, in order."""
    process, processes = session.accelerator.process_index, session.accelerator.num_processes
    mine = encoded(session.encoder, manifest[process::processes], session.data, session.progress.text)
    place = {row.where: number for number, row in enumerate(manifest)}
    return sorted(gather_object(mine), key=lambda clip: place[clip.where])


def _adapted(session: Session, clips: list[ClipRecord]) -> Adapted:
    encoder, recipe, out = session.encoder, session.recipe, session.out
    held, learnt = split(clips)
    if not learnt:
        raise UserError(f"{session.data}: no video can be learnt from; {clips[0].where}: {clips[0].reason}")
    if session.main:
        session.progress.text(_counted(clips, held))
        _agree(encoder.spec, recipe, clips, out)
    firsts = [window for window in _windows(encoder, held) if window[1] == 0]
    material = training.Material(learnt=_windows(encoder, learnt), held_out=firsts)
    steps = recipe.total(len(material.learnt))
    learner = training.Training(encoder.pipeline, encoder.objective, recipe, session.accelerator)
    learner.resume(out / training.STATE)
    if learner.step > steps:
        raise UserError(f"{out} has learnt {learner.step} steps already, more than {steps}: use another --out")
    shown = (held or learnt)[:SHOWN]
    if session.main and learner.step == 0:
        _dream(session, shown, "before")
    if session.main and learner.step < steps:
        (out / "card.yaml").unlink(missing_ok=True)
    session.accelerator.wait_for_everyone()
    told = training.train(learner, material, steps, out=out, tell=lambda row: session.progress.step(row, steps))
    if session.main and not (out / "card.yaml").is_file():
        _dream(session, shown, "after")
        _finish(session, clips, held, told)
    session.accelerator.wait_for_everyone()
    return Adapted(card=out / "card.yaml", steps=told, clips=clips)


def split(clips: Sequence[ClipRecord]) -> tuple[list[ClipRecord], list[ClipRecord]]:
    """Videos held out and videos learnt from: by digest, so that the order of rows changes nothing."""
    usable = [clip for clip in clips if clip.windows]
    keys = sorted({clip.key for clip in usable})
    chosen = set(keys[: min(8, len(keys) // HELD_OUT)])
    return [c for c in usable if c.key in chosen], [c for c in usable if c.key not in chosen]


def _counted(clips: Sequence[ClipRecord], held: Sequence[ClipRecord]) -> str:
    lost = [clip for clip in clips if not clip.windows]
    said = f"{len(clips) - len(lost)} of {len(clips)} videos can be learnt from, {len(held)} of them held out"
    return said + "".join(f"\n{clip.where}: {clip.reason}" for clip in lost[:20])


def _windows(encoder: Encoder, clips: Sequence[ClipRecord]) -> list[training.Window]:
    return [(latents_of(encoder.folder, clip.key), number) for clip in clips for number in range(clip.windows)]


def _agree(spec: Spec, recipe: Recipe, clips: Sequence[ClipRecord], out: Path) -> None:
    """Write what this folder is about, or raise UserError where it is about something else."""
    free = ("source", "epochs", "steps", "save_every")  # a longer training goes on from a shorter one
    settings = {key: value for key, value in asdict(recipe).items() if key not in free}
    learnt = digest([(clip.sha256, clip.instruction) for clip in clips])
    said = {"schema": 1, "model": spec.id, "args": digest(dict(spec.args)), "recipe": settings, "data": learnt}
    path = out / "adapt.json"
    if path.is_file() and (before := read_json(path)) != said:
        other = next(key for key in said if before.get(key) != said[key])
        raise UserError(
            f"{out} holds another adaptation (its {other} differs): give the same arguments, or another --out"
        )
    write_json(path, said)
    with whole_file(out / "data.jsonl") as file:
        file.writelines((clip.model_dump_json(by_alias=True) + "\n").encode() for clip in clips)


def _dream(session: Session, clips: Sequence[ClipRecord], when: str) -> None:
    """Dream some clips from their first frames, beside the true ones, through the adapter that any run uses."""
    encoder, folder = session.encoder, session.out / "validation"
    transformer = encoder.pipeline.transformer
    learns = transformer.training
    transformer.eval().to(encoder.device)
    encoder.move(encoder.device)
    model = DiffusersImageToVideo(encoder.pipeline, encoder.card)
    for number, clip in enumerate(clips):
        row = Row(where=clip.where, video=clip.video, instruction=clip.instruction)
        true = windows(opened(row, session.data)[1], encoder.card)[0]
        task = _task(encoder.card, clip, true[0], folder / f"{number}.png")
        made = next(iter(model.generate([task], seed=0)))
        for name, video in (("true", Video(frames=true, fps=encoder.card.fps)), (when, made)):
            with whole_file(folder / f"{number}-{name}.mp4") as file:
                file.write(encode(video, web=True))
    encoder.move("cpu")
    transformer.train(learns)


def _task(card: cards.Card, clip: ClipRecord, first: np.ndarray, path: Path) -> Task:
    with whole_file(path) as file:
        Image.fromarray(first).save(file, "PNG")
    return Task(
        id=clip.key,
        suite="validation",
        instruction=clip.instruction,
        first_frame=path,
        num_frames=card.num_frames,
        fps=card.fps,
    )


def _finish(
    session: Session, clips: list[ClipRecord], held: list[ClipRecord], steps: list[training.StepRecord]
) -> None:
    from ..plots import loss_curve

    loss_curve([(row.step, row.loss, row.held_out) for row in steps], path=session.out / "loss.png")
    said = outcome.Outcome(
        spec=session.encoder.spec,
        recipe=session.recipe,
        clips=clips,
        held_out=held,
        steps=steps,
        data=session.data.resolve(),
    )
    outcome.write(said, session.encoder.pipeline, out=session.out)
