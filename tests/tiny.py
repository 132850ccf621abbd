"""Tiny random checkpoints in the real on-disk format: sharded and indexed, bf16, the CogVideoX VAE in fp32.

The tokenizers are pocket's, which are real ones; everything else is made on the spot from a seed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from transformers import (
    AutoTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    Glm4Config,
    Glm4ForCausalLM,
    GlmConfig,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5EncoderModel,
)

import animatic

POCKET = Path(animatic.__file__).parent / "pocket"
SHARD = "40KB"
VOCABULARY = 3000  # no fewer than the tokenizers have
WIDTH, HEIGHT, FRAMES = 96, 64, 9


def flux(folder: Path, *, guidance: bool) -> Path:
    """Like FLUX.1-dev (with guidance embeddings and a shifted schedule) or -schnell (without)."""
    torch.manual_seed(1)
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=77, projection_dim=32, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=2, num_single_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, guidance_embeds=guidance,
        axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4, latent_channels=16, norm_num_groups=4, layers_per_block=1,
        scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0 if guidance else 1.0, use_dynamic_shifting=guidance, base_shift=0.5, max_shift=1.15
        ),
        vae=vae.to(torch.bfloat16),
        text_encoder=clip.to(torch.bfloat16),
        text_encoder_2=_t5().to(torch.bfloat16),
        tokenizer=AutoTokenizer.from_pretrained(POCKET / "image/tokenizer"),
        tokenizer_2=AutoTokenizer.from_pretrained(POCKET / "image/tokenizer_2"),
        transformer=transformer.to(torch.bfloat16),
    )
    pipe.save_pretrained(folder, max_shard_size=SHARD)
    return folder


def cogvideox(folder: Path, *, newer: bool) -> Path:
    """Like CogVideoX-5B-I2V, or (newer) CogVideoX1.5-5B-I2V."""
    torch.manual_seed(2)
    differences: dict[str, Any] = (
        {"patch_size_t": 2, "patch_bias": False, "ofs_embed_dim": 16, "use_learned_positional_embeddings": False}
        if newer
        else {"use_learned_positional_embeddings": True}
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=32, out_channels=16, time_embed_dim=16,
        text_embed_dim=32, num_layers=2, sample_width=WIDTH // 8, sample_height=HEIGHT // 8, sample_frames=FRAMES,
        max_text_seq_length=24, use_rotary_positional_embeddings=True, **differences,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=16, norm_num_groups=2, layers_per_block=1,
        temporal_compression_ratio=4, scaling_factor=0.7, invert_scale_latents=newer,
        sample_height=HEIGHT, sample_width=WIDTH,
    )  # fmt: skip
    pipe = CogVideoXImageToVideoPipeline(
        tokenizer=AutoTokenizer.from_pretrained(POCKET / "video/tokenizer"),
        text_encoder=_t5().to(torch.bfloat16),
        vae=vae,
        transformer=transformer.to(torch.bfloat16),
        scheduler=CogVideoXDPMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0
        ),
    )
    pipe.save_pretrained(folder, max_shard_size=SHARD)
    return folder


def chat(folder: Path, kind: str, template: str | None = None) -> Path:
    """A causal LM of the `llama`, `glm` or `glm4` kind, with a chat template."""
    torch.manual_seed(3)
    tokenizer = AutoTokenizer.from_pretrained(POCKET / "chat")
    sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024,
        "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }  # fmt: skip
    config_class, model_class = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "glm": (GlmConfig, GlmForCausalLM),
        "glm4": (Glm4Config, Glm4ForCausalLM),
    }[kind]
    model = model_class(config_class(**sizes)).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size=SHARD)
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def copied(source: Path, folder: Path) -> Path:
    """A checkpoint to damage."""
    shutil.copytree(source, folder)
    return folder


def _t5() -> T5EncoderModel:
    sizes = {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return T5EncoderModel(T5Config(**sizes, feed_forward_proj="gated-gelu"))
