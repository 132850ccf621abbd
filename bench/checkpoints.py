"""Random-weight checkpoints in the real on-disk format, at any size: a chat model, a FLUX and a CogVideoX I2V folder.

    python -m bench.checkpoints --folder /tmp/weights --scale bench

Sharded, indexed, bf16, the CogVideoX VAE in fp32, CLIP's tensors named as its published file names them. Shapes come
from the models on the meta device; values are written shard by shard, so that no more than a few megabytes are held.
The tokenizers are pocket's, the chat model's filled up to its vocabulary. Knows the libraries' configurations, and
nothing of how they are run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import animatic

POCKET = Path(animatic.__file__).parent / "pocket"
STAGES = ("refine", "image", "video")
PIECE = 1 << 21
"""Elements made at a time."""


@dataclass(frozen=True)
class Scale:
    """Configurations of one size of the cascade, and the options of a shot that suits it.

    shard    bytes of a shard of weights at most (one tensor may be larger)
    options  by dotted name
    """

    name: str
    shard: int
    llm: Mapping[str, Any]
    t5: Mapping[str, Any]
    clip: Mapping[str, Any]
    flux: Mapping[str, Any]
    flux_vae: Mapping[str, Any]
    cogvideox: Mapping[str, Any]
    cogvideox_vae: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


def _options(steps: tuple[int, int], size: tuple[int, int, int], text: tuple[int, int], **more: Any) -> dict[str, Any]:
    width, height, frames = size
    return {
        "image.num_inference_steps": steps[0], "video.num_inference_steps": steps[1],
        "video.width": width, "video.height": height, "video.num_frames": frames,
        "image.width": width, "image.height": height,
        "image.max_sequence_length": text[0], "video.max_sequence_length": text[1],
        "video.vae_tiling": "off",
        **{name.replace("__", "."): value for name, value in more.items()},
    }  # fmt: skip


TINY = Scale(
    "tiny", 40_000,
    llm={"vocab_size": 2560, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    t5={"vocab_size": 2400, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    clip={"vocab_size": 1720, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 4},
    flux={"num_layers": 2, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2,
          "axes_dims_rope": (4, 6, 6)},
    flux_vae={"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4},
    cogvideox={"num_attention_heads": 2, "attention_head_dim": 16, "time_embed_dim": 16, "num_layers": 2},
    cogvideox_vae={"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 2},
    options=_options((3, 3), (96, 64, 9), (24, 24), refine__words=12, refine__max_new_tokens=16),
)  # fmt: skip
"""For tests: everything there is, in less than two megabytes."""

BENCH = Scale(
    "bench", 450_000_000,
    llm={"vocab_size": 16032, "hidden_size": 2048, "intermediate_size": 7168, "num_hidden_layers": 12,
         "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128},
    t5={"vocab_size": 4016, "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 9, "num_heads": 32},
    clip={"vocab_size": 3000, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 12,
          "num_attention_heads": 8},
    flux={"num_layers": 7, "num_single_layers": 14, "attention_head_dim": 128, "num_attention_heads": 12,
          "axes_dims_rope": (16, 56, 56)},
    flux_vae={"block_out_channels": (40, 80, 160, 160), "layers_per_block": 2, "norm_num_groups": 8},
    cogvideox={"num_attention_heads": 24, "attention_head_dim": 64, "time_embed_dim": 256, "num_layers": 15},
    cogvideox_vae={"block_out_channels": (40, 80, 80, 160), "layers_per_block": 3, "norm_num_groups": 8},
    options=_options((2, 24), (128, 80, 9), (32, 32), refine__words=12, refine__max_new_tokens=16),
)  # fmt: skip
"""A real cascade's proportions at an eleventh of its bytes: 6.5 GB."""

TRUE = Scale(
    "true", 5_000_000_000,
    llm={"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128},
    t5={"vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
    clip={"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
          "num_attention_heads": 12},
    flux={"num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128, "num_attention_heads": 24,
          "axes_dims_rope": (16, 56, 56)},
    flux_vae={"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32},
    cogvideox={"num_attention_heads": 48, "attention_head_dim": 64, "time_embed_dim": 512, "num_layers": 42},
    cogvideox_vae={"block_out_channels": (128, 256, 256, 512), "layers_per_block": 3, "norm_num_groups": 32},
    options=_options((28, 50), (720, 480, 49), (512, 226), refine__words=400, refine__max_new_tokens=256,
                     image__width=1024, image__height=1024),
)  # fmt: skip
"""Llama-3.1-8B, FLUX.1-dev and CogVideoX-5B-I2V as they are published."""

SCALES = {scale.name: scale for scale in (TINY, BENCH, TRUE)}


def make(folder: Path, scale: Scale, stages: Collection[str] = STAGES) -> dict[str, Path]:
    """The three models' folders. What is there already stays; of stages not asked for, all but the weights is made."""
    models = {stage: folder / stage for stage in STAGES}
    for stage, place in models.items():
        done = place / ".complete"
        if done.exists() and (stage not in stages or "weights" in done.read_text()):
            continue
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        _WRITERS[stage](place, scale, stage in stages)
        done.write_text("weights" if stage in stages else "configurations")
    return models


def drop(folder: Path, stage: str) -> None:
    """Remove a model, for disks that do not hold all three."""
    shutil.rmtree(folder / stage, ignore_errors=True)


def preset(models: Mapping[str, Path], scale: Scale, **options: Any) -> str:
    """A preset of these models, as TOML. `options`: by dotted name, over the scale's own."""
    lines = [f'title = "Random weights, {scale.name}"', "rank = 1"]
    families = {"refine": "chat", "image": "flux", "video": "cogvideox"}
    for stage, family in families.items():
        own = {k.partition(".")[2]: v for k, v in {**scale.options, **options}.items() if k.startswith(f"{stage}.")}
        lines += ["", f"[{stage}]", f'family = "{family}"', f"repo = {json.dumps(str(models[stage].resolve()))}"]
        lines += [f"[{stage}.options]", *(f"{name} = {json.dumps(value)}" for name, value in own.items())]
    return "\n".join(lines) + "\n"


# --------------------------------------------------------------------------------------------------------- the models


def _chat(folder: Path, scale: Scale, weighty: bool) -> None:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    vocabulary = scale.llm["vocab_size"]
    _tokenizer(POCKET / "chat", folder, vocabulary)
    # Every sixth word ends the answer: random weights would never stop by themselves, and a slow machine has no time.
    ends = [1, *range(6, vocabulary, 6)] if scale.name == "bench" else [1]
    config = LlamaConfig(**scale.llm, max_position_embeddings=8192, rope_parameters=_ROPE, rms_norm_eps=1e-5,
                         bos_token_id=0, eos_token_id=ends, pad_token_id=1)  # fmt: skip
    _transformers(folder, LlamaForCausalLM, config, scale.shard, weighty)
    GenerationConfig.from_model_config(config).save_pretrained(folder)


_ROPE = {"rope_theta": 500000.0, "rope_type": "default"}


def _flux(folder: Path, scale: Scale, weighty: bool) -> None:
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel

    clip = CLIPTextConfig(**scale.clip, max_position_embeddings=77, projection_dim=scale.clip["hidden_size"],
                          bos_token_id=1312, eos_token_id=1313, pad_token_id=1313)  # fmt: skip
    _transformers(folder / "text_encoder", CLIPTextModel, clip, scale.shard, weighty, prefix="text_model.")
    _t5(folder / "text_encoder_2", scale, weighty)
    width = scale.t5["d_model"]
    pooled = scale.clip["hidden_size"]
    transformer = {"patch_size": 1, "in_channels": 64, "joint_attention_dim": width, "pooled_projection_dim": pooled,
                   "guidance_embeds": True} | scale.flux  # fmt: skip
    _diffusers(folder / "transformer", FluxTransformer2DModel, transformer, scale.shard, weighty)
    vae = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
           "latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False,
           "use_post_quant_conv": False} | scale.flux_vae  # fmt: skip
    _diffusers(folder / "vae", AutoencoderKL, vae, scale.shard, weighty)
    _tokenizer(POCKET / "image/tokenizer", folder / "tokenizer")
    _tokenizer(POCKET / "image/tokenizer_2", folder / "tokenizer_2")
    schedule = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
    FlowMatchEulerDiscreteScheduler(**schedule).save_config(folder / "scheduler")
    _index(folder, "FluxPipeline", {
        "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler"),
        "text_encoder": ("transformers", "CLIPTextModel"), "text_encoder_2": ("transformers", "T5EncoderModel"),
        "tokenizer": ("transformers", "CLIPTokenizer"),
        "tokenizer_2": ("transformers", "T5TokenizerFast"), "transformer": ("diffusers", "FluxTransformer2DModel"),
        "vae": ("diffusers", "AutoencoderKL"),
    })  # fmt: skip


def _cogvideox(folder: Path, scale: Scale, weighty: bool) -> None:
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler, CogVideoXTransformer3DModel

    width, height, frames = (scale.options[f"video.{name}"] for name in ("width", "height", "num_frames"))
    transformer = {"in_channels": 32, "out_channels": 16, "text_embed_dim": scale.t5["d_model"],
                   "sample_width": width // 8, "sample_height": height // 8, "sample_frames": frames,
                   "max_text_seq_length": scale.options["video.max_sequence_length"],
                   "use_rotary_positional_embeddings": True, "use_learned_positional_embeddings": True,
                   } | scale.cogvideox  # fmt: skip
    _diffusers(folder / "transformer", CogVideoXTransformer3DModel, transformer, scale.shard, weighty)
    vae = {"latent_channels": 16, "temporal_compression_ratio": 4, "scaling_factor": 0.7,
           "sample_height": height, "sample_width": width} | scale.cogvideox_vae  # fmt: skip
    _diffusers(folder / "vae", AutoencoderKLCogVideoX, vae, scale.shard, weighty, dtype="F32")
    _t5(folder / "text_encoder", scale, weighty)
    _tokenizer(POCKET / "video/tokenizer", folder / "tokenizer")
    schedule = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "snr_shift_scale": 1.0}
    CogVideoXDPMScheduler(**schedule).save_config(folder / "scheduler")
    _index(folder, "CogVideoXImageToVideoPipeline", {
        "scheduler": ("diffusers", "CogVideoXDPMScheduler"), "text_encoder": ("transformers", "T5EncoderModel"),
        "tokenizer": ("transformers", "T5Tokenizer"), "transformer": ("diffusers", "CogVideoXTransformer3DModel"),
        "vae": ("diffusers", "AutoencoderKLCogVideoX"),
    })  # fmt: skip


_WRITERS = {"refine": _chat, "image": _flux, "video": _cogvideox}


def _t5(folder: Path, scale: Scale, weighty: bool) -> None:
    from transformers import T5Config, T5EncoderModel

    _transformers(folder, T5EncoderModel, T5Config(**scale.t5, feed_forward_proj="gated-gelu"), scale.shard, weighty)


def _index(folder: Path, pipeline: str, parts: Mapping[str, tuple[str, str]]) -> None:
    from diffusers import __version__

    index = {"_class_name": pipeline, "_diffusers_version": __version__, **{k: list(v) for k, v in parts.items()}}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))


def _tokenizer(source: Path, folder: Path, vocabulary: int = 0) -> None:
    """Pocket's, with made-up words up to a vocabulary of that size, so that every number a model writes is a word."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [p for p in source.iterdir() if p.name.startswith(("tokenizer", "vocab", "merges", "chat_template"))]
    for file in names:
        shutil.copy(file, folder / file.name)
    data = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    words = data["model"]["vocab"]
    if vocabulary and isinstance(words, dict):
        known = len(set(words.values()) | {token["id"] for token in data["added_tokens"]})
        words |= {f"Ġw{number}": number for number in range(known, vocabulary)}
        (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False), "utf-8")


def _transformers(folder: Path, cls: Any, config: Any, shard: int, weighty: bool, prefix: str = "") -> None:
    import torch

    config.architectures, config.dtype = [cls.__name__], "bfloat16"
    config.save_pretrained(folder)
    if weighty:
        with torch.device("meta"), _quiet():
            shapes = {name: tuple(t.shape) for name, t in cls(config).state_dict().items()}
        if "shared.weight" in shapes:
            del shapes["encoder.embed_tokens.weight"]  # T5's other name for the same tensor
        write(folder, "model", {prefix + name: shape for name, shape in shapes.items()}, "BF16", shard)


def _diffusers(folder: Path, cls: Any, config: dict[str, Any], shard: int, weighty: bool, dtype: str = "BF16") -> None:
    import torch

    with torch.device("meta"), _quiet():
        module = cls(**config)
    module.save_config(folder)
    if weighty:
        shapes = {name: tuple(t.shape) for name, t in module.state_dict().items()}
        write(folder, "diffusion_pytorch_model", shapes, dtype, shard)


class _quiet(warnings.catch_warnings):  # noqa: N801
    """Without the libraries' remarks on modules that have no values."""

    def __enter__(self) -> Any:
        made = super().__enter__()
        warnings.simplefilter("ignore")
        logging.getLogger("diffusers").setLevel(logging.ERROR)
        return made


# ---------------------------------------------------------------------------------------------------------- the files


def write(folder: Path, stem: str, shapes: Mapping[str, tuple[int, ...]], dtype: str, shard: int) -> None:
    """The tensors in files of at most `shard` bytes each, with an index where they are several."""
    item = {"BF16": 2, "F32": 4}[dtype]
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    room = shard
    for name, shape in shapes.items():
        need = math.prod(shape) * item
        if need > room and shards[-1]:
            shards.append({})
            room = shard
        shards[-1][name] = shape
        room -= need
    index: dict[str, str] = {}
    for number, tensors in enumerate(shards, 1):
        name = f"{stem}.safetensors" if len(shards) == 1 else f"{stem}-{number:05}-of-{len(shards):05}.safetensors"
        _write_file(folder / name, tensors, dtype, item)
        index |= dict.fromkeys(tensors, name)
    if len(shards) > 1:
        total = sum(math.prod(shape) * item for shape in shapes.values())
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
        (folder / f"{stem}.safetensors.index.json").write_text(text)


def _write_file(path: Path, tensors: Mapping[str, tuple[int, ...]], dtype: str, item: int) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in tensors.items():
        end = at + math.prod(shape) * item
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors.items():
            # The folder's name takes part: FLUX's T5 and CogVideoX's are two different models, as in reality.
            seed = f"{path.parent.parent.name}/{path.parent.name}/{name}"
            for piece in values(seed, name, shape, item):
                file.write(piece.data)
        file.flush()
        os.fsync(file.fileno())  # What is not on the disk yet cannot be dropped from the page cache.


def values(seed: str, name: str, shape: tuple[int, ...], item: int) -> Iterator[np.ndarray]:
    """Random numbers of a sensible size, in pieces, as the bits of bf16 (item 2) or float32 (4): deterministic.

    Matrices and convolutions: about 0.5 / sqrt(inputs), either sign. Scales of norms: 1. Biases: 0.
    """
    count, bits = math.prod(shape), {2: np.uint16, 4: np.uint32}[item]
    if len(shape) < 2:
        one = 0x3F80 << (16 * (item // 4)) if name.endswith("weight") else 0
        yield np.full(count, one, bits)
        return
    inputs = math.prod(shape[1:]) if name.endswith("weight") else shape[-1]
    exponent = 127 + math.floor(math.log2(0.3 / math.sqrt(inputs)))
    # Sign, the exponent's lowest bit and the mantissa are random; the rest of the exponent is fixed.
    mantissa = 7 if item == 2 else 23
    fixed = bits((exponent & ~1) << mantissa)
    loose = bits((1 << (8 * item - 1)) | ((2 << mantissa) - 1))
    source = np.random.SFC64(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "little"))
    for first in range(0, count, PIECE):
        size = min(PIECE, count - first)
        random = source.random_raw(-(-size * item // 8)).view(bits)[:size]
        random &= loose
        random |= fixed
        yield random


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--scale", choices=SCALES, default="bench")
    arguments = parser.parse_args()
    models = make(arguments.folder, SCALES[arguments.scale])
    for stage, folder in models.items():
        nbytes = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        print(f"{stage:8} {nbytes / 1e9:6.2f} GB  {folder}")


if __name__ == "__main__":
    main()
