"""Closed forms against the models themselves: elements of every tensor, counted FLOPs, activations that live.

On the meta device the true sizes run in moments and take no memory. Attention is made fused there, as it is on CUDA
and on the CPU (`fused`): by itself the meta device would take the plain formula, which keeps a matrix of scores.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    CLIPTextConfig,
    CLIPTextModel,
    T5Config,
    T5EncoderModel,
    TopPLogitsWarper,
)

from animatic import catalog
from animatic.cost import Cost, Size, cost, size
from animatic.cost.chat import generate
from animatic.cost.texts import CLIP_TOKENS
from animatic.errors import PresetError, WeightsError
from animatic.live import LiveBytes
from animatic.models import cogvideox, flux
from animatic.options import resolve
from animatic.spec import BLOCKS, DTYPES, MODULATION, ModelSpec
from tests import tiny

PRESETS = ("flux-cogvideox", "glm-cogvideox", "flux-cogvideox15", "open", "small", "pocket")
Config = Mapping[str, Any]
FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def build(family: str, part: str, config: Config, dtype: torch.dtype = torch.bfloat16) -> torch.nn.Module:
    """The real module, without memory."""
    plain = {key: value for key, value in config.items() if not key.startswith("_")}
    with torch.device("meta"):
        match family, part:
            case "chat", "llm":
                kind = plain.pop("model_type")
                module = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **plain))
            case "flux", "text_encoder":
                module = CLIPTextModel(CLIPTextConfig(**plain))
            case _, "text_encoder" | "text_encoder_2":
                module = T5EncoderModel(T5Config(**plain))
            case "flux", "transformer":
                module = FluxTransformer2DModel(**plain)
            case "cogvideox", "transformer":
                module = CogVideoXTransformer3DModel(**plain)
            case "flux", "vae":
                levels = len(plain["block_out_channels"])
                module = AutoencoderKL(
                    **{"down_block_types": ["DownEncoderBlock2D"] * levels,
                       "up_block_types": ["UpDecoderBlock2D"] * levels} | plain
                )  # fmt: skip
            case _:
                module = AutoencoderKLCogVideoX(**plain)
    return module.to(dtype).eval().requires_grad_(False)


def attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Two products for every pair of query and key, in every head of the queries."""
    batch, heads, n, width = query
    return 2 * batch * heads * n * key[2] * (width + value[3])


@contextmanager
def fused() -> Iterator[None]:
    """Attention by the kernel that the CPU takes, which keeps no scores, also on the meta device."""

    def attention(
        query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        del enable_gqa  # The kernel repeats the heads of keys by itself.
        return FUSED(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]

    with patch("torch.nn.functional.scaled_dot_product_attention", attention):
        yield


def measured(run: Callable[[], Any]) -> tuple[int, int]:
    """FLOPs, and the most bytes alive."""
    counter = FlopCounterMode(display=False, custom_mapping={FUSED: attention_flops})
    live = LiveBytes()
    with torch.no_grad(), fused(), counter, live:
        run()
    return counter.get_total_flops(), live.peak


def agrees(known: Cost, run: Callable[[], Any], runs: int = 1, flops_within: float = 0.02) -> None:
    """The closed form is within 2 % of the FLOPs of `runs` runs, and within 15 % of the bytes."""
    flops, peak = measured(run)
    assert known.flops == pytest.approx(runs * flops, rel=flops_within)
    assert known.workspace == pytest.approx(peak, rel=0.15)


def made(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


@lru_cache
def known(preset: str, stage: str) -> tuple[ModelSpec, Mapping[str, Config]]:
    spec = catalog.preset(preset).models[stage]  # type: ignore[index]
    return spec, catalog.configs(spec)


def options(preset: str, **changed: Any) -> dict[str, Any]:
    """The resolved options of a shot. `__` stands for the dot."""
    own = resolve(catalog.preset(preset).options, {name.replace("__", "."): value for name, value in changed.items()})
    for side in ("width", "height"):
        own[f"image.{side}"] = own[f"image.{side}"] or own[f"video.{side}"]
    return own


# ----------------------------------------------------------------------------------------------------------- sizes


def same(family: str, part: str, config: Config) -> None:
    module = build(family, part, config)
    found = counted(family, part, module)
    assert size(family, part, config) == found


def counted(family: str, part: str, module: torch.nn.Module) -> Size:
    """A module's size by its tensors, each once."""
    parameters = dict(module.named_parameters())
    stored = module.state_dict(keep_vars=True).values()
    buffers = sum(t.numel() for t in stored if not isinstance(t, torch.nn.Parameter))
    pattern = MODULATION.get(family) if part == "transformer" else None

    def adaptive(tensors: Mapping[str, torch.Tensor], prefix: str = "") -> int:
        return sum(t.numel() for name, t in tensors.items() if pattern and pattern.match(prefix + name))

    blocks, modulated = [], []
    for prefix in BLOCKS[family].get(part, ()):
        for number, block in enumerate(module.get_submodule(prefix)):  # type: ignore[arg-type]
            tensors = dict(block.named_parameters())
            modulated.append(adaptive(tensors, f"{prefix}.{number}."))
            blocks.append(sum(t.numel() for t in tensors.values()) - modulated[-1])
    total = sum(t.numel() for t in parameters.values())
    return Size(total, adaptive(parameters), tuple(blocks), tuple(modulated), buffers)


@pytest.mark.parametrize("preset", PRESETS)
def test_sizes_are_those_of_the_real_modules_and_of_the_presets(preset: str) -> None:
    for spec in catalog.preset(preset).models.values():
        for part, config in catalog.configs(spec).items():
            known = size(spec.family, part, config)
            assert spec.components[part] == (known.parameters + known.buffers) * DTYPES[spec.dtype]
            same(spec.family, part, config)


def test_a_model_s_files_say_better_than_the_preset_what_it_is(tmp_path: Path) -> None:
    spec = replace(catalog.preset("flux-cogvideox").models["refine"], repo=str(tmp_path))
    assert catalog.configs(spec)["llm"] == spec.config["llm"], "nothing is there"
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 64, "eos_token_id": 2}))
    assert catalog.configs(spec)["llm"] == spec.config["llm"], "not whole"
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    assert catalog.configs(spec)["llm"] == {**spec.config["llm"], "hidden_size": 64, "eos_token_id": 2}
    (tmp_path / "config.json").write_text("{")
    assert catalog.configs(spec)["llm"] == spec.config["llm"], "damaged: whoever loads it says so"


def test_another_model_inherits_no_configuration() -> None:
    assert catalog.preset("glm-cogvideox").models["refine"].config["llm"]["model_type"] == "glm4"
    file = catalog.user_folder() / "presets/mine.toml"
    file.parent.mkdir(parents=True)
    file.write_text('extends = "flux-cogvideox"\n[refine]\nrepo = "me/other"\n')
    assert not catalog.preset("mine").models["refine"].config
    file.write_text('extends = "flux-cogvideox"\n[video.config.vea]\nlatent_channels = 3\n')
    with pytest.raises(PresetError, match=r"unknown key 'video\.config\.vea': did you mean 'vae'"):
        catalog.preset("mine")


def test_a_block_with_and_without_its_modulation() -> None:
    known = size("flux", "transformer", catalog.preset("flux-cogvideox").models["image"].config["transformer"])
    assert len(known.blocks) == 19 + 38
    assert known.whole_blocks[0] == pytest.approx(339.8e6, rel=1e-3)
    assert known.whole_blocks[-1] == pytest.approx(141.6e6, rel=1e-3)
    assert known.modulation * 2 / 2**30 == pytest.approx(6.1, abs=0.05)


counts = st.integers(1, 3)


@settings(max_examples=20)
@given(
    kind=st.sampled_from(["llama", "glm", "glm4", "qwen3", "qwen2", "mistral"]),
    layers=counts, heads=counts, groups=counts, bias=st.booleans(), mlp_bias=st.booleans(), tied=st.booleans(),
)  # fmt: skip
def test_sizes_of_chat_models(
    kind: str, layers: int, heads: int, groups: int, bias: bool, mlp_bias: bool, tied: bool
) -> None:
    config = {
        "model_type": kind, "vocab_size": 50, "hidden_size": 8 * heads * groups, "intermediate_size": 24,
        "num_hidden_layers": layers, "num_attention_heads": heads * groups, "num_key_value_heads": heads,
        "head_dim": 8, "tie_word_embeddings": tied, "pad_token_id": None, "eos_token_id": 1, "bos_token_id": 0,
    }  # fmt: skip
    config |= {"attention_bias": bias} if kind in ("llama", "glm", "glm4", "qwen3") else {}
    config |= {"mlp_bias": mlp_bias} if kind == "llama" else {}
    same("chat", "llm", config)


@settings(max_examples=12)
@given(layers=counts, singles=st.integers(0, 2), heads=counts, guidance=st.booleans())
def test_sizes_of_flux_transformers(layers: int, singles: int, heads: int, guidance: bool) -> None:
    same("flux", "transformer", flux_config(layers, singles, heads, guidance))


def flux_config(layers: int, singles: int, heads: int, guidance: bool) -> dict[str, Any]:
    return {
        "in_channels": 64, "num_layers": layers, "num_single_layers": singles, "attention_head_dim": 16,
        "num_attention_heads": heads, "joint_attention_dim": 24, "pooled_projection_dim": 20,
        "guidance_embeds": guidance, "axes_dims_rope": (4, 6, 6),
    }  # fmt: skip


@settings(max_examples=12)
@given(layers=counts, heads=counts, newer=st.booleans(), bias=st.booleans(), affine=st.booleans())
def test_sizes_of_cogvideox_transformers(layers: int, heads: int, newer: bool, bias: bool, affine: bool) -> None:
    config = cogvideox_config(layers, heads, newer)
    same("cogvideox", "transformer", config | {"attention_bias": bias, "norm_elementwise_affine": affine})


def cogvideox_config(layers: int, heads: int, newer: bool) -> dict[str, Any]:
    return {
        "num_layers": layers, "num_attention_heads": heads, "attention_head_dim": 16, "in_channels": 32,
        "out_channels": 16, "time_embed_dim": 16, "text_embed_dim": 24, "sample_width": 12, "sample_height": 8,
        "sample_frames": 9, "patch_size": 2, "temporal_compression_ratio": 4, "max_text_seq_length": 24,
        "use_rotary_positional_embeddings": True, "use_learned_positional_embeddings": not newer,
        **({"patch_size_t": 2, "patch_bias": False, "ofs_embed_dim": 16} if newer else {}),
    }  # fmt: skip


@settings(max_examples=8)
@given(
    widths=st.lists(st.sampled_from([8, 12, 16]), min_size=4, max_size=4), layers=counts,
    attention=st.booleans(), quant=st.booleans(),
)  # fmt: skip
def test_sizes_of_vaes(widths: list[int], layers: int, attention: bool, quant: bool) -> None:
    shared = {
        "block_out_channels": widths, "layers_per_block": layers, "latent_channels": 16, "norm_num_groups": 4,
        "in_channels": 3, "out_channels": 3,
    }  # fmt: skip
    flags = {"mid_block_add_attention": attention, "use_quant_conv": quant, "use_post_quant_conv": quant}
    same("flux", "vae", shared | flags)
    same("cogvideox", "vae", shared | {"temporal_compression_ratio": 4})


@settings(max_examples=6)
@given(layers=counts, heads=counts, gated=st.booleans())
def test_sizes_of_text_encoders(layers: int, heads: int, gated: bool) -> None:
    t5 = {
        "vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": layers, "num_heads": heads,
        "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu" if gated else "relu",
    }  # fmt: skip
    same("flux", "text_encoder_2", t5)
    same("cogvideox", "text_encoder", t5)
    clip = {
        "vocab_size": 30, "hidden_size": 8 * heads, "intermediate_size": 24, "num_hidden_layers": layers,
        "num_attention_heads": heads, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 1,
        "pad_token_id": 1,
    }  # fmt: skip
    same("flux", "text_encoder", clip)


# --------------------------------------------------------------------------------------- FLOPs and bytes, true sizes


@pytest.mark.parametrize(
    ("preset", "width", "height"),
    [
        ("flux-cogvideox", 720, 480),
        ("flux-cogvideox", 1024, 1024),
        ("open", 1024, 1024),
        ("pocket", 144, 96),
        ("pocket", 720, 480),
    ],
)
def test_flux_denoises(preset: str, width: int, height: int) -> None:
    spec, configs = known(preset, "image")
    shot = options(preset, image__width=width, image__height=height)
    c, image, text = configs["transformer"], (width // 16) * (height // 16), shot["image.max_sequence_length"]
    dtype = getattr(torch, spec.dtype)
    module = build("flux", "transformer", c, dtype)
    inputs = {
        "hidden_states": made(1, image, c["in_channels"], dtype=dtype),
        "encoder_hidden_states": made(1, text, c["joint_attention_dim"], dtype=dtype),
        "pooled_projections": made(1, c["pooled_projection_dim"], dtype=dtype), "timestep": made(1, dtype=dtype),
        "guidance": made(1, dtype=torch.float32) if c["guidance_embeds"] else None,
        "img_ids": made(image, 3, dtype=dtype), "txt_ids": made(text, 3, dtype=dtype),
    }  # fmt: skip
    one = cost("flux", "denoise", configs, shot, DTYPES[spec.dtype])
    assert one.passes == shot["image.num_inference_steps"] * (1 + (shot["image.true_cfg_scale"] > 1))
    agrees(one, lambda: module(**inputs), one.passes)


def test_flux_takes_what_was_counted_before() -> None:
    _, configs = known("flux-cogvideox", "image")
    large, small = (
        cost("flux", "denoise", configs, options("flux-cogvideox", image__width=w, image__height=h), 2)
        for w, h in ((1024, 1024), (720, 480))
    )
    assert large.flops / 28 / 1e12 == pytest.approx(74.39, rel=0.01)
    assert small.flops / 28 / 1e12 == pytest.approx(26.49, rel=0.01)


@pytest.mark.parametrize(
    ("preset", "changed"),
    [
        ("flux-cogvideox", {}),
        ("flux-cogvideox", {"video__guidance_scale": 1.0}),
        ("flux-cogvideox15", {}),
    ],
)
def test_cogvideox_denoises(preset: str, changed: dict[str, Any]) -> None:
    spec, configs = known(preset, "video")
    shot = options(preset, **changed)
    c, copies = configs["transformer"], 2 if shot["video.guidance_scale"] > 1 else 1
    frames = (shot["video.num_frames"] - 1) // c["temporal_compression_ratio"] + 1
    height, width = shot["video.height"] // 8, shot["video.width"] // 8
    time = c.get("patch_size_t") or 1
    frames += -frames % time
    dtype = getattr(torch, spec.dtype)
    module = build("cogvideox", "transformer", c, dtype)
    tokens = frames // time * (height // 2) * (width // 2)
    rotary = tuple(made(tokens, c["attention_head_dim"], dtype=torch.float32) for _ in range(2))
    inputs = {
        "hidden_states": made(copies, frames, c["in_channels"], height, width, dtype=dtype),
        "encoder_hidden_states": made(copies, shot["video.max_sequence_length"], c["text_embed_dim"], dtype=dtype),
        "timestep": made(copies, dtype=torch.int64), "image_rotary_emb": rotary, "return_dict": False,
        "ofs": made(1, dtype=dtype) if c.get("ofs_embed_dim") else None,
    }  # fmt: skip
    one = cost("cogvideox", "denoise", configs, shot, DTYPES[spec.dtype])
    agrees(one, lambda: module(**inputs), one.passes)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_pockets_latents_count_in_its_denoising(guidance: float) -> None:
    """Where a model is small, what the loop itself keeps is a good part of all: the loop runs, on the processor."""
    spec, configs = known("pocket", "video")
    shot = options("pocket", video__guidance_scale=guidance, video__num_inference_steps=3)
    c, copies = configs["transformer"], 1 + (guidance > 1)
    module = build("cogvideox", "transformer", c, torch.float32).to_empty(device="cpu")
    request = cogvideox.Request(
        embeds=torch.zeros(copies, shot["video.max_sequence_length"], c["text_embed_dim"]),
        anchor=torch.zeros(1, 1, c["out_channels"], 12, 18), width=144, height=96, latent_frames=17, steps=3,
        guidance_scale=guidance, use_dynamic_cfg=False,
    )  # fmt: skip
    scheduler = CogVideoXDPMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    loop = cogvideox.denoise(module, scheduler, request, torch.Generator())  # type: ignore[arg-type]
    agrees(cost("cogvideox", "denoise", configs, shot, DTYPES[spec.dtype]), lambda: deque(loop, 0))


def test_cogvideox_takes_what_was_counted_before() -> None:
    _, configs = known("flux-cogvideox", "video")
    one = cost("cogvideox", "denoise", configs, options("flux-cogvideox"), 2)
    assert one.flops / 50 / 1e12 == pytest.approx(664.4, rel=0.01)
    assert one.workspace / 2**30 == pytest.approx(2.65, rel=0.03)
    _, newer = known("flux-cogvideox15", "video")
    assert cost("cogvideox", "denoise", newer, options("flux-cogvideox15"), 2).flops / 50 / 1e12 == pytest.approx(
        2958, rel=0.01
    )


@pytest.mark.parametrize("preset", ["flux-cogvideox", "open", "pocket"])
def test_texts_are_encoded(preset: str) -> None:
    spec, configs = known(preset, "image")
    shot = options(preset, video__guidance_scale=3.0, image__true_cfg_scale=1.0)
    dtype = getattr(torch, spec.dtype)
    clip, t5 = (build("flux", part, configs[part], dtype) for part in ("text_encoder", "text_encoder_2"))

    def run() -> None:
        clip(made(1, CLIP_TOKENS, dtype=torch.int64))
        t5(made(1, shot["image.max_sequence_length"], dtype=torch.int64))

    agrees(cost("flux", "encode", configs, shot, DTYPES[spec.dtype]), run)
    guided = cost("flux", "encode", configs, shot | {"image.true_cfg_scale": 2.0}, DTYPES[spec.dtype])
    agrees(guided, run, guided.passes)
    assert guided.passes == 2, "the negative prompt too"
    spec, configs = known(preset, "video")
    t5 = build("cogvideox", "text_encoder", configs["text_encoder"], dtype)
    one = cost("cogvideox", "encode", configs, shot, DTYPES[spec.dtype])
    assert one.passes == 2, "the negative prompt too"
    agrees(one, lambda: t5(made(1, shot["video.max_sequence_length"], dtype=torch.int64)), 2)


@pytest.mark.parametrize("preset", ["flux-cogvideox", "pocket"])
@pytest.mark.parametrize(("width", "height"), [(720, 480), (1024, 1024), (144, 96)])
def test_stills_are_decoded(preset: str, width: int, height: int) -> None:
    spec, configs = known(preset, "image")
    shot = options(preset, image__width=width, image__height=height)
    dtype = getattr(torch, spec.dtype)
    vae = build("flux", "vae", configs["vae"], dtype)
    latents = made(1, 16, height // 8, width // 8, dtype=dtype)
    agrees(cost("flux", "decode", configs, shot, DTYPES[spec.dtype]), lambda: vae.decode(latents, return_dict=False))


@pytest.mark.parametrize(
    ("preset", "changed"),
    [
        ("flux-cogvideox", {"video__vae_tiling": "off"}),
        # Tiled in several rows and columns, the last ones narrower, and in more than one batch of latent frames.
        pytest.param("flux-cogvideox", {"video__vae_tiling": "on", "video__num_frames": 17}, marks=pytest.mark.slow),
        ("flux-cogvideox", {"video__vae_tiling": "off", "video__num_frames": 1}),
        ("flux-cogvideox15", {"video__vae_tiling": "off", "video__num_frames": 17}),
        pytest.param(
            "flux-cogvideox15",
            {"video__vae_tiling": "on", "video__num_frames": 17, "video__width": 800, "video__height": 512},
            marks=pytest.mark.slow,
        ),
        ("pocket", {}),
        pytest.param("pocket", {"video__vae_tiling": "on", "video__num_frames": 5}, marks=pytest.mark.slow),
        ("pocket", {"video__num_frames": 33}),
    ],
)
def test_clips_are_decoded(preset: str, changed: dict[str, Any]) -> None:
    spec, configs = known(preset, "video")
    shot = options(preset, **changed)
    dtype = getattr(torch, spec.dtype)
    vae = build("cogvideox", "vae", configs["vae"], dtype)
    if shot["video.vae_tiling"] == "on":
        vae.enable_tiling()
    frames = (shot["video.num_frames"] - 1) // configs["vae"]["temporal_compression_ratio"] + 1
    latents = made(1, 16, frames, shot["video.height"] // 8, shot["video.width"] // 8, dtype=dtype)
    one = cost("cogvideox", "decode", configs, shot, DTYPES[spec.dtype])
    agrees(one, lambda: vae.decode(latents))


@pytest.mark.parametrize("preset", ["flux-cogvideox", "flux-cogvideox15", "pocket"])
def test_stills_are_anchored(preset: str) -> None:
    spec, configs = known(preset, "video")
    shot = options(preset)
    dtype = getattr(torch, spec.dtype)
    vae = build("cogvideox", "vae", configs["vae"], dtype)
    pixels = made(1, 3, 1, shot["video.height"], shot["video.width"], dtype=dtype)
    agrees(cost("cogvideox", "anchor", configs, shot, DTYPES[spec.dtype]), lambda: vae.encode(pixels))


@pytest.mark.parametrize("preset", ["flux-cogvideox", "glm-cogvideox", "small", "pocket"])
@pytest.mark.parametrize(("prompt", "tokens"), [(900, 1), (40, 2), pytest.param(300, 4, marks=pytest.mark.slow)])
def test_paragraphs_are_written(preset: str, prompt: int, tokens: int) -> None:
    spec, configs = known(preset, "refine")
    dtype = getattr(torch, spec.dtype)
    module = build("chat", "llm", configs["llm"], dtype)

    def run() -> None:
        """As `generate` does: the prompt at once, then token by token, each drawn from the likeliest ones."""
        cache, likeliest = None, TopPLogitsWarper(0.9)
        for step in range(tokens):
            ids = made(1, prompt if step == 0 else 1, dtype=torch.int64)
            answer = module(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = answer.past_key_values
            scores = likeliest(ids, answer.logits[:, -1].to(torch.float32, copy=True))
            torch.multinomial(scores.softmax(-1), 1)

    agrees(generate(configs["llm"], prompt, tokens, tokens, DTYPES[spec.dtype]), run)


def test_a_longer_caption_takes_longer_and_never_more_tokens_than_allowed() -> None:
    _, configs = known("flux-cogvideox", "refine")
    short, long, capped = (
        cost("chat", "generate", configs, options("flux-cogvideox", **changed), 2)
        for changed in (
            {"refine__words": 50}, {"refine__words": 300}, {"refine__words": 300, "refine__max_new_tokens": 100},
        )
    )  # fmt: skip
    assert short.passes < long.passes and short.traffic < long.traffic
    assert capped.passes == 100 and capped.workspace < long.workspace


def test_a_configuration_that_says_too_little_is_named() -> None:
    with pytest.raises(WeightsError, match="configuration of the transformer says nothing of"):
        cost("flux", "denoise", {}, options("flux-cogvideox"), 2)
    with pytest.raises(WeightsError, match="configuration of the vae says nothing of latent_channels"):
        size("flux", "vae", {})


# ------------------------------------------------------------------------------------------------ really, on the CPU


@dataclass(frozen=True)
class Small:
    """Models on this machine, small enough to run, and the options of a shot with them."""

    image: Path
    video: Path
    options: Mapping[str, Any]
    dtype: torch.dtype

    def configs(self, folder: Path) -> dict[str, Config]:
        return {file.parent.name: json.loads(file.read_text("utf-8")) for file in folder.glob("*/config.json")}

    def load(self, cls: Any, folder: Path) -> Any:
        return cls.from_pretrained(folder, dtype=self.dtype).eval().requires_grad_(False)

    def cost(self, family: str, verb: str, **changed: Any) -> Cost:
        folder = self.image if family == "flux" else self.video
        shot = {**self.options, **{name.replace("__", "."): value for name, value in changed.items()}}
        return cost(family, verb, self.configs(folder), shot, self.dtype.itemsize)


@pytest.fixture(scope="module", params=[pytest.param("pocket", marks=pytest.mark.slow), "tiny", "tiny, newer"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    few = {"image.num_inference_steps": 2, "video.num_inference_steps": 2, "video.guidance_scale": 3.0}
    if request.param == "pocket":
        few |= {"video.num_frames": 9}
        return Small(tiny.POCKET / "image", tiny.POCKET / "video", options("pocket") | few, torch.float32)
    folder, newer = tmp_path_factory.mktemp("tiny"), "newer" in request.param
    few |= {"image.width": tiny.WIDTH, "image.height": tiny.HEIGHT, "image.max_sequence_length": 24}
    few |= {"video.width": tiny.WIDTH, "video.height": tiny.HEIGHT, "video.max_sequence_length": 24}
    few |= {"video.num_frames": tiny.FRAMES}
    image, video = tiny.flux(folder / "image", guidance=newer), tiny.cogvideox(folder / "video", newer=newer)
    return Small(image, video, options("pocket") | few, torch.bfloat16)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_stills_take_on_the_cpu_what_was_told(scale: float, small: Small) -> None:
    c, shot = small.configs(small.image), small.options
    transformer = small.load(FluxTransformer2DModel, small.image / "transformer")
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(small.image / "scheduler")
    width, height, text = shot["image.width"], shot["image.height"], shot["image.max_sequence_length"]
    request = flux.Request(
        torch.zeros(texts := 1 + (scale > 1), text, c["transformer"]["joint_attention_dim"], dtype=small.dtype),
        torch.zeros(texts, c["transformer"]["pooled_projection_dim"], dtype=small.dtype), width, height, 2, 3.5, scale,
    )  # fmt: skip
    chosen = {"image__true_cfg_scale": scale}
    agrees(small.cost("flux", "modulate", **chosen), lambda: list(flux.modulate(transformer, scheduler, request)))
    denoising = small.cost("flux", "denoise", **chosen)
    assert denoising.passes == 2 * texts
    agrees(
        denoising,
        lambda: deque(flux.denoise(transformer, scheduler, request, torch.Generator()), 0),
    )
    pipe = flux._pipe(vae=small.load(AutoencoderKL, small.image / "vae"))
    latents = torch.zeros(1, width * height // 256, 64, dtype=small.dtype)
    agrees(small.cost("flux", "decode"), lambda: flux.decode(pipe, latents, height, width))


def test_clips_take_on_the_cpu_what_was_told(small: Small) -> None:
    c, shot = small.configs(small.video), small.options
    transformer = small.load(CogVideoXTransformer3DModel, small.video / "transformer")
    scheduler = CogVideoXDPMScheduler.from_pretrained(small.video / "scheduler")
    width, height, text = shot["video.width"], shot["video.height"], shot["video.max_sequence_length"]
    frames = (shot["video.num_frames"] - 1) // c["transformer"]["temporal_compression_ratio"] + 1
    request = cogvideox.Request(
        torch.zeros(2, text, c["transformer"]["text_embed_dim"], dtype=small.dtype),
        torch.zeros(1, 1, 16, height // 8, width // 8, dtype=small.dtype), width, height, frames, 2, 3.0, False,
    )  # fmt: skip
    scheduler.set_timesteps(2)
    agrees(
        small.cost("cogvideox", "modulate"),
        lambda: list(cogvideox.modulate(transformer, scheduler.timesteps, 2, small.dtype)),
        flops_within=0.03,  # CogVideoX 1.5 embeds its offset once for both copies, which a tiny model feels.
    )
    agrees(
        small.cost("cogvideox", "denoise"),
        lambda: deque(cogvideox.denoise(transformer, scheduler, request, torch.Generator()), 0),
    )
    pipe = cogvideox._pipe(vae=small.load(AutoencoderKLCogVideoX, small.video / "vae"))
    still = np.zeros((height, width, 3), np.uint8)
    agrees(
        small.cost("cogvideox", "anchor"),
        lambda: cogvideox.encode_still(pipe, still, torch.Generator(), torch.device("cpu")),
    )
    latents = torch.zeros(1, frames, 16, height // 8, width // 8, dtype=small.dtype)
    agrees(small.cost("cogvideox", "decode", video__vae_tiling="off"), lambda: cogvideox.decode(pipe, latents))
    pipe.vae.enable_tiling()
    agrees(small.cost("cogvideox", "decode", video__vae_tiling="on"), lambda: cogvideox.decode(pipe, latents))


@pytest.mark.parametrize(("prompt", "tokens"), [(30, 20), (200, 10), (30, 60)])
def test_pocket_writes_on_the_cpu_as_was_told(prompt: int, tokens: int) -> None:
    module = AutoModelForCausalLM.from_pretrained(tiny.POCKET / "chat", dtype=torch.float32)
    ids = torch.ones(1, prompt, dtype=torch.int64)
    drawn = {"do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 0, "pad_token_id": 1}

    def run() -> None:
        module.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens, max_new_tokens=tokens, **drawn
        )

    config = json.loads((tiny.POCKET / "chat/config.json").read_text("utf-8"))
    agrees(generate(config, prompt, tokens, tokens, 4), run)


@pytest.mark.parametrize("bias", [False, True])
def test_attention_on_the_cpu_keeps_no_scores(bias: bool) -> None:
    query = torch.zeros(1, 2, 512, 16)
    mask = torch.zeros(1, 2, 512, 512) if bias else None
    with LiveBytes() as live:
        torch.nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
    assert live.peak < 2 * query.nbytes < 2 * 512 * 512 * 4
