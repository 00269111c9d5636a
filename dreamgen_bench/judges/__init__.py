"""Judges: models that answer a rubric about a video. One file an adapter; a card of the user's needs no code."""

from ..types import Spec
from . import constant
from .cards import ADAPTERS, from_file

__all__ = ["SPECS", "from_file"]

_LOAD = "dreamgen_bench.judges.transformers_vlm:load"

_SIMULATOR = "the simulator's 64x64 videos of 17 frames"
SPECS = [
    *constant.SPECS,
    Spec(
        name="qwen-s",
        revision="258d14bb1c95",
        load=_LOAD,
        license="Apache-2.0",
        args={"checkpoint": "package://dreamgen_bench/weights/qwen-s"},
        summary="A Qwen2.5-VL of 4.6 million parameters, for the simulator's 64x64 videos of 17 frames only.",
        weights="shipped",
        parameters=4_609_792,
        trained_on=("metaworld-judge",),
        domain=_SIMULATOR,
    ),
    Spec(
        name="state",
        revision="e7eae040a568",
        license="Apache-2.0",
        args={"checkpoint": "package://dreamgen_bench/weights/state-judge"},
        summary="No language: where things are, seventeen laws, and how far success is; for the simulator only.",
        weights="shipped",
        parameters=1_268_189,
        trained_on=("sim-data judge", "state-judge states"),
        domain=_SIMULATOR,
        **ADAPTERS["state"],
    ),
    Spec(
        name="qwen2.5-vl-7b",
        revision="cc594898137f460bfe9f0759e9844b3ce807cfb5",
        load=_LOAD,
        license="Apache-2.0",
        args={
            "checkpoint": "Qwen/Qwen2.5-VL-7B-Instruct@cc594898137f460bfe9f0759e9844b3ce807cfb5",
            "dtype": "bfloat16",
            "batch_size": 4,
            # Smaller frames are enlarged: at 64x64 the model would see four tokens a frame.
            "min_pixels": 224 * 224,
        },
        summary="Qwen2.5-VL 7B Instruct, zero-shot: the judge of the robot track.",
        weights="hub",
        parameters=8_292_166_656,
        paper="https://arxiv.org/abs/2502.13923",
        unkeyed=ADAPTERS["transformers"]["unkeyed"],
    ),
    Spec(
        name="qwen3-vl-8b",
        revision="main",
        license="Apache-2.0",
        args={
            "checkpoint": "Qwen/Qwen3-VL-8B-Instruct",
            "dtype": "bfloat16",
            "batch_size": 4,
            "device": "auto",
            "min_pixels": 224 * 224,
        },
        summary="Qwen3-VL 8B Instruct, zero-shot; the revision is the hub's latest: pin it in a card for publication.",
        weights="hub",
        paper="https://arxiv.org/abs/2511.21631",
        **ADAPTERS["transformers"],
    ),
    Spec(
        name="gpt-4o",
        revision="2024-08-06",
        license="proprietary",
        args={
            "model": "gpt-4o-2024-08-06",
            "shown": {"detail": "low"},
            "limits": {"prices": (2.5, 10.0)},
        },
        summary="GPT-4o by its dated name, over OpenAI's API with OPENAI_API_KEY.",
        paper="https://arxiv.org/abs/2410.21276",
        **ADAPTERS["openai-compatible"],
    ),
    Spec(
        name="clip-b32",
        revision="laion2b_s34b_b79k",
        license="MIT",
        args={"model": "ViT-B-32", "weights": "laion2b_s34b_b79k"},
        summary="How far the frames move towards the instruction, by OpenCLIP ViT-B/32: a cheap judge without words.",
        weights="hub",
        parameters=151_277_313,
        trained_on=("LAION-2B",),
        paper="https://arxiv.org/abs/2212.07143",
        **ADAPTERS["open-clip"],
    ),
]
