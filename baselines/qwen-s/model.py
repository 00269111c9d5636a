"""A Qwen2.5-VL of a few million parameters from nothing: tokenizer, processor, weights, and a fast way to train it.

The judge loads what `save` writes exactly as it would load Qwen2.5-VL-7B; this file only makes it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

Judge = Qwen2_5_VLForConditionalGeneration
FRAMES, SIDE, PATCH, MERGE = 17, 64, 8, 2
SPECIAL = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>".split()
MEAN, STD = 0.45, 0.25
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    """Every word of `texts` is a token; other words fall apart into the longest known pieces, at worst letters."""
    normalizer, splitter = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    words = {w for t in texts for w, _ in splitter.pre_tokenize_str(normalizer.normalize_str(t))}
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    known = [*SPECIAL, "[UNK]", *letters, *(f"##{c}" for c in letters), *sorted(words - set(letters))]
    core = Tokenizer(models.WordPiece({w: i for i, w in enumerate(known)}, unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer, core.decoder = normalizer, splitter, decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="[UNK]",
        pad_token=SPECIAL[0],
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIAL[1:],
        padding_side="left",
        chat_template=TEMPLATE,
    )


def build(tokenizer: PreTrainedTokenizerFast, *, width: int, depth: int, layers: int) -> Judge:
    """The model with fresh weights. All frames make one temporal patch, so that attention sees the whole video."""
    token = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(SPECIAL), strict=True))
    vision = {
        "depth": depth,
        "hidden_size": width,
        "intermediate_size": width * 8 // 3 // 64 * 64,
        "num_heads": width // 64 * 2,
        "patch_size": PATCH,
        "temporal_patch_size": FRAMES,
        "spatial_merge_size": MERGE,
        "window_size": SIDE,
        "out_hidden_size": width,
        "fullatt_block_indexes": list(range(depth)),
        "tokens_per_second": 1,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": width * 8 // 3 // 64 * 64,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "num_key_value_heads": width // 64,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [8, 12, 12]},
        "bos_token_id": token["<|endoftext|>"],
        "eos_token_id": token["<|im_end|>"],
        "pad_token_id": token["<|endoftext|>"],
        "use_cache": True,
    }
    config = Qwen2_5_VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=token["<|image_pad|>"],
        video_token_id=token["<|video_pad|>"],
        vision_start_token_id=token["<|vision_start|>"],
        vision_end_token_id=token["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def image_processor() -> Qwen2VLImageProcessorPil:
    """Frames of 64x64 stay as they are; others are brought to that many pixels."""
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE},
        patch_size=PATCH,
        temporal_patch_size=FRAMES,
        merge_size=MERGE,
        image_mean=[MEAN] * 3,
        image_std=[STD] * 3,
    )


def save(model: Judge, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights as float16 safetensors, with everything that AutoProcessor and AutoModel need beside them."""
    tokenizer.save_pretrained(folder)
    image_processor().save_pretrained(folder)
    saved = {key: value.half() for key, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=saved)
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    processor["processor_class"] = "Qwen2_5_VLProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def patches(frames: torch.Tensor) -> torch.Tensor:
    """uint8 [B, T, H, W, 3] to float32 [B, 64, 3 * T * 8 * 8] in Qwen's order: merge block by merge block."""
    b, t, side = frames.shape[:3]
    g = side // PATCH // MERGE
    x = frames.view(b, t, g, MERGE, PATCH, g, MERGE, PATCH, 3).permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return x.reshape(b, (side // PATCH) ** 2, -1).float().div_(255 * STD).sub_(MEAN / STD)


def see(model: Judge, pixels: torch.Tensor) -> torch.Tensor:
    """Visual tokens [B, 16, width] of `patches`: the model's own vision tower, but all videos in one attention."""
    tower = model.model.visual
    b, n, _ = pixels.shape
    x = F.linear(pixels, tower.patch_embed.proj.weight.flatten(1))
    cos, sin = _rotary(tower)
    for block in tower.blocks:
        heads = block.attn.num_heads
        q, k, v = block.attn.qkv(block.norm1(x)).view(b, n, 3, heads, -1).unbind(2)
        q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        x = x + block.attn.proj(y.transpose(1, 2).reshape(b, n, -1))
        x = x + block.mlp(block.norm2(x))
    return tower.merger(x).view(b, n // MERGE**2, -1)


def _rotary(tower: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    g = SIDE // PATCH
    order = np.arange(g * g).reshape(g // MERGE, MERGE, g // MERGE, MERGE).transpose(0, 2, 1, 3).ravel()
    return tower.rotary_pos_emb(torch.zeros(1), torch.tensor(np.stack([order // g, order % g], axis=-1)))


def answer(model: Judge, visual: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Logits [N, vocabulary] after each prompt; prompts [N, L] are padded on the right, visual is [N, 16, width]."""
    return model.lm_head(last_state(model, visual, prompts))


def last_state(model: Judge, visual: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """What the output layer sees at the end of each prompt; [N, width]."""
    embedded = model.model.language_model.embed_tokens(prompts)
    places = (prompts == model.config.video_token_id)[0].nonzero()[:, 0]  # the same in every row: the video comes first
    embedded = torch.cat([embedded[:, : places[0]], visual, embedded[:, places[-1] + 1 :]], dim=1)
    grid = torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]])
    kinds = (prompts[:1] == model.config.video_token_id).int() * 2
    positions, _ = model.model.get_rope_index(prompts[:1], kinds, video_grid_thw=grid)
    hidden = model.model.language_model(
        inputs_embeds=embedded, position_ids=positions.expand(3, len(prompts), -1), use_cache=False
    ).last_hidden_state
    # Causal attention never sees the padding on the right.
    last = (prompts != model.config.text_config.pad_token_id).sum(1) - 1
    return hidden[torch.arange(len(prompts)), last]
