"""VideoCon-Physics as a scorer for serve.py, in VideoPhy's own environment and with its own code and weights.

Follows entailment_inference.py of Hritikbansal/videophy at 01d366c: frames at 224x224, P(Yes) / (P(Yes) + P(No)) after
its own question about physical laws; the prompt that it is sent is not used. README.md says how to start it, and that
it has not been run with the real weights here.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

LENGTH = 256


def load(checkpoint: str, checkout: str, device: str = "cuda"):
    """The scorer of a checkpoint (videophysics/videocon_physics) and a checkout of the repository."""
    root = Path(checkout).expanduser()
    sys.path.insert(0, str(root / "videocon/training/pipeline_video"))
    import torch
    from data_utils.xgpt3_dataset import MultiModalDataset
    from mplug_owl_video.modeling_mplug_owl import MplugOwlForConditionalGeneration
    from mplug_owl_video.processing_mplug_owl import MplugOwlImageProcessor
    from PIL import Image
    from transformers.models.llama.tokenization_llama import LlamaTokenizer

    # By path: the folder above has a module of the same name, `utils`.
    prompt_physics = runpy.run_path(str(root / "utils/constants.py"))["PROMPT_PHYSICS"]
    place = str(Path(checkpoint).expanduser())
    tokenizer, images = LlamaTokenizer.from_pretrained(place), MplugOwlImageProcessor.from_pretrained(place)
    model = MplugOwlForConditionalGeneration.from_pretrained(place, torch_dtype=torch.bfloat16).to(device).eval()
    # Its dataset's tokenizing without its file and command line.
    words = SimpleNamespace(
        tokenizer=tokenizer,
        media_tokens={"<image>": -1, "<|video|>": -2},
        media_lengths={"<image>": 65, "<|video|>": 65},
    )
    text = MultiModalDataset._extract_text_token_from_conversation(words, prompt_physics, LENGTH, 0)
    yes, no = (tokenizer.encode(word, add_special_tokens=False)[0] for word in ("Yes", "No"))
    last = text["seq_length"] - 1

    def score(frames: np.ndarray, prompt: str) -> float:
        shown = [Image.fromarray(frame).resize((224, 224), Image.BICUBIC) for frame in frames]
        pixels = images(shown, return_tensors="pt")["pixel_values"]  # [N, 3, 224, 224]
        masks = {key: text[key][None].to(device) for key in ("non_padding_mask", "non_media_mask", "prompt_mask")}
        with torch.no_grad():
            logits = model(
                pixel_values=None,
                video_pixel_values=pixels.permute(1, 0, 2, 3)[None].to(device, torch.bfloat16),
                labels=None,
                num_images=torch.zeros(1, dtype=torch.long, device=device),
                num_videos=torch.ones(1, dtype=torch.long, device=device),
                input_ids=text["input_ids"][None].to(device),
                **masks,
            )["logits"]
        return float(torch.softmax(logits[0, last, [yes, no]].float(), 0)[0])

    return score
