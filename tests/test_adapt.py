"""Adapting a model: a step asks as the pipeline asks, a killed training goes on bit by bit, its card dreams."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from dreamgen_bench import loop, registry
from dreamgen_bench.adapt import PRESETS, chosen, clips, objectives, run, session, training
from dreamgen_bench.cli import app
from dreamgen_bench.testing import check_world_model, toy_suite
from dreamgen_bench.types import Task, UserError, Video
from dreamgen_bench.video import VideoError, encode
from dreamgen_bench.world_models import diffusers_i2v
from dreamgen_bench.world_models.card import Card, said

KINDS = {"2.1": "wan2.1-i2v-14b-480p", "2.2-5b": "wan2.2-ti2v-5b", "skyreels": "skyreels-v2-i2v-14b-540p"}
RUNNER = CliRunner()


def moving(seed, *, frames=20, size=(32, 32)):
    """Coloured blocks that slide."""
    picture = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    picture = picture.repeat(8, 0).repeat(8, 1)
    return Video(frames=np.stack([np.roll(picture, t, 1) for t in range(frames)]), fps=8)


def folder_of(path, *, count=3, **kind):
    """A data folder."""
    path.mkdir()
    rows = []
    for number in range(count):
        (path / f"{number}.mp4").write_bytes(encode(moving(number, **kind)))
        rows.append({"video": f"{number}.mp4", "instruction": "open the drawer"})
    (path / clips.MANIFEST).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Kind -> a card's file, of that card's pipeline class built small."""
    import diffusers
    import tiny_pipelines
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("cards")

    def card(kind, **changes):
        name = KINDS.get(kind, kind)
        if not (root / name).is_dir():
            torch.manual_seed(0)
            tiny_pipelines.BUILDERS[name]().save_pretrained(root / name)
        call = {"num_inference_steps": 2, "guidance_scale": 1.0, "max_sequence_length": 16}
        small = {"device": "cpu", "dtype": "float32", "offload": "none", "memory_gib": 0.0, "tiling": False}
        size = {"width": 32, "height": 32, "num_frames": 9, "fps": 8, "call": call, "config": {}, "packages": []}
        text = said(registry.find("world_models", name)) | small | size
        path = root / f"tiny-{kind}.yaml"
        own = {"name": path.stem, "checkpoint": f"./{name}", "group": "trained", "weights": "recipe"}
        path.write_text(yaml.safe_dump(text | own | changes))
        return registry.find("world_models", str(path))

    return card


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three clips."""
    return folder_of(tmp_path_factory.mktemp("data") / "clips")


def recipe(**changes):
    """Six quick steps."""
    return chosen("dreamgen-lora", **{"steps": 6, "batch": 2, "save_every": 1, "rate": 1e-2} | changes)


def task_of(folder):
    """A task of as many frames as the small cards make."""
    return toy_suite(folder / "toy", tasks=1, size=32, num_frames=9).tasks[0]


def dreamed(spec, task, **changes):
    """One video's frames."""
    return next(iter(registry.load(spec, **changes).generate([task], seed=0))).frames


class SeenError(Exception):
    """What the transformer was called with."""


def seen_by_transformer(spec, task):
    """The first call of the transformer in a dream."""
    model = registry.load(spec)

    def stop(module, args, kwargs):
        raise SeenError(kwargs)

    model._pipeline.transformer.register_forward_pre_hook(stop, with_kwargs=True)
    with pytest.raises(SeenError) as caught:
        next(iter(model.generate([task], seed=0)))
    return caught.value.args[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_asks_as_the_pipeline_asks(kind, tiny, tmp_path):
    """From the same first frame, words, noise and level, the transformer gets the same tensors as in a dream."""
    spec = tiny(kind)
    card, asks = Card(**spec.args), objectives.objective(spec.args["pipeline"])
    video = moving(5, frames=9, size=(24, 16))
    Image.fromarray(video.frames[0]).save(tmp_path / "0.png")
    task = Task(id="a", suite="b", instruction="open the drawer", first_frame=tmp_path / "0.png", num_frames=9, fps=8)
    real = seen_by_transformer(spec, task)
    pipeline, cpu = diffusers_i2v.assembled(card), torch.device("cpu")
    with torch.no_grad():
        made = asks.encode(pipeline, card, list(clips.pictures(video.frames, card)), cpu)
        made |= asks.embed(pipeline, card, task.instruction, cpu)
    batch = {name: value[None] for name, value in made.items()}
    latents = batch["latents"]
    sigma = real["timestep"].float().max().view(1) / 1000
    assert sigma > 0.9 and "image" in batch or kind == "2.2-5b"
    drawn = real["hidden_states"][:, : latents.shape[1]]
    noise = (drawn - (1 - sigma) * latents) / sigma
    ours = asks.ask(pipeline, batch, noise, sigma)
    compared = {name for name, value in real.items() if isinstance(value, torch.Tensor)}
    assert compared == set(ours.inputs)
    for name in compared:
        torch.testing.assert_close(ours.inputs[name].float(), real[name].float(), atol=1e-4, rtol=1e-4)
    assert torch.equal(ours.target, noise - latents)
    assert bool(ours.counts[:, :, 0].any()) == (kind != "2.2-5b"), "a given first frame is nothing to learn"


def test_latents_decode_to_the_clip_that_the_pipeline_would_show():
    """Normalised as the pipeline expects of what it decodes: with wan-s, whose weights mean something."""
    spec = registry.find("world_models", "wan-s")
    card, asks, cpu = Card(**spec.args), objectives.objective("WanImageToVideoPipeline"), torch.device("cpu")
    video = np.full((17, 64, 64, 3), 90, np.uint8)
    video[:, 20:40, 20:40] = (200, 60, 60)
    pipeline = diffusers_i2v.assembled(card)
    with torch.no_grad():
        made = asks.encode(pipeline, card, list(clips.pictures(video, card)), cpu)
        vae = pipeline.vae
        mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
        back = vae.decode(made["latents"][None] * std + mean).sample
    frames = pipeline.video_processor.postprocess_video(back, output_type="np")[0] * 255
    assert np.abs(frames - video).mean() < 12
    torch.testing.assert_close(made["condition"][:, 0], made["latents"][:, 0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("kind", "rank"), [("2.1", 4), ("2.2-5b", 0)])
def test_a_written_card_dreams_and_not_as_its_base(kind, rank, tiny, data, tmp_path):
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


def learnt(out):
    """The bytes of the transformer's weights, or of its changes."""
    folder = out / "lora" if (out / "lora").is_dir() else out / "pipeline/transformer"
    return [path.read_bytes() for path in folder.glob("*.safetensors")]


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


def test_windows_are_at_the_models_rate_and_length(tiny):
    """What remains at the end is the last window; a video that is too short is refused, not slowed or frozen."""
    card = Card(**tiny("2.1").args)
    frames = np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2).repeat(3, 3)
    shown = [w[:, 0, 0, 0].tolist() for w in clips.windows(Video(frames=frames, fps=16), card)]
    assert shown == [list(range(0, 18, 2)), list(range(18, 36, 2)), list(range(22, 40, 2))]
    assert len(clips.windows(Video(frames=frames[:9], fps=8), card)) == 1
    with pytest.raises(VideoError, match="lasts 1.00 s, where the model's videos last 1.12 s"):
        clips.windows(Video(frames=frames[:8], fps=8), card)
    with pytest.raises(VideoError, match="more than 8192"):
        clips.windows(Video(frames=frames, fps=1e-6), card)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "manifest.jsonl:2: is no JSON"),
        ("[" * 100_000, "manifest.jsonl:2: is no JSON"),
        ("7", "manifest.jsonl:2: is no JSON object"),
        ('{"video": "0.mp4"}', "manifest.jsonl:2: key 'instruction': must be a text"),
        ('{"video": "0.mp4", "instruction": "  "}', "manifest.jsonl:2: key 'instruction'"),
        ('{"video": 3, "instruction": "a"}', "manifest.jsonl:2: key 'video'"),
        ('{"video": "a\\u0000", "instruction": "a"}', "manifest.jsonl:2: key 'video'"),
        ('{"video": "0.mp4", "instruction": "a", "sed": 1}', "unknown key 'sed'; known: instruction, video"),
    ],
)
def test_a_broken_row_is_named_by_line(line, message, tmp_path):
    """Before anything is loaded."""
    (tmp_path / clips.MANIFEST).write_text('{"video": "0.mp4", "instruction": "a"}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        clips.rows(tmp_path)


def test_a_video_that_can_not_be_used_costs_no_other(tiny, data, tmp_path):
    """Out of the folder, missing, no video, too short: each with its reason and line; the rest is learnt from."""
    hostile = shutil.copytree(data, tmp_path / "clips")
    (tmp_path / "secret.mp4").write_bytes((data / "0.mp4").read_bytes())
    (hostile / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (hostile / "text.mp4").write_text("no video")
    (hostile / "short.mp4").write_bytes(encode(moving(1, frames=3)))
    wrong = ["../secret.mp4", str(tmp_path / "secret.mp4"), "link.mp4", "none.mp4", "text.mp4", "short.mp4"]
    with (hostile / clips.MANIFEST).open("a") as file:
        file.writelines(json.dumps({"video": name, "instruction": "a"}) + "\n" for name in wrong)
    told = []
    made = run(
        tiny("2.2-5b"),
        recipe(steps=1),
        data=hostile,
        out=tmp_path / "mine",
        progress=session.Progress(text=told.append),
    )
    assert [bool(clip.windows) for clip in made.clips] == [True] * 3 + [False] * 6
    reasons = ["leads out", "leads out", "leads out", "no such file", "can't be decoded", "lasts"]
    assert all(part in str(clip.reason) for part, clip in zip(reasons, made.clips[3:], strict=True))
    assert "3 of 9 videos can be learnt from" in told[0] and "manifest.jsonl:7: none.mp4" in told[0]
    assert "6 rows could not be used" in (tmp_path / "mine/README.md").read_text()
    (hostile / clips.MANIFEST).write_text(json.dumps({"video": "none.mp4", "instruction": "a"}))
    with pytest.raises(UserError, match="no video can be learnt from; manifest.jsonl:1: none.mp4: no such file"):
        run(tiny("2.2-5b"), recipe(), data=hostile, out=tmp_path / "nothing")


def test_one_video_in_twenty_is_held_out_whole():
    """By digest: neither the order of rows nor windows of one video on both sides."""
    from dreamgen_bench.adapt.latents import ClipRecord

    some = [ClipRecord(key=f"{n:03d}", where="", video="", instruction="", windows=2) for n in range(60)]
    held, learnt_ = session.split(some[::-1])
    assert {clip.key for clip in held} == {"000", "001", "002"} and len(learnt_) == 57
    assert session.split(some[:19])[0] == []


def test_what_can_not_be_adapted_says_so(tiny, data, tmp_path):
    """A class without an objective, two experts, no card, a LoRA already, a taken name: each with the choices."""
    for name, message in (
        ("ltx-video-2b", "LTXImageToVideoPipeline can't be adapted yet; what can: WanImageToVideoPipeline, SkyReelsV2"),
        ("retrieval", "'retrieval' is no card"),
    ):
        with pytest.raises(UserError, match=message):
            run(registry.find("world_models", name), recipe(), data=data, out=tmp_path / "x")
    with pytest.raises(UserError, match="can't be adapted: it has two experts"):
        run(tiny("wan2.2-i2v-a14b"), recipe(), data=data, out=tmp_path / "x")
    lora = {"checkpoint": "./x", "revision": "1", "weight": "x.safetensors", "scale": 1.0}
    with pytest.raises(UserError, match="has a LoRA already"):
        run(tiny("2.1", lora=lora), recipe(), data=data, out=tmp_path / "x")
    with pytest.raises(UserError, match="'wan-s' is taken"):
        run(tiny("2.1"), recipe(), data=data, out=tmp_path / "wan-s")


def test_presets_are_the_papers_and_what_is_wrong_is_said():
    """LoRA of rank 4 at 1e-4, batch and epochs by data set; an unknown one names those there are."""
    lora = {name: (r.batch, r.epochs) for name, r in PRESETS.items() if (r.rank, r.rate) == (4, 1e-4)}
    assert lora == {
        "dreamgen-lora": (8, 200), "dreamgen-lora-robocasa": (32, 100), "dreamgen-lora-gr1": (64, 75),
        "dreamgen-lora-droid": (64, 5),
    }  # fmt: skip
    assert chosen("dreamgen-lora").total(68) == 1700 and chosen("dreamgen-lora", steps=5).total(68) == 5
    for preset, changes, message in (
        ("dreamgen", {}, "no preset named 'dreamgen'; there are dreamgen-lora, "),
        ("dreamgen-lora", {"batch": 0}, "--batch 0: use 1 or more"),
        ("dreamgen-lora", {"rate": 0.0}, "a rate between 0 and 1"),
    ):
        with pytest.raises(UserError, match=message):
            chosen(preset, **changes)
    with pytest.raises(UserError, match="say --steps"):
        chosen("cosmos-gr1-full").total(9)


def test_a_folder_holds_one_adaptation(tiny, data, tmp_path):
    """Other clips, another rate or another base would not be what the state was learnt with."""
    spec, out = tiny("2.2-5b"), tmp_path / "mine"
    run(spec, recipe(steps=1), data=data, out=out)
    before = (out / "card.yaml").stat().st_mtime_ns, learnt(out)
    run(spec, recipe(steps=1), data=data, out=out)
    assert before == ((out / "card.yaml").stat().st_mtime_ns, learnt(out)), "what is done is not done again"
    more = folder_of(tmp_path / "clips", count=4)
    for changes, message in (
        ({"recipe": recipe(steps=1, rate=1e-3)}, "its recipe differs"),
        ({"data": more}, "its data differs"),
        ({"spec": tiny("2.2-5b", prompt="do {instruction}")}, "its model differs"),
    ):
        with pytest.raises(UserError, match="holds another adaptation .*" + message):
            run(**{"spec": spec, "recipe": recipe(steps=1), "data": data, "out": out} | changes)


def test_a_card_anywhere_is_a_model_whose_revision_is_its_content(tiny, data, tmp_path):
    """Moved it is the same; with other weights, or saying something else, it is not."""
    made = run(tiny("2.2-5b"), recipe(steps=1), data=data, out=tmp_path / "mine").card
    spec = registry.find("world_models", str(made))
    assert spec.name == "mine" and spec.revision.startswith("sha256-")
    moved = shutil.copytree(tmp_path / "mine", tmp_path / "elsewhere")
    assert registry.find("world_models", str(moved / "card.yaml")).revision == spec.revision
    weights = next((moved / "lora").iterdir())
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert registry.find("world_models", str(moved / "card.yaml")).revision != spec.revision
    shutil.copyfile(tmp_path / "mine/lora" / weights.name, weights)
    text = (moved / "card.yaml").read_text()
    (moved / "card.yaml").write_text(text.replace("scale: 1.0", "scale: 0.5"))
    assert registry.find("world_models", str(moved / "card.yaml")).revision != spec.revision
    (moved / "card.yaml").write_text(text.replace("name: mine", "name: wan-s"))
    with pytest.raises(UserError, match="'wan-s' is the name of a registered one"):
        registry.find("world_models", str(moved / "card.yaml"))
    (moved / "card.yaml").write_text("a: [")
    with pytest.raises(UserError, match="is no YAML"):
        registry.find("world_models", str(moved / "card.yaml"))
    with pytest.raises(UserError, match="none.yaml: no such file"):
        registry.find("world_models", "none.yaml")


def test_a_card_is_run_and_looked_at_like_any_model(tiny, tmp_path):
    """`generate --models FILE` records its name and revision; `doctor --model FILE`; two of one name are refused."""
    spec = tiny("2.2-5b")
    path = Path(spec.args["checkpoint"]).parent / "tiny-2.2-5b.yaml"
    toy_suite(tmp_path / "toy", tasks=2, size=32, num_frames=9)
    said_ = ["generate", str(tmp_path / "toy"), "--models", str(path), "--out", str(tmp_path / "run")]
    done = RUNNER.invoke(app, [*said_, "--no-downstream"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "run/videos.jsonl").read_text().splitlines()]
    assert [(row["model"], row["revision"], row["status"]) for row in rows] == [(spec.name, spec.revision, "ok")] * 2
    assert RUNNER.invoke(app, ["doctor", "--model", str(path)]).exit_code == 0
    twin = shutil.copyfile(path, path.with_name("twin.yaml"))
    with pytest.raises(UserError, match="two of the models are named 'tiny-2.2-5b'"):
        loop.check(loop.Run(suites=(str(tmp_path / "toy"),), models=(str(path), str(twin)), out=tmp_path / "x"))


def test_the_verb_says_what_is_wrong(data, tmp_path):
    """Exit status 2 for the user's mistakes, before a weight is read; an example in the help."""
    for said_, message in (
        (["wan-x"], "no world model named 'wan-x'"),
        (["wan-s", "--preset", "best"], "no preset named 'best'"),
        (["wan-s", "--full", "--rank", "4"], "exclude each other"),
        (["cogvideox-5b-i2v"], "can't be adapted yet; what can"),
        (["wan-s", "--data", str(tmp_path)], "no such file; a data folder has videos"),
    ):
        done = RUNNER.invoke(app, ["adapt", *said_[:1], "--data", str(data), "--out", str(tmp_path / "o"), *said_[1:]])
        assert done.exit_code == 2 and message in done.output, done.output
    assert "dreamgen-bench adapt wan-s --data clips" in RUNNER.invoke(app, ["adapt", "--help"]).output
