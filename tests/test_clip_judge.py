"""The OpenCLIP judge, with a model of random weights."""

import json
import subprocess
import sys

import numpy as np
import pytest

from dreamgen_bench import judge, registry
from dreamgen_bench.judges.open_clip_agreement import AgreementJudge, rise
from dreamgen_bench.types import Judge, Question, Rubric, Task, UserError, Video

SIDE = 32
# Of CLIP's own images, arXiv 2103.00020's release.
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def open_clip():
    """The library. It imports torchvision, of which no build for CPUs is published, to make transforms we never use."""
    pytest.importorskip("torch")
    stood_in = {}
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        from unittest.mock import MagicMock

        from transformers.utils import is_torchvision_available

        assert not is_torchvision_available()  # remembered, so that the stand-in deceives open_clip alone
        names = ["torchvision", "torchvision.transforms", "torchvision.transforms.functional"]
        names += ["torchvision.ops", "torchvision.ops.misc"]
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        stood_in = {name: MagicMock(name=name, __spec__=None, __path__=[]) for name in names}
        # Classes that open_clip derives its own from.
        for cls in ("Normalize", "Compose", "RandomResizedCrop", "InterpolationMode", "ToTensor", "Resize"):
            setattr(stood_in["torchvision.transforms"], cls, type(cls, (), {"BICUBIC": 3, "BILINEAR": 2}))
        for cls in ("CenterCrop", "ColorJitter", "Grayscale"):
            setattr(stood_in["torchvision.transforms"], cls, type(cls, (), {}))
        stood_in["torchvision.ops.misc"].FrozenBatchNorm2d = type("FrozenBatchNorm2d", (), {})
        sys.modules.update(stood_in)
    try:
        yield pytest.importorskip("open_clip")
    finally:
        for name in stood_in:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def clip(open_clip, tmp_path_factory):
    """A CLIP of one layer, untrained, loaded as any other is."""
    import torch

    torch.manual_seed(0)
    vision = {"image_size": SIDE, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    path = tmp_path_factory.mktemp("clip") / "tiny-clip.json"
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(path)
    loaded = registry.load(registry.find("judges", "clip-b32"), model="tiny-clip", weights=None)
    assert isinstance(loaded, AgreementJudge)
    return loaded


def question(frames, *, instruction="open the drawer"):
    return Question(prompt="?", frames=frames, options=("1", "0"), instruction=instruction)


def noise(seed, count=5, side=48):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_it_keeps_the_contract(clip):
    """One reply per question, with probabilities that add up to one; the bolder option is the answer."""
    assert isinstance(clip, Judge)
    replies = list(clip.ask([question(noise(seed)) for seed in range(4)]))
    assert len(replies) == 4
    for reply in replies:
        chance = np.exp(reply.logprobs["1"])
        assert chance + np.exp(reply.logprobs["0"]) == pytest.approx(1)
        assert reply.text == ("1" if chance > 0.5 else "0")


def test_time_is_what_counts(clip):
    """The same frames backwards get the other answer: the agreement falls as it rose; a held frame gets one half."""
    frames = noise(1)
    there, back = (next(iter(clip.ask([question(f)]))).logprobs for f in (frames, frames[::-1]))
    assert there["1"] == pytest.approx(back["0"], abs=1e-4) and abs(np.exp(there["1"]) - 0.5) > 1e-4
    [held] = clip.ask([question(np.repeat(frames[:1], 5, axis=0))])
    assert np.exp(held.logprobs["1"]) == pytest.approx(0.5, abs=1e-3)


def test_words_are_what_frames_are_compared_with(clip):
    """Another instruction, another probability."""
    found = {text: np.exp(next(iter(clip.ask([question(noise(2), instruction=text)]))).logprobs["1"]) for text in "ab"}
    assert found["a"] != pytest.approx(found["b"], abs=1e-6)


def test_the_agreement_is_the_models_own(clip):
    """Frame by frame, scale times cosine, computed apart from the judge."""
    import torch

    frames = noise(3, side=SIDE)
    mean, spread = np.array(OPENAI_MEAN, np.float32), np.array(OPENAI_STD, np.float32)
    pixels = torch.from_numpy((frames.astype(np.float32) / 255 - mean) / spread).permute(0, 3, 1, 2)
    with torch.no_grad():
        seen, read = clip.model.encode_image(pixels), clip.model.encode_text(clip.tokenize(["open the drawer"]))
        expected = clip.model.logit_scale.exp() * torch.nn.functional.cosine_similarity(seen, read)
    np.testing.assert_allclose(clip.logits(frames, "open the drawer"), expected.numpy(), rtol=1e-4)


def test_rise_is_the_slope_over_the_whole_clip():
    """From 1 to 3 is a rise of 2, however many frames; one frame rises by nothing."""
    assert rise(np.linspace(1, 3, 7)) == pytest.approx(2) and rise(np.array([5.0])) == 0


def test_a_question_without_an_instruction_has_no_answer(clip):
    """Physics alignment stays unparsed: not a 0, not an error that would be asked again."""
    [reply] = clip.ask([question(noise(0), instruction="")])
    assert not reply.error and judge.read_answer(reply.text, {"1": 1.0, "0": 0.0}) is None
    task = Task(id="t", suite="s", instruction="open it", first_frame="", num_frames=5, fps=1)
    options = {"0": 0.0, "1": 1.0}
    told = Rubric(name="a", digest="", score="IF", prompt="{instruction}", options=options, num_frames=3)
    untold = Rubric(name="a", digest="", score="PA", prompt="sound?", options=options, num_frames=3)
    video = Video(frames=noise(0), fps=1)
    assert judge.question(video, task, told).instruction == "open it"
    assert judge.question(video, task, untold).instruction == ""
    assert judge.question(video, task, told).options == ("1", "0")


def test_a_bad_question_is_an_error_in_its_own_reply_only(clip):
    """The other is answered."""
    bad = question(np.zeros((2, 8, 8), np.uint8))
    replies = list(clip.ask([bad, question(noise(0))]))
    assert replies[0].error and not replies[1].error


def test_an_unknown_model_is_the_users_to_mend(open_clip):
    """The error names what there is."""
    spec = registry.find("judges", "clip-b32")
    with pytest.raises(UserError, match="ViT-B-32"):
        registry.load(spec, model="ViT-B-33")
    with pytest.raises(UserError, match="laion2b_s34b_b79k"):
        registry.load(spec, weights="no-such-weights")


def test_the_adapter_is_light():
    """Its module imports neither torch nor open_clip."""
    code = "import sys, dreamgen_bench.judges.open_clip_agreement; assert not {'torch', 'open_clip'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
