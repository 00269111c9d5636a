"""The vision-language judge: shipped weights where they are, a random model of the same class everywhere."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamgen_bench import judges, registry, rubrics
from dreamgen_bench.judges import shared_prefix
from dreamgen_bench.types import Judge, Question, UserError

SHIPPED = Path(judges.__file__).parents[1] / "weights/qwen-s"
SPECIAL = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>".split()
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def random_checkpoint(tmp_path_factory):
    """A Qwen2.5-VL with two frames a patch, untrained, as `save_pretrained` leaves it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    folder = tmp_path_factory.mktemp("random-judge")
    words = [*SPECIAL, "[UNK]", *"1 0 is this done answer or . user assistant yes yesterday".split()]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="[UNK]",
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[2],
        additional_special_tokens=SPECIAL[1:],
        chat_template=CHAT,
    ).save_pretrained(folder)
    Qwen2VLImageProcessorPil(
        size={"shortest_edge": 1024, "longest_edge": 1024}, patch_size=8, temporal_patch_size=2, merge_size=2
    ).save_pretrained(folder)
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(_config(len(words))).save_pretrained(folder)
    return folder


def _config(words):
    from transformers import Qwen2_5_VLConfig

    shape = {"hidden_size": 32, "intermediate_size": 32}
    vision = {"depth": 1, "num_heads": 2, "patch_size": 8, "out_hidden_size": 32, "fullatt_block_indexes": [0]}
    rope = {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [2, 3, 3]}
    text = {
        "vocab_size": words, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
        "rope_parameters": rope, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    return Qwen2_5_VLConfig(
        vision_config=shape | vision, text_config=shape | text, image_token_id=5, video_token_id=6,
        vision_start_token_id=3, vision_end_token_id=4,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["random", pytest.param("shipped", marks=pytest.mark.skipif(
    not (SHIPPED / "model.safetensors").exists(), reason="no weights in this checkout"))])  # fmt: skip
def judge(request):
    """The adapter around either model."""
    if request.param == "shipped":
        return registry.load(registry.find("judges", "qwen-s"))
    place = str(request.getfixturevalue("random_checkpoint"))
    return registry.load(registry.find("judges", "qwen-s"), checkpoint=place)


def questions(count, *, frames=17, side=64):
    """Random videos, of prompts of unlike lengths."""
    rng = np.random.default_rng(0)
    prompt = rubrics.load("instruction-following-v1").prompt
    return [
        Question(
            prompt=prompt.format(instruction="open the drawer " * (i % 3 + 1)),
            frames=rng.integers(0, 256, (frames, side, side, 3), dtype=np.uint8),
            options=("1", "0"),
            fps=4.0,
        )
        for i in range(count)
    ]


def test_logprobs_are_those_of_a_distribution_over_more_than_the_options(judge):
    """They are finite and sum to at most one; the reply is never empty-handed."""
    assert isinstance(judge, Judge)
    for reply in judge.ask(questions(5)):
        assert not reply.error
        assert set(reply.logprobs) == {"1", "0"}
        assert 0 < np.exp(list(reply.logprobs.values())).sum() <= 1 + 1e-5


@pytest.mark.parametrize("batch_size", [1, 3])
def test_order_and_batch_size_change_no_answer(judge, batch_size, monkeypatch):
    """The same questions, backwards and in other batches, get the same replies."""
    asked = questions(7)
    whole = list(judge.ask(asked))
    monkeypatch.setattr(judge, "batch_size", batch_size)
    again = list(judge.ask(asked[::-1]))[::-1]
    assert [reply.text for reply in whole] == [reply.text for reply in again]
    for one, other in zip(whole, again, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_a_video_is_looked_at_once_for_all_questions_about_it(judge):
    """Two questions that share their frames cost one pass of the vision tower, and have the answers of two."""
    one, two = questions(2)
    both = [one, replace(one, prompt=two.prompt), two, replace(two, prompt="is this done")]
    apart = list(judge.ask([replace(question, frames=question.frames.copy()) for question in both]))
    grids = []
    note = lambda module, args, given: grids.append(len(given["grid_thw"]))  # noqa: E731
    hook = judge.model.model.visual.register_forward_pre_hook(note, with_kwargs=True)
    together = list(judge.ask(both))
    hook.remove()
    assert grids[0] == 2  # what comes after is the spoken reply of each, where its first token is no option
    for reply, other in zip(together, apart, strict=True):
        assert not reply.error and reply.text == other.text
        assert reply.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("stand", ["before", "after"])
def test_prompts_that_begin_alike_are_read_once_and_answered_as_if_read_apart(judge, stand, monkeypatch):
    """The language model goes on from a video's keys and values; words before a video leave it nothing to share."""
    one, two = (replace(question, frames_stand=stand) for question in questions(2))
    asked = [one, replace(one, prompt=two.prompt), two, replace(two, prompt="is this done")]
    rows = []
    note = lambda module, given, told: rows.append(len(told.get("hidden_states", given[0] if given else None)))  # noqa: E731
    hook = judge.model.model.language_model.layers[0].register_forward_pre_hook(note, with_kwargs=True)
    shared = list(judge.ask(asked))
    hook.remove()
    assert rows[:2] == ([2, 4] if stand == "before" else [4, 4])  # videos first, then what is asked about them
    monkeypatch.setattr(shared_prefix, "FAMILIES", ())
    for reply, whole in zip(shared, judge.ask(asked), strict=True):
        assert not reply.error and reply.text == whole.text
        assert reply.logprobs == pytest.approx(whole.logprobs, abs=1e-4)


def test_a_bad_question_is_an_error_in_its_own_reply_only(judge):
    """Others of its batch are answered, and as if it were not there."""
    good = questions(3)
    bad = Question(prompt="is this done", frames=np.zeros((0, 64, 64, 3), np.uint8), options=("1", "0"))
    unclear = Question(prompt="is this done", frames=good[0].frames, options=("1", "1 "))
    replies = list(judge.ask([good[0], bad, good[1], unclear, good[2]]))
    assert "frames must be uint8" in replies[1].error
    assert "begin with the same token" in replies[3].error
    alone = list(judge.ask(good))
    assert [replies[i].logprobs["1"] for i in (0, 2, 4)] == pytest.approx([a.logprobs["1"] for a in alone], abs=1e-4)


def test_a_model_that_breaks_in_a_batch_is_asked_one_by_one(judge, monkeypatch):
    """So that running out of memory costs time and not answers."""

    def fussy(prepared, whole=judge.prepare.batch):
        if len(prepared) > 1:
            raise MemoryError("too much at once")
        return whole(prepared)

    expected = [reply.logprobs for reply in judge.ask(questions(3))]
    monkeypatch.setattr(judge.prepare, "batch", fussy)
    found = list(judge.ask(questions(3)))
    assert not any(reply.error for reply in found)
    assert [reply.logprobs["0"] for reply in found] == pytest.approx([e["0"] for e in expected], abs=1e-4)


def test_any_length_and_size_of_video_is_taken(judge):
    """Odd numbers of frames are filled up; other sizes are brought to the model's."""
    replies = list(judge.ask([*questions(1, frames=1), *questions(1, frames=9, side=48), *questions(1, frames=4)]))
    assert [reply.error for reply in replies] == [""] * 3


def test_no_questions_no_replies(judge):
    """An empty list is answered by nothing."""
    assert list(judge.ask([])) == []


def test_frames_are_cut_into_patches_as_qwens_own_processor_cuts_them(random_checkpoint):
    """A video of pairs of equal frames is, patch for patch, what the processor makes of the single images."""
    from dreamgen_bench.judges.transformers_vlm import load

    prepare = load(str(random_checkpoint)).prepare
    frame = questions(1, side=32)[0].frames[:3]
    patches, grid = prepare._patches(np.repeat(frame, 2, axis=0))
    expected = prepare.images(list(frame), return_tensors="np")
    assert grid == (3, *expected["image_grid_thw"][0][1:])
    np.testing.assert_allclose(patches, expected["pixel_values"], atol=1e-6)


def test_device_and_attention_are_the_loaders_to_choose(random_checkpoint):
    """Another attention back end and a device map give the same answers; one that is not installed is told."""
    spec = registry.find("judges", "qwen-s")
    asked = questions(2)
    usual = list(registry.load(spec, checkpoint=str(random_checkpoint)).ask(asked))
    eager = registry.load(spec, checkpoint=str(random_checkpoint), attention="eager", device={"": "cpu"})
    assert eager.model.config._attn_implementation == "eager"
    for one, other in zip(usual, eager.ask(asked), strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    with pytest.raises(UserError, match="FlashAttention2"):
        registry.load(spec, checkpoint=str(random_checkpoint), attention="flash_attention_2")


def test_a_hub_id_may_name_its_revision(tmp_path, monkeypatch):
    """After an @; a folder may have one in its name."""
    from dreamgen_bench.judges.transformers_vlm import _located

    assert _located("Qwen/Qwen3-VL-8B-Instruct@abc") == ("Qwen/Qwen3-VL-8B-Instruct", "abc")
    assert _located("Qwen/Qwen3-VL-8B-Instruct") == ("Qwen/Qwen3-VL-8B-Instruct", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine@home").mkdir()
    assert _located("mine@home") == ("mine@home", None)


def test_frames_stand_before_or_after_the_words(random_checkpoint):
    """As the rubric says: the same tokens in another order."""
    from dataclasses import replace

    prepare = registry.load(registry.find("judges", "qwen-s"), checkpoint=str(random_checkpoint)).prepare
    before = questions(1)[0]
    first, last = (prepare.one(q)["ids"] for q in (before, replace(before, frames_stand="after")))
    video = prepare.config.video_token_id
    assert sorted(first) == sorted(last) and first.index(video) < last.index(video)


def test_pickled_weights_are_refused(random_checkpoint, tmp_path):
    """A folder without safetensors is the user's to mend, even if torch could read it."""
    import torch

    for file in random_checkpoint.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        registry.load(registry.find("judges", "qwen-s"), checkpoint=str(tmp_path))


def test_listing_judges_imports_neither_torch_nor_transformers():
    """Specs are light."""
    code = "import sys, json, dreamgen_bench.judges.transformers_vlm; print(json.dumps(list(sys.modules)))"
    modules = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"torch", "transformers"} & set(modules)


@pytest.mark.skipif(not (SHIPPED / "model.safetensors").exists(), reason="no weights in this checkout")
def test_the_shipped_weights_are_small_and_those_that_the_spec_names():
    """A change of weights is a change of revision."""
    import hashlib

    spec = registry.find("judges", "qwen-s")
    assert hashlib.sha256((SHIPPED / "model.safetensors").read_bytes()).hexdigest().startswith(spec.revision)
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 12e6
