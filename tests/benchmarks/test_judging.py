"""Our judging path against the official pattern, on the same videos, frames, model and machine.

    python -m pytest tests/benchmarks/test_judging.py --benchmark-only -s        # 64 videos of 93 frames, 432x768
    DREAMGEN_BENCH_VIDEOS=8 ... a smaller sample; DREAMGEN_BENCH_DEVICE=cuda ... on a GPU

The official pattern (GR00T-Dreams, dreamgenbench/): one script for instruction following and one for physics, each
loads the model, takes one video at a time, fetches each of 49 frames by a seek of its own, and asks one question. What
speaks for it here: nothing is generated, where its scripts generate four tokens, and frames are resized by our code.
Ours is `judge.run` as it is: each video decoded once for both questions, while others are asked about; the model reads
each video once and both questions after it, in batches; every answer is written. Its decoding runs beside its asking,
so the seconds of its parts overlap; those of the whole are of the clock.
"""

import os
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from dreamgen_bench import judge
from dreamgen_bench.judges.transformers_vlm import load
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import Judgment, Rubric, Spec, Task, Video, VideoRecord

VIDEOS = int(os.environ.get("DREAMGEN_BENCH_VIDEOS", "64"))
DEVICE = os.environ.get("DREAMGEN_BENCH_DEVICE", "cpu")
FRAMES, HEIGHT, WIDTH, FPS = 93, 432, 768, 16
ASKED = {"options": {"1": 1.0, "0": 0.0}, "num_frames": 49, "scale": 0.3, "digest": "d"}
RUBRICS = [
    Rubric(name="if", score="IF", prompt='is "{instruction}" done? answer 1 or 0.', **ASKED),
    Rubric(name="pa", score="PA", prompt="is this real? answer 1 or 0.", **ASKED),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A Qwen2.5-VL with its own patches of 14 pixels and two frames, small and untrained."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    folder = tmp_path_factory.mktemp("judge")
    special = (
        "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>".split()
    )
    words = [*special, "[UNK]", *"1 0 is this done real answer or . ? user assistant".split()]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    chat = "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'] }}<|im_end|>{% endfor %}"
    chat += "<|im_start|>assistant"
    PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token=special[0], eos_token=special[2],
        additional_special_tokens=special[1:], chat_template=chat,
    ).save_pretrained(folder)  # fmt: skip
    Qwen2VLImageProcessorPil(patch_size=14, temporal_patch_size=2, merge_size=2).save_pretrained(folder)
    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [8, 12, 12]}
    text = {
        "vocab_size": len(words), "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_parameters": rope, "bos_token_id": 0,
        "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    vision = {
        "depth": 4, "hidden_size": 128, "intermediate_size": 256, "num_heads": 4, "patch_size": 14,
        "out_hidden_size": 256, "fullatt_block_indexes": [3],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        vision_config=vision, text_config=text, image_token_id=5, video_token_id=6, vision_start_token_id=3,
        vision_end_token_id=4,
    )  # fmt: skip
    model = Qwen2_5_VLForConditionalGeneration(config)
    said = words.index("1"), words.index("0")
    with torch.no_grad():  # one of the two, as a judge that knows its task: else each answer would be spoken to its end
        row = model.lm_head.weight[said[0]].clone()
        model.lm_head.weight.zero_()
        model.lm_head.weight[said[0]], model.lm_head.weight[said[1]] = row, -row
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Videos with motion and texture, as x264 writes them with its own settings: a key frame every 250."""
    out = tmp_path_factory.mktemp("run")
    records, tasks = [], {}
    rng = np.random.default_rng(0)
    for number in range(VIDEOS):
        ground = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8 + FRAMES, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        path = out / f"{number}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
            for t in range(FRAMES):
                frame = np.ascontiguousarray(ground[:, 4 * t : 4 * t + WIDTH])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        fields = {"suite": "s", "suite_digest": "", "task": str(number), "model": "m", "revision": "1", "seed": 0}
        records.append(VideoRecord(key=str(number), status="ok", file=path.name, sha256=str(number), **fields))
        tasks["s", str(number)] = Task(
            id=str(number), suite="s", instruction=f"this {number % 7}", first_frame=Path(), num_frames=FRAMES, fps=FPS
        )
    return out, records, tasks


def official(clips, checkpoint):
    """Answers and seconds by part, the official way."""
    out, records, tasks = clips
    spent, answers = Counter(), {}
    for rubric in RUBRICS:
        started = time.perf_counter()
        model = load(str(checkpoint), batch_size=1, device=DEVICE)
        spent["load"] += time.perf_counter() - started
        for record in records:
            started = time.perf_counter()
            frames = sought(out / record.file, np.linspace(0, FRAMES - 1, 49).round().astype(int))
            spent["decode"] += time.perf_counter() - started
            started = time.perf_counter()
            # The frames are chosen already: the rubric's 49 of these 49, at the rate that it would have told.
            video = Video(frames=frames, fps=FPS * 48 / (FRAMES - 1))
            asked = judge.question(video, tasks[record.suite, record.task], rubric)
            [reply] = model.ask([asked])
            spent["ask"] += time.perf_counter() - started
            answers[record.key, rubric.name] = judge.probability(reply, rubric.options)
    return answers, spent


def sought(path, places):
    """Frames of a video, each by a seek to the key frame before it, uint8 [N, H, W, 3]."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for place in places:
            wanted = int(place / FPS / stream.time_base)
            container.seek(wanted, stream=stream, backward=True)
            frame = next(f for f in container.decode(stream) if f.pts >= wanted)
            found.append(frame.to_ndarray(format="rgb24"))
    return np.stack(found)


def ours(clips, checkpoint, monkeypatch, out):
    """Answers, seconds by part and seconds of the clock, by `judge.run`."""
    folder, records, tasks = clips
    spent = Counter()

    def timed(name, function):
        def run(*args, **kwargs):
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - started

        return run

    monkeypatch.setattr(judge, "read", timed("decode", judge.read))
    spec = Spec(name="j", revision="1", load="x:y", license="x")
    for record in records:
        (out / record.file).symlink_to(folder / record.file)
    made = timed("load", lambda: load(str(checkpoint), batch_size=16, device=DEVICE))

    def make():
        model = made()
        model._replies = timed("ask", model._replies)
        return model

    started = time.perf_counter()
    judge.run(records, tasks, spec, make, rubrics=RUBRICS, out=out)
    clock = time.perf_counter() - started
    judged = RecordFile(out / "judgments.jsonl", Judgment).read().values()
    return {(j.video, j.rubric): j.probability for j in judged}, spent, clock


def test_throughput_against_the_official_pattern(benchmark, clips, checkpoint, tmp_path, monkeypatch):
    """Prints the ratio and its parts; asserts that both give the same answers, and no time."""
    theirs, before = official(clips, checkpoint)
    given = clips, checkpoint, monkeypatch, tmp_path
    answers, after, clock = benchmark.pedantic(ours, args=given, rounds=1, iterations=1)
    assert answers.keys() == theirs.keys()
    assert [answers[key] for key in theirs] == pytest.approx(list(theirs.values()), abs=2e-3)
    print(f"\n{VIDEOS} videos of {FRAMES} frames, {HEIGHT}x{WIDTH}, two questions each, on {DEVICE}; seconds")
    for part in ("load", "decode", "ask"):
        print(f"{part:>8}: official {before[part]:8.2f}   ours {after[part]:8.2f}   {before[part] / after[part]:6.2f}x")
    whole = before.total(), clock
    print(f"{'all':>8}: official {whole[0]:8.2f}   ours {whole[1]:8.2f}   {whole[0] / whole[1]:6.2f}x")
