"""What adapting reads and leaves: hostile data, held-out clips, one adaptation a folder, a card that is a model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_adaptations import folder_of, learnt, moving, recipe
from typer.testing import CliRunner

from dreamgen_bench import loop, registry
from dreamgen_bench.adapt import PRESETS, chosen, clips, run, session
from dreamgen_bench.cli import app
from dreamgen_bench.testing import toy_suite
from dreamgen_bench.types import UserError, Video
from dreamgen_bench.video import VideoError, encode
from dreamgen_bench.world_models.card import Card

RUNNER = CliRunner()


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
        ("ltx-2-19b", "LTX2ImageToVideoPipeline can't be adapted yet; what can: WanImageToVideoPipeline, SkyReelsV2"),
        (
            "cosmos-predict2-2b",
            "Cosmos2VideoToWorldPipeline of diffusers loads no LoRA: adapt every weight, with --full",
        ),
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
        (["svd-xt"], "can't be adapted yet; what can"),
        (["wan-s", "--data", str(tmp_path)], "no such file; a data folder has videos"),
    ):
        done = RUNNER.invoke(app, ["adapt", *said_[:1], "--data", str(data), "--out", str(tmp_path / "o"), *said_[1:]])
        assert done.exit_code == 2 and message in done.output, done.output
    assert "dreamgen-bench adapt wan-s --data clips" in RUNNER.invoke(app, ["adapt", "--help"]).output
