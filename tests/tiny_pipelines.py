"""The real pipelines of diffusers built small, with random weights, as diffusers' own tests build theirs.

One function for each pipeline class; its keywords are the kinds that checkpoints of the class come in. Tokenizers and
text encoders are made here, so nothing is downloaded. `BUILDERS` names the one that stands for a card's checkpoint.
"""

from functools import partial

import torch
import transformers as tf
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    AutoencoderKLLTXVideo,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
    Cosmos2_5_PredictBasePipeline,
    Cosmos2VideoToWorldPipeline,
    CosmosTransformer3DModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15ImageToVideoPipeline,
    HunyuanVideo15Transformer3DModel,
    HunyuanVideoImageToVideoPipeline,
    HunyuanVideoTransformer3DModel,
    LTX2ImageToVideoPipeline,
    LTX2VideoTransformer3DModel,
    LTXImageToVideoPipeline,
    LTXVideoTransformer3DModel,
    SkyReelsV2DiffusionForcingImageToVideoPipeline,
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Transformer3DModel,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from diffusers.configuration_utils import ConfigMixin
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from tokenizers import Tokenizer, models, pre_tokenizers

VOCABULARY = ("<pad>", "</s>", "<unk>", "<s>", "do", "thing", "open", "the", "drawer", "0", "1", "2")
# The pipelines cut off the fixed head of Qwen's template, 108 tokens; as many words stand for it.
_FLOW = {"flow_shift": 8.0, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_CHAT = "{% for m in messages if m['role'] == 'user' %}{{ m['content'][0]['text'] }}{% endfor %}"
_CHAT_WITH_HEAD = "{{ 'the ' * 108 }}{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"


def words(**settings):
    """A tokenizer of whole words."""
    raw = Tokenizer(models.WordLevel({word: n for n, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", **settings
    )


def _t5(cls=tf.T5EncoderModel, config=tf.T5Config, width=32):
    settings = config(vocab_size=16, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return cls(settings).eval()


def _clip_vision(width=4, side=32, projection=True):
    config = tf.CLIPVisionConfig(
        hidden_size=width, projection_dim=width, num_hidden_layers=2, num_attention_heads=2, image_size=side,
        intermediate_size=16, patch_size=side // 4,
    )  # fmt: skip
    return (tf.CLIPVisionModelWithProjection if projection else tf.CLIPVisionModel)(config).eval()


def _clip_processor(side=32):
    return tf.CLIPImageProcessor(crop_size=side, size=side)


def _wan_vae(**settings):
    return AutoencoderKLWan(
        **{"base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
           "temperal_downsample": [False, True, True], **settings}
    ).eval()  # fmt: skip


def _wan_transformer(cls=WanTransformer3DModel, *, channels=36, out=16, image_dim=None):
    return cls(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=out,
        text_dim=32, freq_dim=32, ffn_dim=32, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32, image_dim=image_dim,
    ).eval()  # fmt: skip


def wan(*, kind):
    """Wan 2.1 (sees the image through CLIP too), Wan 2.2 A14B (two experts), Wan 2.2 5B (first latent kept clean)."""
    text = {"tokenizer": words(), "text_encoder": _t5(tf.UMT5EncoderModel, tf.UMT5Config)}
    flow = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    if kind == "2.1":
        return WanImageToVideoPipeline(
            **text, vae=_wan_vae(), scheduler=flow, transformer=_wan_transformer(image_dim=4),
            image_encoder=_clip_vision(projection=False), image_processor=_clip_processor(),
        )  # fmt: skip
    if kind == "2.2-a14b":
        return WanImageToVideoPipeline(
            **text, vae=_wan_vae(), scheduler=flow, transformer=_wan_transformer(), transformer_2=_wan_transformer(),
            boundary_ratio=0.9,
        )  # fmt: skip
    vae = _wan_vae(
        z_dim=48, in_channels=12, out_channels=12, is_residual=True, patch_size=2, latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48, scale_factor_spatial=16, scale_factor_temporal=4,
    )  # fmt: skip
    return WanImageToVideoPipeline(
        **text, vae=vae, scheduler=flow, transformer=_wan_transformer(channels=48, out=48), expand_timesteps=True
    )


def skyreels():
    """SkyReels V2 image-to-video."""
    return SkyReelsV2ImageToVideoPipeline(
        tokenizer=words(), text_encoder=_t5(), vae=_wan_vae(), image_encoder=_clip_vision(),
        image_processor=_clip_processor(), scheduler=UniPCMultistepScheduler(**_FLOW),
        transformer=_wan_transformer(SkyReelsV2Transformer3DModel, image_dim=4),
    )  # fmt: skip


def skyreels_diffusion_forcing():
    """SkyReels V2 diffusion forcing from an image."""
    return SkyReelsV2DiffusionForcingImageToVideoPipeline(
        tokenizer=words(), text_encoder=_t5(), vae=_wan_vae(),
        scheduler=UniPCMultistepScheduler(**_FLOW),
        transformer=_wan_transformer(SkyReelsV2Transformer3DModel, channels=16, image_dim=4),
    )  # fmt: skip


def cogvideox(*, kind):
    """CogVideoX, and 1.5 with its patches in time."""
    new = {"patch_size_t": 2, "ofs_embed_dim": 4, "use_learned_positional_embeddings": False, "patch_bias": False}
    old = {"use_learned_positional_embeddings": True}
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4, time_embed_dim=4,
        text_embed_dim=32, num_layers=1, sample_width=4, sample_height=4, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=16, use_rotary_positional_embeddings=True,
        **(new if kind == "1.5" else old),
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        in_channels=3, out_channels=3, down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4, block_out_channels=(8, 8, 8, 8), latent_channels=4,
        layers_per_block=1, norm_num_groups=2, temporal_compression_ratio=4,
    )  # fmt: skip
    return CogVideoXImageToVideoPipeline(
        tokenizer=words(), text_encoder=_t5(), vae=vae.eval(), transformer=transformer.eval(),
        scheduler=CogVideoXDDIMScheduler(),
    )  # fmt: skip


def hunyuan():
    """HunyuanVideo, whose text encoder sees the image."""
    transformer = HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1, num_single_layers=1,
        num_refiner_layers=1, patch_size=1, patch_size_t=1, guidance_embeds=True, text_embed_dim=16,
        pooled_projection_dim=8, rope_axes_dim=(2, 4, 4), image_condition_type="token_replace",
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo(
        in_channels=3, out_channels=3, latent_channels=4, down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4, block_out_channels=(8, 8, 8, 8), layers_per_block=1,
        norm_num_groups=4, scaling_factor=0.476986, spatial_compression_ratio=8, temporal_compression_ratio=4,
        mid_block_add_attention=True,
    )  # fmt: skip
    text = tf.LlamaConfig(
        bos_token_id=0, eos_token_id=2, hidden_size=16, intermediate_size=37, num_attention_heads=4,
        num_hidden_layers=3, pad_token_id=100, vocab_size=128,
    )  # fmt: skip
    vision = tf.CLIPVisionConfig(
        hidden_size=8, intermediate_size=37, projection_dim=32, num_attention_heads=4, num_hidden_layers=2,
        image_size=224, patch_size=32,
    )  # fmt: skip
    clip = tf.CLIPTextConfig(
        bos_token_id=0, eos_token_id=1, hidden_size=8, intermediate_size=37, num_attention_heads=4,
        num_hidden_layers=2, pad_token_id=0, vocab_size=128, projection_dim=32,
    )  # fmt: skip
    llava = tf.LlavaConfig(vision_config=vision, text_config=text, pad_token_id=100, image_token_index=101)
    return HunyuanVideoImageToVideoPipeline(
        text_encoder=tf.LlavaForConditionalGeneration(llava).eval(), tokenizer=words(), transformer=transformer.eval(),
        vae=vae.eval(), scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=tf.CLIPTextModel(clip).eval(), tokenizer_2=words(model_max_length=77),
        image_processor=_clip_processor(224),
    )  # fmt: skip


def hunyuan15():
    """HunyuanVideo 1.5: Qwen for the text, SigLIP for the image, guidance in a component of its own."""
    transformer = HunyuanVideo15Transformer3DModel(
        in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1, num_refiner_layers=1,
        mlp_ratio=2.0, patch_size=1, patch_size_t=1, text_embed_dim=16, text_embed_2_dim=32, image_embed_dim=12,
        rope_axes_dim=(2, 2, 4), target_size=32, task_type="i2v",
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo15(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(16, 16), layers_per_block=1,
        spatial_compression_ratio=4, temporal_compression_ratio=2, downsample_match_channel=False,
        upsample_match_channel=False,
    )  # fmt: skip
    qwen = tf.Qwen2_5_VLTextConfig(
        vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=2, rope_theta=1000000.0, initializer_range=2.0,
        rope_scaling={"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
    )  # fmt: skip
    siglip = tf.SiglipVisionConfig(
        hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=27, patch_size=1
    )
    return HunyuanVideo15ImageToVideoPipeline(
        text_encoder=tf.Qwen2_5_VLTextModel(qwen).eval(), tokenizer=words(chat_template=_CHAT_WITH_HEAD),
        transformer=transformer.eval(), vae=vae.eval(), scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=_t5(), tokenizer_2=tf.ByT5Tokenizer(), guider=ClassifierFreeGuidance(guidance_scale=1.0),
        image_encoder=tf.SiglipVisionModel(siglip).eval(),
        feature_extractor=tf.SiglipImageProcessor(size={"height": 27, "width": 27}),
    )  # fmt: skip


def ltx():
    """LTX-Video."""
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4, attention_head_dim=8,
        cross_attention_dim=32, num_layers=1, caption_channels=32,
    )  # fmt: skip
    vae = AutoencoderKLLTXVideo(
        in_channels=3, out_channels=3, latent_channels=8, block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8), layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
        timestep_conditioning=False, patch_size=1, patch_size_t=1, encoder_causal=True, decoder_causal=False,
    )  # fmt: skip
    return LTXImageToVideoPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae.eval(), text_encoder=_t5(), tokenizer=words(),
        transformer=transformer.eval(),
    )  # fmt: skip


def ltx2():
    """LTX-2, which makes sound too."""
    gemma = tf.Gemma3Config(
        text_config={
            "vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "head_dim": 8,
            "num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1,
        },
        vision_config={
            "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 16, "patch_size": 8,
        },
        mm_tokens_per_image=4, boi_token_index=29, eoi_token_index=30, image_token_index=31,
    )  # fmt: skip
    transformer = LTX2VideoTransformer3DModel(
        in_channels=4, out_channels=4, patch_size=1, patch_size_t=1, num_attention_heads=2, attention_head_dim=8,
        cross_attention_dim=16, audio_in_channels=4, audio_out_channels=4, audio_num_attention_heads=2,
        audio_attention_head_dim=4, audio_cross_attention_dim=8, num_layers=2, qk_norm="rms_norm_across_heads",
        caption_channels=16, rope_double_precision=False, rope_type="split",
    )  # fmt: skip
    heads = {
        f"{kind}_connector_{key}": value
        for kind in ("video", "audio")
        for key, value in (("num_attention_heads", 2), ("attention_head_dim", 8), ("num_layers", 1))
    }
    connectors = LTX2TextConnectors(
        caption_channels=16, text_proj_in_factor=3, **heads, video_connector_num_learnable_registers=None,
        audio_connector_num_learnable_registers=None, connector_rope_base_seq_len=32, rope_theta=10000.0,
        rope_double_precision=False, causal_temporal_positioning=False, rope_type="split",
    )  # fmt: skip
    vae = AutoencoderKLLTX2Video(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8,), decoder_block_out_channels=(8,),
        layers_per_block=(1,), decoder_layers_per_block=(1, 1), spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,), decoder_inject_noise=(False, False), downsample_type=("spatial",),
        upsample_residual=(False,), upsample_factor=(1,), timestep_conditioning=False, patch_size=1, patch_size_t=1,
        encoder_causal=True, decoder_causal=False,
    )  # fmt: skip
    audio = AutoencoderKLLTX2Audio(
        base_channels=4, output_channels=2, ch_mult=(1,), num_res_blocks=1, attn_resolutions=None, in_channels=2,
        resolution=32, latent_channels=2, norm_type="pixel", causality_axis="height", dropout=0.0,
        mid_block_add_attention=False, sample_rate=16000, mel_hop_length=160, is_causal=True, mel_bins=8,
    )  # fmt: skip
    vocoder = LTX2Vocoder(
        in_channels=16, hidden_channels=32, out_channels=2, upsample_kernel_sizes=[4, 4], upsample_factors=[2, 2],
        resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]], leaky_relu_negative_slope=0.1,
        output_sampling_rate=16000,
    )  # fmt: skip
    return LTX2ImageToVideoPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae.eval(), audio_vae=audio.eval(),
        text_encoder=tf.Gemma3ForConditionalGeneration(gemma).eval(), tokenizer=words(), connectors=connectors.eval(),
        transformer=transformer.eval(), vocoder=vocoder.eval(),
    )  # fmt: skip


def stable_video():
    """Stable Video Diffusion, which reads no text."""
    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=8, out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=32,
        num_attention_heads=8, projection_class_embeddings_input_dim=96, addition_time_embed_dim=32,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        sigma_max=700.0, sigma_min=0.002, steps_offset=1, timestep_spacing="leading", timestep_type="continuous",
        use_karras_sigmas=True,
    )  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=[32, 64], in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 2,
        latent_channels=4,
    )  # fmt: skip
    return StableVideoDiffusionPipeline(
        vae=vae.eval(), image_encoder=_clip_vision(32, side=224), unet=unet.eval(), scheduler=scheduler,
        feature_extractor=_clip_processor(224),
    )  # fmt: skip


class Guardrail(ModelMixin, ConfigMixin):
    """Stands for NVIDIA's guardrail (cosmos_guardrail), whose weights are far too large for a test: all is safe."""

    def __init__(self):
        super().__init__()
        self.register_buffer("place", torch.zeros(1), persistent=False)

    def check_text_safety(self, prompt):
        return True

    def check_video_safety(self, frames):
        return frames


def _cosmos_parts(text_width=32):
    transformer = CosmosTransformer3DModel(
        in_channels=17, out_channels=16, num_attention_heads=2, attention_head_dim=16, num_layers=2, mlp_ratio=2,
        text_embed_dim=text_width, adaln_lora_dim=4, max_size=(4, 32, 32), patch_size=(1, 2, 2),
        rope_scale=(2.0, 1.0, 1.0), concat_padding_mask=True, extra_pos_embed_type="learnable",
    )  # fmt: skip
    return {"transformer": transformer.eval(), "vae": _wan_vae(), "safety_checker": Guardrail()}


def cosmos2():
    """Cosmos-Predict2 Video2World."""
    return Cosmos2VideoToWorldPipeline(
        **_cosmos_parts(), text_encoder=_t5(), tokenizer=words(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
    )  # fmt: skip


def cosmos25():
    """Cosmos-Predict2.5, with all layers of a Qwen for the text."""
    qwen = tf.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 16, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "rope_theta": 1000000.0,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
        },
        vision_end_token_id=15, vision_start_token_id=14, vision_token_id=13, image_token_id=12, video_token_id=12,
    )  # fmt: skip
    return Cosmos2_5_PredictBasePipeline(
        **_cosmos_parts(), text_encoder=tf.Qwen2_5_VLForConditionalGeneration(qwen).eval(),
        tokenizer=words(chat_template=_CHAT), scheduler=UniPCMultistepScheduler(),
    )  # fmt: skip


BUILDERS = {
    "cogvideox-5b-i2v": partial(cogvideox, kind="1.0"),
    "cogvideox1.5-5b-i2v": partial(cogvideox, kind="1.5"),
    "cosmos-predict2-14b": cosmos2,
    "cosmos-predict2-14b-droid": cosmos2,
    "cosmos-predict2-14b-gr1": cosmos2,
    "cosmos-predict2-2b": cosmos2,
    "cosmos-predict2.5-2b": cosmos25,
    "hunyuanvideo-i2v": hunyuan,
    "hunyuanvideo1.5-i2v-480p": hunyuan15,
    "ltx-2-19b": ltx2,
    "ltx-video-2b": ltx,
    "skyreels-v2-df-1.3b-540p": skyreels_diffusion_forcing,
    "skyreels-v2-i2v-1.3b-540p": skyreels,
    "skyreels-v2-i2v-14b-540p": skyreels,
    "svd-xt": stable_video,
    "wan2.1-i2v-14b-480p": partial(wan, kind="2.1"),
    "wan2.1-i2v-14b-720p": partial(wan, kind="2.1"),
    "wan2.2-i2v-a14b": partial(wan, kind="2.2-a14b"),
    "wan2.2-ti2v-5b": partial(wan, kind="2.2-5b"),
}


def saved(name, folder):
    """The pipeline that stands for a card's checkpoint, as its makers save theirs; the folder."""
    torch.manual_seed(0)
    pipeline = BUILDERS[name]()
    if "safety_checker" in pipeline.components:
        pipeline.register_modules(safety_checker=None)  # as in NVIDIA's checkpoints: made by the class itself
    pipeline.save_pretrained(folder)
    return folder
