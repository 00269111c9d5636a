"""Adapting a model: a step asks as the pipeline asks, a killed training goes on bit by bit, its card dreams."""

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from small_adaptations import GIVEN, KINDS, dreamed, folder_of, learnt, moving, recipe, task_of

from dreamgen_bench import registry
from dreamgen_bench.adapt import clips, objectives, run, session, training
from dreamgen_bench.adapt.questions import Window
from dreamgen_bench.testing import check_world_model
from dreamgen_bench.world_models import diffusers_i2v
from dreamgen_bench.world_models.card import Card


class SeenError(Exception):
    """What the transformer was called with."""


@dataclasses.dataclass
class Asking:
    """A small pipeline, a clip as it is cached for training, and how a dream from its first frame is asked for."""

    kind: str
    card: Card
    asks: objectives.Objective
    pipeline: object
    batch: dict
    offered: dict

    def sigma(self, timestep):
        """Our level for what a dream tells the transformer."""
        time = timestep.float().max().view(1)
        if self.kind.startswith("cogvideox"):
            return (time + 0.5) / self.pipeline.scheduler.config.num_train_timesteps
        return time if self.kind.startswith("cosmos") else time / 1000

    def noise(self, real):
        """What the pipeline must have drawn, for our question to be its own."""
        latents, sigma = self.batch["latents"], self.sigma(real["timestep"])
        shown = [self.asked(x, sigma).inputs["hidden_states"] for x in (torch.zeros_like(latents), latents * 0 + 1)]
        none, one, drawn = (self.noisy(x).float() for x in (*shown, real["hidden_states"]))
        slope = one - none
        return torch.where(slope.abs() > 1e-6, (drawn - none) / slope, 0.0)

    def noisy(self, hidden):
        """The part that noise enters, as the latents lie."""
        latents = self.batch["latents"]
        if self.kind == "ltx":
            return self.pipeline._unpack_latents(hidden, *latents.shape[2:])
        axis = 2 if self.kind.startswith("cogvideox") else 1
        return hidden.narrow(axis, 0, latents.shape[axis])

    def asked(self, noise, sigma):
        return self.asks.ask(self.pipeline, self.batch, noise, sigma)

    def dream(self):
        takes = set(inspect.signature(self.pipeline.__call__).parameters)
        offered = self.offered | {"generator": torch.Generator().manual_seed(0)}
        return self.pipeline(**{key: value for key, value in offered.items() if key in takes}).frames


@pytest.fixture(params=KINDS)
def asking(request, tiny, guarded, monkeypatch):
    """Without the luck of the encoders, which in dreams draw from what they see."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    spec = tiny(request.param)
    card, asks = Card(**spec.args), objectives.objective(spec.args["pipeline"])
    pipeline, cpu = diffusers_i2v.assembled(card), torch.device("cpu")
    frames = list(clips.pictures(moving(5, frames=9, size=(24, 16)).frames, card))
    with torch.no_grad():
        made = asks.encode(pipeline, card, Window(frames=frames, prompt="open the drawer"), cpu)
        made |= asks.embed(pipeline, card, "open the drawer", cpu)
    batch = {name: value[None] for name, value in made.items()}
    offered = {"image": frames[0], "prompt": "open the drawer", "num_frames": 9, "fps": 8, "frame_rate": 8}
    offered |= {"width": card.width, "height": card.height, "output_type": "latent", **card.call}
    return Asking(request.param, card, asks, pipeline, batch, offered)


def test_a_step_asks_as_the_pipeline_asks(asking):
    """From the same first frame, words, noise and level, the transformer gets the same as in a dream."""

    def stop(module, args, kwargs):
        raise SeenError(kwargs)

    handle = asking.pipeline.transformer.register_forward_pre_hook(stop, with_kwargs=True)
    with pytest.raises(SeenError) as caught:
        asking.dream()
    handle.remove()
    real = {k: v for k, v in caught.value.args[0].items() if v is not None and k != "return_dict"}
    sigma, noise = asking.sigma(real["timestep"]), asking.noise(real)
    assert sigma > 0.9
    ours = asking.asked(noise, sigma)
    assert set(real) == set(ours.inputs)
    for name, value in real.items():
        for one, other in zip(*(x if isinstance(x, tuple) else (x,) for x in (ours.inputs[name], value)), strict=True):
            torch.testing.assert_close(
                torch.as_tensor(one).float(), torch.as_tensor(other).float(), atol=1e-4, rtol=1e-4
            )
    taught = ours.counts.expand_as(ours.target)
    frames = asking.noisy(taught) if asking.kind == "ltx" else taught
    assert bool(frames[:, :, 0].any()) == (asking.kind not in GIVEN), "a given first frame is nothing to learn"
    assert bool(taught.any())


def test_right_answers_dream_the_clip(asking):
    """A transformer that always answers what `ask` calls right makes the pipeline's own sampler arrive at the clip."""
    drawn = []

    def right(*args, **real):
        if not drawn:
            drawn.append(asking.noise(real))
        return (asking.asked(drawn[0], asking.sigma(real["timestep"])).target,)

    def dreamed_by(forward):
        asking.pipeline.transformer.forward = forward
        made = asking.dream()
        made = asking.noisy(made) if asking.kind == "ltx" else made
        return made[later].float()

    later = (slice(None), slice(None), slice(1, None)) if asking.kind in GIVEN else slice(None)
    wanted = asking.batch["latents"][later]
    torch.testing.assert_close(dreamed_by(right), wanted, atol=2e-2, rtol=2e-2)
    wrong = dreamed_by(lambda *args, **real: (-right(*args, **real)[0],))
    assert (wrong - wanted).abs().mean() > 0.1, "whatever is answered, the clip comes out"


def test_latents_decode_to_the_clip_that_the_pipeline_would_show():
    """Normalised as the pipeline expects of what it decodes: with wan-s, whose weights mean something."""
    spec = registry.find("world_models", "wan-s")
    card, asks, cpu = Card(**spec.args), objectives.objective("WanImageToVideoPipeline"), torch.device("cpu")
    video = np.full((17, 64, 64, 3), 90, np.uint8)
    video[:, 20:40, 20:40] = (200, 60, 60)
    pipeline = diffusers_i2v.assembled(card)
    with torch.no_grad():
        made = asks.encode(pipeline, card, Window(frames=list(clips.pictures(video, card)), prompt=""), cpu)
        vae = pipeline.vae
        mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
        back = vae.decode(made["latents"][None] * std + mean).sample
    frames = pipeline.video_processor.postprocess_video(back, output_type="np")[0] * 255
    assert np.abs(frames - video).mean() < 12
    torch.testing.assert_close(made["condition"][:, 0], made["latents"][:, 0], atol=1e-3, rtol=1e-3)


ADAPTED = [
    ("2.1", 4),
    ("2.2-5b", 0),
    ("cogvideox", 4),
    ("hunyuan", 4),
    ("hunyuan1.5", 0),
    ("ltx", 4),
    ("cosmos2", 0),
    ("cosmos2.5", 4),
]


@pytest.mark.parametrize(("kind", "rank"), ADAPTED)
def test_a_written_card_dreams_and_not_as_its_base(kind, rank, tiny, data, guarded, tmp_path):
    """LoRA and full: finite losses, the contract of world models, other frames than before."""
    base, out = tiny(kind), tmp_path / "mine"
    made = run(base, recipe(rank=rank), data=data, out=out)
    assert [row.step for row in made.steps] == [1, 2, 3, 4, 5, 6]
    assert all(np.isfinite(row.loss) and row.loss > 0 for row in made.steps)
    spec, task = registry.find("world_models", str(made.card)), task_of(tmp_path)
    check_world_model(registry.load(spec), [task, dataclasses.replace(task, instruction="do the thing")])
    frames = dreamed(spec, task)
    assert not np.array_equal(frames, dreamed(base, task))
    assert np.abs(frames.astype(int) - still_in_memory(base, recipe(rank=rank), out, task)).max() <= 1
    assert (out / ("lora" if rank else "pipeline")).is_dir() and (out / "loss.png").stat().st_size > 1000
    shown = {path.name for path in (out / "validation").iterdir()}
    assert {"0.png", "0-true.mp4", "0-before.mp4", "0-after.mp4"} <= shown
    assert spec.adaptation == "sft" and "clips: 3 videos with 1 instructions" in spec.trained_on[-1]
    assert "3 videos with 1 instructions" in (out / "README.md").read_text()
    if rank:
        silent = dreamed(spec, task, lora={**spec.args["lora"], "scale": 0.0})
        assert np.array_equal(silent, dreamed(base, task)), "more than the LoRA was changed"


def still_in_memory(base, used, out, task):
    """What the weights of the last state dream, without the detour over a card."""
    pipeline, card = diffusers_i2v.assembled(Card(**base.args)), Card(**base.args)
    asks = objectives.objective(card.pipeline)
    learner = training.Training(pipeline, asks, used, training.accelerator_for("cpu"))
    learner.resume(out / training.STATE)
    pipeline.transformer.eval()
    return next(iter(diffusers_i2v.DiffusersImageToVideo(pipeline, card).generate([task], seed=0))).frames.astype(int)


class StoppedError(Exception):
    """As good as a kill, within this process."""


@pytest.mark.parametrize("rank", [4, 0])
def test_a_stopped_training_goes_on_bit_by_bit(rank, tiny, data, tmp_path):
    """Weights, optimizer and data of six steps, of three and three, and of six and a stop, are the same bytes."""
    spec = tiny("2.2-5b")
    quick = recipe(rank=rank, warmup=4)
    run(spec, quick, data=data, out=tmp_path / "whole")

    def stop(row, steps):
        if row.step == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(spec, quick, data=data, out=tmp_path / "stopped", progress=session.Progress(step=stop))
    assert not (tmp_path / "stopped/card.yaml").exists()
    run(spec, quick, data=data, out=tmp_path / "stopped")
    run(spec, dataclasses.replace(quick, steps=3), data=data, out=tmp_path / "longer")
    run(spec, quick, data=data, out=tmp_path / "longer")
    whole = learnt(tmp_path / "whole")
    assert len(whole) == 1 and whole == learnt(tmp_path / "stopped") == learnt(tmp_path / "longer")
    assert losses(tmp_path / "whole") == losses(tmp_path / "stopped") == losses(tmp_path / "longer")


def losses(out):
    """Of each step; what comes later in the file counts."""
    return {row["step"]: row["loss"] for row in map(json.loads, (out / "train.jsonl").read_text().splitlines())}


@pytest.mark.slow
def test_a_killed_training_of_a_shipped_model_goes_on_bit_by_bit(tmp_path):
    """SIGKILL in the middle of six steps of wan-s; the same command again."""
    data = folder_of(tmp_path / "clips", size=(64, 64), frames=24)

    def command(out):
        said = ["adapt", "wan-s", "--data", str(data), "--out", str(tmp_path / out), "--steps", "6", "--batch", "2"]
        return [sys.executable, "-W", "ignore", "-m", "dreamgen_bench", *said, "--save-every", "1"]

    killed = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines, until = tmp_path / "killed/train.jsonl", time.monotonic() + 900
    while not lines.exists() or lines.read_bytes().count(b"\n") < 3:
        assert killed.poll() is None and time.monotonic() < until, "ended before it could be killed"
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed/card.yaml").exists() and lines.read_bytes().count(b"\n") < 6
    for out in ("killed", "whole"):
        subprocess.run(command(out), check=True, capture_output=True, timeout=900)
    assert learnt(tmp_path / "killed") == learnt(tmp_path / "whole") and learnt(tmp_path / "whole")
    spec, task = registry.find("world_models", str(tmp_path / "killed/card.yaml")), task_of(tmp_path)
    assert not np.array_equal(dreamed(spec, task), dreamed(registry.find("world_models", "wan-s"), task))


def test_what_can_be_learnt_is_learnt(tiny, data, tmp_path):
    """The loss under the same noise falls well below where it was; the base's own weights stay."""
    spec = tiny("2.2-5b")
    run(spec, recipe(steps=1, rank=0), data=data, out=tmp_path / "x")
    windows = [(path, 0) for path in sorted((tmp_path / "x/latents").glob("*.safetensors"))]
    pipeline = diffusers_i2v.assembled(Card(**spec.args))
    before = {name: weight.clone() for name, weight in pipeline.transformer.named_parameters()}
    learner = training.Training(
        pipeline, objectives.objective(spec.args["pipeline"]), recipe(rank=8), training.accelerator_for("cpu")
    )
    first = learner.held_out(windows)
    for _ in range(40):
        learner.learn(windows)
    assert learner.held_out(windows) < 0.9 * first
    named = dict(pipeline.transformer.named_parameters())
    assert all(torch.equal(w, named.get(n, named.get(n.replace(".weight", ".base_layer.weight").replace(
        ".bias", ".base_layer.bias")))) for n, w in before.items())  # fmt: skip


def test_parts_of_a_batch_are_the_whole_batch(tiny, data, tmp_path, monkeypatch):
    """What does not fit at once is added up: the same step but for rounding."""
    spec = tiny("2.2-5b")
    whole = run(spec, recipe(steps=2, batch=3), data=data, out=tmp_path / "a").steps
    monkeypatch.setattr(training, "AT_ONCE", 1)
    parts = run(spec, recipe(steps=2, batch=3), data=data, out=tmp_path / "b").steps
    assert [row.loss for row in parts] == pytest.approx([row.loss for row in whole], rel=1e-4)


def test_every_clip_comes_once_in_an_epoch_and_each_epoch_in_its_own_order():
    """Order follows from seed and position."""
    orders = [[training.drawn(0, epoch * 9 + place, 9) for place in range(9)] for epoch in range(3)]
    assert all(sorted(order) == list(range(9)) for order in orders) and orders[0] != orders[1] != orders[2]
    assert orders[0] != [training.drawn(1, place, 9) for place in range(9)]


def test_noise_levels_are_the_schedulers():
    """Uniform without a shift, noisier with one, never beyond pure noise."""
    even = torch.linspace(0, 1, 101)
    assert torch.allclose(objectives.noise_level(even, 1.0), even.clamp(1e-3))
    assert (
        objectives.noise_level(even, 3.0).median() == pytest.approx(0.75) and objectives.noise_level(even, 3.0)[-1] == 1
    )
