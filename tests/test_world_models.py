"""World models: the real diffusers pipeline built small, retrieval, and the controls, all through the same contract."""

import dataclasses

import numpy as np
import pytest
import yaml
from PIL import Image

from dreamgen_bench import registry, suites
from dreamgen_bench.testing import check_world_model, toy_suite
from dreamgen_bench.types import UserError
from dreamgen_bench.world_models import diffusers_i2v, framing
from dreamgen_bench.world_models.simulated import DEFECTS, LEVELS


@pytest.fixture(scope="module")
def tiny_wan(tmp_path_factory):
    """WanImageToVideoPipeline of the Wan 2.1 kind, with random weights and small dimensions, saved by diffusers."""
    import torch
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanImageToVideoPipeline,
        WanTransformer3DModel,
    )
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    raw = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "do": 3, "thing": 4}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    pipeline = WanImageToVideoPipeline(
        tokenizer=words,
        text_encoder=UMT5EncoderModel(UMT5Config(vocab_size=5, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
        vae=AutoencoderKLWan(
            base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
            latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, in_channels=12, out_channels=4, text_dim=16, freq_dim=16,
            ffn_dim=16, num_layers=1, rope_max_seq_len=32,
        ),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wan")
    pipeline.save_pretrained(folder)
    return folder


SETTINGS = dict(revision="1", dtype="float32", device="cpu", width=32, height=32, num_frames=5, fps=10,
                prompt="{instruction}", call={"num_inference_steps": 2, "guidance_scale": 1.0})  # fmt: skip


def test_the_real_pipeline_keeps_the_contract_by_card_alone(tiny_wan, tmp_path):
    """Saved by diffusers, loaded by the adapter: order, count, length, size, seed, batch, first frame."""
    model = diffusers_i2v.load(pipeline="WanImageToVideoPipeline", checkpoint=str(tiny_wan), **SETTINGS)
    tasks = toy_suite(tmp_path / "toy", tasks=3, size=16).tasks
    check_world_model(model, tasks)


def test_an_unknown_pipeline_names_those_there_are(tiny_wan):
    """A typo in a card is found before the first video."""
    with pytest.raises(UserError, match="WanImageToVideoPipeline"):
        diffusers_i2v.load(pipeline="WanImage2Video", checkpoint=str(tiny_wan), **SETTINGS)


def test_a_call_argument_that_the_pipeline_does_not_take_is_refused(tiny_wan):
    """Settings are never dropped in silence, and it is said before the weights are read."""
    settings = SETTINGS | {"call": {"steps": 2}}
    with pytest.raises(UserError, match="takes no 'steps'"):
        diffusers_i2v.load(pipeline="WanImageToVideoPipeline", checkpoint=str(tiny_wan), **settings)


def test_pickled_weights_are_refused(tiny_wan, tmp_path):
    """A checkpoint from others may hold a program; only safetensors are read."""
    import shutil

    import torch

    copy = tmp_path / "pickled"
    shutil.copytree(tiny_wan, copy)
    weights = copy / "transformer/diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(UserError, match="is a pickle, which can run code"):
        diffusers_i2v.load(pipeline="WanImageToVideoPipeline", checkpoint=str(copy), **SETTINGS)


def test_a_card_with_an_unknown_or_missing_key_is_refused(tmp_path):
    """Cards are strict, and reading them loads no weights."""
    spec = next(s for s in diffusers_i2v.cards() if s.name == "wan2.1-i2v-14b-480p")
    assert spec.group == "card" and spec.weights == "hub"
    from pathlib import Path

    card = yaml.safe_load((Path(diffusers_i2v.__file__).parent / "cards/wan-s.yaml").read_text())
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(card | {"hight": 3}))
    with pytest.raises(UserError, match="hight"):
        diffusers_i2v.cards(tmp_path)


def test_a_longer_video_is_cut_and_a_shorter_one_stays_short(tmp_path):
    """Nothing is padded: a frozen end would look like the model's."""
    task = toy_suite(tmp_path / "toy", size=16).tasks[0]
    first = Image.open(task.first_frame).convert("RGB")
    made = np.zeros((9, 32, 32, 3), np.uint8)
    assert framing.fitted(made, 10, task, first).shape == (5, 16, 16, 3)
    assert np.array_equal(framing.fitted(made, 10, task, first)[0], np.asarray(first))
    assert len(framing.fitted(made[:3], 10, task, first)) == 3


def test_retrieval_finds_the_nearest_clip_by_frame_and_words(tmp_path):
    """The clip with the same start and the same instruction wins; it is played as it is."""
    from dreamgen_bench.world_models.retrieval import Retrieval

    suite = toy_suite(tmp_path / "toy", tasks=3)
    clips = np.stack([np.repeat(np.asarray(Image.open(t.first_frame))[None], 7, 0) for t in suite.tasks])
    clips[:, 1:] //= 2
    model = Retrieval(clips, [task.instruction for task in suite.tasks])
    for clip, video in zip(clips, model.generate(suite.tasks, seed=0), strict=True):
        assert np.array_equal(video.frames, clip[[0, 2, 3, 4, 6]]) or np.array_equal(video.frames[0], clip[0])


def test_controls_are_named_on_the_list_and_need_the_sim_track(tmp_path):
    """Eight defects at three levels, and an error in words where there is no simulator state."""
    names = set(registry.specs("world_models"))
    assert {f"corrupt_{kind}_{level}" for kind in DEFECTS for level in LEVELS} <= names and len(DEFECTS) >= 6
    task = dataclasses.replace(toy_suite(tmp_path / "toy").tasks[0], state={})
    model = registry.load(registry.find("world_models", "replay"))
    with pytest.raises(UserError, match="no simulator state"):
        next(iter(model.generate([task], seed=0)))


def test_controls_from_the_simulator():
    """Replay starts from the suite's first frame; wrong_instruction too; reversed ends there; static never moves."""
    task = suites.limited(suites.load("metaworld-behavior-v1"), 6)[1]
    first = np.asarray(Image.open(task.first_frame))
    made = {
        name: next(iter(registry.load(registry.find("world_models", name)).generate([task], seed=0))).frames
        for name in ("replay", "static", "wrong_instruction", "reversed", "noise")
    }
    assert all(frames.shape == (17, 64, 64, 3) for frames in made.values())
    assert np.array_equal(made["replay"][0], first) and np.array_equal(made["wrong_instruction"][0], first)
    assert np.array_equal(made["reversed"][-1], first) and (made["static"] == first).all()
    assert np.array_equal(made["noise"][0], first) and made["noise"][-1].std() > 70
    assert np.abs(made["wrong_instruction"][-1].astype(int) - made["replay"][-1]).mean() > 1
