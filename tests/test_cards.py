"""Cards: each runs through the real pipeline class built small; strict files, LoRA, what a machine lacks."""

import dataclasses
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dreamgen_bench import registry
from dreamgen_bench.cli import app
from dreamgen_bench.generate import broken_contract
from dreamgen_bench.testing import check_world_model, toy_suite
from dreamgen_bench.types import UserError
from dreamgen_bench.world_models import diffusers_i2v, machine
from dreamgen_bench.world_models.card import Card, cards

CARDS = {spec.name: spec for spec in cards() if spec.group == "card"}
FOLDER = Path(diffusers_i2v.__file__).parent / "cards"
SMALL = {
    "device": "cpu", "dtype": "float32", "offload": "none", "memory_gib": 0.0, "packages": (),
    "width": 32, "height": 32,
}  # fmt: skip
# What single pipelines of small dimensions need beside: no fixed head of the prompt, fewer layers, fewer frames.
PROMPT_TEMPLATE = {"template": "{}", "crop_start": 0, "image_emb_len": 49, "image_emb_start": 5, "image_emb_end": 54}
CALLS = {
    "hunyuanvideo-i2v": {"prompt_template": PROMPT_TEMPLATE, "max_sequence_length": 64},
    "ltx-2-19b": {"spatio_temporal_guidance_blocks": [1]},
}
FRAMES = {"svd-xt": 5}
SLOW = {"hunyuanvideo1.5-i2v-480p", "ltx-2-19b", "svd-xt"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Name of a card -> a folder that diffusers saved, of the card's pipeline class; built on first use."""
    import diffusers
    import tiny_pipelines
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    root, made = tmp_path_factory.mktemp("checkpoints"), {}

    def built(name):
        builder = tiny_pipelines.BUILDERS[name]
        key = repr(getattr(builder, "func", builder)) + repr(getattr(builder, "keywords", ""))
        if key not in made:
            made[key] = tiny_pipelines.saved(name, root / name)
        return made[key]

    return built


def small(name, folder, **changes):
    """The card's own arguments, for a small checkpoint on a CPU."""
    call = dict(CARDS[name].args["call"]) | {"num_inference_steps": 2}
    takes = inspect.signature(machine.pipeline_class(CARDS[name].args["pipeline"]).__call__).parameters
    if "max_sequence_length" in takes:
        call["max_sequence_length"] = 16
    call |= CALLS.get(name, {})
    return {**SMALL, "num_frames": FRAMES.get(name, 9), "checkpoint": str(folder), "call": call, **changes}


def dreamed(model, task, seed=0):
    """One video's frames."""
    return next(iter(model.generate([task], seed=seed))).frames


def test_every_card_is_built_small():
    """No card without its pipeline here, and at least twelve cards."""
    import tiny_pipelines

    assert set(tiny_pipelines.BUILDERS) == set(CARDS) and len(CARDS) >= 12


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in CARDS])
def test_a_card_keeps_the_contract(name, checkpoints, guarded, tmp_path):
    """The card's pipeline class, saved by diffusers and loaded by the adapter, keeps the contract of world models.

    Two seeds differ; the instruction and the first frame reach the pipeline.
    """
    model = registry.load(CARDS[name], **small(name, checkpoints(name)))
    first, second = toy_suite(tmp_path / "toy", tasks=2, size=16, num_frames=4).tasks
    check_world_model(model, [first, second])
    frames = dreamed(model, first)
    assert not np.array_equal(frames[1:], dreamed(model, first, seed=1)[1:]), "two seeds give the same video"
    elsewhere = dataclasses.replace(first, first_frame=second.first_frame)
    assert not np.array_equal(frames[1:], dreamed(model, elsewhere)[1:]), "the first frame changes nothing"
    told = dataclasses.replace(first, instruction="open the drawer")
    reads = bool(CARDS[name].args["prompt"])
    assert np.array_equal(frames, dreamed(model, told)) != reads, "the instruction is not read as the card says"


def test_cards_of_big_models_say_what_they_need():
    """Memory, offload, family, a licence, and a revision that is a commit wherever one could be found out."""
    for spec in CARDS.values():
        said = spec.args
        assert said["device"] == "cuda" and said["memory_gib"] > 0 and spec.family and spec.license, spec.name
        pinned = len(spec.revision) == 40 and set(spec.revision) <= set("0123456789abcdef")
        assert pinned or "revision" in spec.summary, f"{spec.name}: says neither a commit nor that it has none"
        assert (said["prompt"] == "") == ("reads no instruction" in spec.summary), spec.name


def test_the_list_has_what_a_table_needs_and_loads_no_torch():
    """As JSON, in a process of its own, with at least twelve cards."""
    code = "import sys; sys.argv = ['dreamgen-bench', 'list', 'models', '--json']\n"
    code += "from dreamgen_bench.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
    code += "assert not {'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    keys = {"name", "group", "family", "parameters", "adaptation", "weights", "revision", "license"}
    assert all(keys <= set(row) and row["family"] for row in rows)
    assert sum(row["group"] == "card" for row in rows) >= 12
    assert {row["family"] for row in rows if row["group"] == "control"} == {"simulated"}


@pytest.fixture
def wan(checkpoints):
    """Arguments of the Wan 2.1 card for its small checkpoint."""
    name = "wan2.1-i2v-14b-480p"
    return {**CARDS[name].args, **small(name, checkpoints(name))}


def without(folder, copy, name):
    """A copy of a checkpoint that lacks a part."""
    shutil.copytree(folder, copy)
    (shutil.rmtree if (copy / name).is_dir() else Path.unlink)(copy / name)
    return str(copy)


def test_what_a_machine_lacks_is_said_before_a_weight_is_read(wan, tmp_path, monkeypatch):
    """A missing checkpoint, a wrong class, too little memory, no GPU, a missing package: each with its cure."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(diffusers_i2v, "_read", lambda card: pytest.fail("weights were read"))
    whole = Path(wan["checkpoint"])
    lora = {"checkpoint": str(tmp_path), "revision": "1", "weight": "x.safetensors", "scale": 1}
    for changes, message in (
        ({"pipeline": "WanImage2Video"}, "has no pipeline 'WanImage2Video': it has .*WanImageToVideoPipeline"),
        ({"pipeline": "AutoencoderKLWan"}, "has no pipeline 'AutoencoderKLWan'"),
        ({"pipeline": "WanPipeline"}, "takes no image"),
        ({"pipeline": "StableVideoDiffusionPipeline", "call": {}}, "takes no text"),
        ({"pipeline": "CogVideoXImageToVideoPipeline", "checkpoint": without(whole, tmp_path / "a", "transformer")},
         "the folder transformer is missing"),
        ({"pipeline": "LTX2ImageToVideoPipeline"}, "it has no 'audio_vae', which LTX2.* needs"),
        ({"checkpoint": str(tmp_path / "nowhere")}, "no model_index.json there.*download it again"),
        ({"checkpoint": str(tmp_path / "nowhere"), "obtain": "convert it"}, "no model_index.json there.*convert it"),
        ({"checkpoint": "Wan-AI/Wan2.1-None"}, "nor in the cache of the hub.*hf download Wan-AI/Wan2.1-None"),
        ({"checkpoint": without(whole, tmp_path / "b", "vae")}, "the folder vae is missing: an unfinished download"),
        ({"memory_gib": 9e9}, "needs 9e.09 GiB on cpu with offload none, .* GiB are free: free memory"),
        ({"packages": ("no_such_package",)}, "no_such_package is not installed: pip install no_such_package"),
        ({"device": "tpu"}, "no device 'tpu': say cpu, cuda or cuda:N"),
        ({"device": "cuda:x"}, "no device 'cuda:x'"),
        ({"lora": lora | {"weight": "x.bin"}}, "x.bin is not a .safetensors file"),
        ({"lora": lora}, "x.safetensors is not there"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            diffusers_i2v.load(**{**wan, **changes})


def test_a_card_for_a_gpu_says_so_where_there_is_none(wan, monkeypatch):
    """With as much GPU memory as there is not."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="the card's device is cuda, 0 GPUs here: run it where torch.cuda.is_available"):
        diffusers_i2v.load(**{**wan, "device": "cuda"})
    assert machine.free_gib("cuda") == 0 < machine.free_gib("cpu")


def test_memory_of_a_gpu_is_compared_with_what_the_card_needs(monkeypatch):
    """Free memory of that GPU, not of the machine."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: ((40 if device.index else 80) * 2**30, 80 * 2**30))
    card = Card(**CARDS["wan2.1-i2v-14b-480p"].args)
    found = {f.name: f for f in machine.findings(dataclasses.replace(card, device="cuda:0"))}
    assert found["memory"].ok and found["device"].found == "GPU 0"
    found = {f.name: f for f in machine.findings(dataclasses.replace(card, device="cuda:1"))}
    assert not found["memory"].ok and "60 GiB on cuda:1 with offload none, 40.0 GiB" in found["memory"].found
    assert "offload: model or sequential" in found["memory"].cure


def test_a_shard_that_is_missing_is_an_unfinished_download(wan, tmp_path):
    """The index of the shards says which there should be."""
    copy = tmp_path / "copy"
    shutil.copytree(wan["checkpoint"], copy)
    weights = copy / "transformer/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model-00001-of-00002.safetensors"))
    shards = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": dict(zip("ab", shards, strict=True))}
    weights.with_name("diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="00002-of-00002.safetensors is missing: an unfinished download"):
        diffusers_i2v.load(**{**wan, "checkpoint": str(copy)})


def test_offload_is_by_component_by_layer_or_not_at_all():
    """What diffusers is asked for, on the card's device."""
    asked = []
    pipeline = SimpleNamespace(
        to=lambda device: asked.append(("to", device)),
        enable_model_cpu_offload=lambda device: asked.append(("model", device)),
        enable_sequential_cpu_offload=lambda device: asked.append(("sequential", device)),
    )
    card = Card(**CARDS["wan2.1-i2v-14b-480p"].args)
    for offload in ("none", "model", "sequential"):
        diffusers_i2v.placed(pipeline, dataclasses.replace(card, offload=offload, device="cuda:1"))
    assert asked == [("to", "cuda:1"), ("model", "cuda:1"), ("sequential", "cuda:1")]


def test_parts_can_have_their_own_precision_and_configuration(wan):
    """As diffusers advises for Wan's VAE, and for the shift of SkyReels' scheduler."""
    import torch

    changed = {"dtype": {"default": "bfloat16", "vae": "float32"}, "config": {"scheduler": {"flow_shift": 5.0}}}
    pipeline = diffusers_i2v.load(**{**wan, **changed})._pipeline
    assert pipeline.vae.dtype == torch.float32 and pipeline.transformer.dtype == torch.bfloat16
    assert pipeline.scheduler.config.flow_shift == 5.0
    with pytest.raises(UserError, match="scheduler of WanImageToVideoPipeline has no 'flow_shft'; it has .*flow_shift"):
        diffusers_i2v.load(**{**wan, "config": {"scheduler": {"flow_shft": 5.0}}})


def test_lora_weights_change_the_dream_by_their_scale(wan, tmp_path):
    """Scale 0 is the model without them; a file for another model is refused instead of ignored."""
    import torch
    from diffusers import WanImageToVideoPipeline
    from peft import LoraConfig
    from safetensors.torch import save_file

    task = toy_suite(tmp_path / "toy", tasks=1, size=16, num_frames=4).tasks[0]
    base = diffusers_i2v.load(**wan)
    plain = dreamed(base, task)
    transformer = base._pipeline.transformer
    torch.manual_seed(1)
    transformer.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    state = {k: v for k, v in transformer.state_dict().items() if "lora_" in k}
    named = {key.replace(".default", ""): 4 * value for key, value in state.items()}
    WanImageToVideoPipeline.save_lora_weights(tmp_path, transformer_lora_layers=named, weight_name="fit.safetensors")
    save_file({"unet.up.lora_A.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    lora = {"checkpoint": str(tmp_path), "revision": "1", "weight": "fit.safetensors", "scale": 1.0}
    tuned = dreamed(diffusers_i2v.load(**{**wan, "lora": lora}), task)
    silent = dreamed(diffusers_i2v.load(**{**wan, "lora": lora | {"scale": 0.0}}), task)
    assert np.array_equal(plain, silent) and not np.array_equal(plain, tuned)
    with pytest.raises(UserError, match="LoRA other.safetensors|no weight of LoRA"):
        diffusers_i2v.load(**{**wan, "lora": lora | {"weight": "other.safetensors"}})


def test_a_square_task_goes_through_a_wide_model(wan, tmp_path):
    """Letterboxed on the way in, cut on the way out, at the task's rate."""
    tasks = toy_suite(tmp_path / "toy", tasks=2, size=24, num_frames=5).tasks
    check_world_model(diffusers_i2v.load(**{**wan, "width": 64, "height": 32}), tasks)


def test_a_size_that_the_pipeline_does_not_make_is_the_cards_fault(checkpoints, tmp_path):
    """HunyuanVideo 1.5 takes no size: it chooses one by the picture's, and the letterbox would be cut wrongly."""
    name = "hunyuanvideo1.5-i2v-480p"
    model = registry.load(CARDS[name], **small(name, checkpoints(name), width=44))
    task = toy_suite(tmp_path / "toy", tasks=1, size=16, num_frames=4).tasks[0]
    with pytest.raises(UserError, match="made .* where the card says 44x32; mend the card"):
        dreamed(model, task)


def test_frames_are_read_in_any_form_and_nan_is_not_hidden(tmp_path):
    """Floats and pictures give the same bytes; NaN reaches the contract, which names it."""
    frames = np.linspace(0, 1, 2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    bytes_ = diffusers_i2v.as_uint8(frames)
    assert np.array_equal(bytes_, diffusers_i2v.as_uint8([Image.fromarray(frame) for frame in bytes_]))
    task = toy_suite(tmp_path / "toy", tasks=1, size=32, num_frames=4).tasks[0]
    broken = lambda image, generator, output_type: SimpleNamespace(frames=[np.full((9, 32, 32, 3), np.nan)])  # noqa: E731
    model = diffusers_i2v.DiffusersImageToVideo(
        SimpleNamespace(__call__=broken), Card(**{**CARDS["svd-xt"].args, **SMALL, "num_frames": 9, "call": {}})
    )
    model._pipeline = broken
    assert "float32 with NaN" in broken_contract(next(iter(model.generate([task], seed=0))), task)


def test_nothing_global_is_left_seeded(wan, tmp_path):
    """Pipelines that draw from the global generator are seeded by task, and leave it as it was."""
    import torch

    task = toy_suite(tmp_path / "toy", tasks=1, size=16, num_frames=4).tasks[0]
    model = diffusers_i2v.load(**wan)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    dreamed(model, task)
    assert torch.equal(before, torch.get_rng_state())


def test_doctor_says_whether_a_model_runs_here(monkeypatch):
    """A card of a big model: what is missing, each with a cure, and no weight loaded; ours: nothing missing."""
    monkeypatch.setattr(diffusers_i2v, "_read", lambda card: pytest.fail("weights were read"))
    done = CliRunner().invoke(app, ["doctor", "--model", "cosmos-predict2-14b-gr1", "--json"])
    found = {row["name"]: row for row in json.loads(done.output)}
    assert done.exit_code == 1 and set(found) == {"pipeline", "package", "device", "memory", "checkpoint"}
    assert found["pipeline"]["ok"] and not found["checkpoint"]["ok"]
    assert "convert_cosmos_to_diffusers.py" in found["checkpoint"]["cure"]
    assert CliRunner().invoke(app, ["doctor", "--model", "wan-s"]).exit_code == 0
    assert CliRunner().invoke(app, ["doctor", "--model", "retrieval"]).exit_code == 0
    assert CliRunner().invoke(app, ["doctor", "--model", "wan-z"]).exit_code == 2


def test_a_checkpoint_is_found_in_the_cache_of_the_hub(wan, tmp_path, monkeypatch):
    """By repository and commit, offline; what is not there is downloaded when loaded, which only offline can't be."""
    from huggingface_hub import constants

    commit = "0123456789" * 4
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / f"models--someone--wan/snapshots/{commit}"
    shutil.copytree(wan["checkpoint"], snapshot)
    said = {**wan, "checkpoint": "someone/wan", "revision": commit}
    task = toy_suite(tmp_path / "toy", tasks=1, size=16, num_frames=4).tasks[0]
    assert np.array_equal(dreamed(diffusers_i2v.load(**said), task), dreamed(diffusers_i2v.load(**wan), task))
    shutil.rmtree(snapshot / "vae")
    unfinished = machine.findings(Card(**said))[-1]
    assert not unfinished.ok and not unfinished.optional and "unfinished download" in unfinished.found
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert machine.findings(Card(**said))[-1].optional, "online, the download goes on"
    absent = machine.findings(Card(**{**said, "revision": "f" * 40}))[-1]
    assert not absent.ok and absent.optional and "it is downloaded when it is loaded" in absent.cure


@pytest.mark.parametrize("name", CARDS)
def test_a_cards_size_and_length_are_ones_that_its_model_can_make(name):
    """Latents are whole: sides in 16 or 32, frames 4k+1 or 8k+1; else diffusers rounds, or stops at the first video."""
    said, spec = CARDS[name].args, CARDS[name]
    side, step = (32, 8) if spec.family == "ltx" else (32, 4) if name == "wan2.2-ti2v-5b" else (16, 4)
    assert said["width"] % side == said["height"] % side == 0 and said["num_frames"] % step == 1
