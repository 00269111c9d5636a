"""Judges: vision-language models that answer a rubric about a video."""

from ..types import Spec

_LOAD = "dreamgen_bench.judges.transformers_vlm:load"

SPECS = [
    Spec(
        name="qwen-s",
        revision="53fd6f370a62",
        load=_LOAD,
        license="Apache-2.0",
        args={"checkpoint": "package://dreamgen_bench/weights/qwen-s"},
        summary="A Qwen2.5-VL of 4.6 million parameters, for the simulator's 64x64 videos of 17 frames only.",
        weights="shipped",
        parameters=4_609_792,
        trained_on=("metaworld-judge",),
    ),
    Spec(
        name="qwen2.5-vl-7b",
        revision="cc594898137f460bfe9f0759e9844b3ce807cfb5",
        load=_LOAD,
        license="Apache-2.0",
        args={
            "checkpoint": "Qwen/Qwen2.5-VL-7B-Instruct",
            "revision": "cc594898137f460bfe9f0759e9844b3ce807cfb5",
            "dtype": "bfloat16",
            "batch_size": 4,
            # Smaller frames are enlarged: at 64x64 the model would see four tokens a frame.
            "min_pixels": 224 * 224,
        },
        summary="Qwen2.5-VL 7B Instruct, zero-shot: the judge of the robot track.",
        weights="hub",
        parameters=8_292_166_656,
        paper="https://arxiv.org/abs/2502.13923",
    ),
]
