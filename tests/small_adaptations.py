"""Data folders, small models and quick recipes to adapt."""

import inspect
import json

import numpy as np
import yaml

from dreamgen_bench import registry
from dreamgen_bench.adapt import chosen, clips
from dreamgen_bench.testing import toy_suite
from dreamgen_bench.types import Video
from dreamgen_bench.video import encode
from dreamgen_bench.world_models.card import said
from dreamgen_bench.world_models.machine import pipeline_class

KINDS = {
    "2.1": "wan2.1-i2v-14b-480p",
    "2.2-5b": "wan2.2-ti2v-5b",
    "skyreels": "skyreels-v2-i2v-14b-540p",
    "cogvideox": "cogvideox-5b-i2v",
    "cogvideox1.5": "cogvideox1.5-5b-i2v",
    "hunyuan": "hunyuanvideo-i2v",
    "hunyuan1.5": "hunyuanvideo1.5-i2v-480p",
    "ltx": "ltx-video-2b",
    "cosmos2": "cosmos-predict2-2b",
    "cosmos2.5": "cosmos-predict2.5-2b",
}
GIVEN = {"2.2-5b", "hunyuan", "ltx", "cosmos2", "cosmos2.5"}
"""Kinds whose first latent frame is given: nothing is learnt of it."""
THUDM = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
OWN = {
    # No fixed head of the prompt, as many words as the picture needs.
    "hunyuan": {
        "call": {
            "prompt_template": {
                "template": "{}", "crop_start": 0, "image_emb_len": 49, "image_emb_start": 5, "image_emb_end": 54,
            },
            "max_sequence_length": 64,
        },
    },
    # What the schedulers of THUDM's checkpoints say.
    "cogvideox": {"config": {"scheduler": THUDM}},
    "cogvideox1.5": {"config": {"scheduler": THUDM}},
    "cosmos2.5": {"config": {"scheduler": {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}}},
}  # fmt: skip
"""What a kind's small card says beside what all say."""


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


def small_cards(root):
    """Kind -> a card's file, of that card's pipeline class built small."""
    import diffusers
    import tiny_pipelines
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()

    def card(kind, **changes):
        name = KINDS.get(kind, kind)
        if not (root / name).is_dir():
            tiny_pipelines.saved(name, root / name)
        special = OWN.get(kind, {})
        call = {"num_inference_steps": 2, "guidance_scale": 1.0, "max_sequence_length": 16} | special.get("call", {})
        takes = inspect.signature(
            pipeline_class(registry.find("world_models", name).args["pipeline"]).__call__
        ).parameters
        call = {key: value for key, value in call.items() if key in takes}
        small = {"device": "cpu", "dtype": "float32", "offload": "none", "memory_gib": 0.0, "tiling": False}
        size = {"width": 32, "height": 32, "num_frames": 9, "fps": 8, "call": call, "packages": []}
        size["config"] = special.get("config", {})
        text = said(registry.find("world_models", name)) | small | size
        path = root / f"tiny-{kind}.yaml"
        own = {"name": path.stem, "checkpoint": f"./{name}", "group": "trained", "weights": "recipe"}
        path.write_text(yaml.safe_dump(text | own | changes))
        return registry.find("world_models", str(path))

    return card


def recipe(**changes):
    """Six quick steps."""
    return chosen("dreamgen-lora", **{"steps": 6, "batch": 2, "save_every": 1, "rate": 1e-2} | changes)


def task_of(folder):
    """A task of as many frames as the small cards make."""
    return toy_suite(folder / "toy", tasks=1, size=32, num_frames=9).tasks[0]


def dreamed(spec, task, **changes):
    """One video's frames."""
    return next(iter(registry.load(spec, **changes).generate([task], seed=0))).frames


def learnt(out):
    """The bytes of the transformer's weights, or of its changes."""
    folder = out / "lora" if (out / "lora").is_dir() else out / "pipeline/transformer"
    return [path.read_bytes() for path in folder.glob("*.safetensors")]
