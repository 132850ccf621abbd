"""A skeleton with its weights bound is what the libraries' own from_pretrained gives, to the last bit and buffer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    CogVideoXTransformer3DModel,
    FluxTransformer2DModel,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CLIPTextModel, T5EncoderModel

from animatic import weights
from animatic.errors import WeightsError
from animatic.skeleton import Skeleton, skeleton
from tests import tiny

MODELS: dict[str, Any] = {
    "llama": AutoModelForCausalLM,
    "glm": AutoModelForCausalLM,
    "glm4": AutoModelForCausalLM,
    "flux/text_encoder": CLIPTextModel,
    "flux/text_encoder_2": T5EncoderModel,
    "flux/transformer": FluxTransformer2DModel,
    "flux/vae": AutoencoderKL,
    "cog/text_encoder": T5EncoderModel,
    "cog/transformer": CogVideoXTransformer3DModel,
    "cog/vae": AutoencoderKLCogVideoX,
    "cog15/transformer": CogVideoXTransformer3DModel,
}
POCKET: dict[str, Any] = {
    "chat": AutoModelForCausalLM,
    "image/text_encoder": CLIPTextModel,
    "image/text_encoder_2": T5EncoderModel,
    "image/transformer": FluxTransformer2DModel,
    "image/vae": AutoencoderKL,
    "video/text_encoder": T5EncoderModel,
    "video/transformer": CogVideoXTransformer3DModel,
    "video/vae": AutoencoderKLCogVideoX,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    for kind in ("llama", "glm", "glm4"):
        tiny.chat(root / kind, kind)
    tiny.flux(root / "flux", guidance=True)
    tiny.cogvideox(root / "cog", newer=False)
    tiny.cogvideox(root / "cog15", newer=True)
    return root


def bound(bones: Skeleton) -> torch.nn.Module:
    """Its weights read from the files as they are, and cast."""
    files = {file: load_file(file) for file in weights.weight_files(bones.folder)}
    bones.bind({w.names[0]: files[w.tensor.file][w.tensor.name].to(w.dtype) for w in bones.weights if w.tensor})
    return bones.module


def assert_same(ours: torch.nn.Module, stock: torch.nn.Module) -> None:
    for kind in ("named_parameters", "named_buffers"):
        mine = dict(getattr(ours, kind)(remove_duplicate=False))
        theirs = dict(getattr(stock, kind)(remove_duplicate=False))
        assert mine.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert mine[name].dtype == tensor.dtype and torch.equal(mine[name], tensor), name
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())
    assert type(ours) is type(stock)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_equals_from_pretrained(name: str, dtype: torch.dtype, folder: Path) -> None:
    bones = skeleton(MODELS[name], folder / name, dtype)
    assert not bones.by_library
    assert_same(bound(bones), MODELS[name].from_pretrained(folder / name, dtype=dtype))
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", POCKET)
def test_equals_from_pretrained_for_pocket(name: str) -> None:
    stock = POCKET[name].from_pretrained(tiny.POCKET / name, dtype=torch.float32)
    assert_same(bound(skeleton(POCKET[name], tiny.POCKET / name, torch.float32)), stock)


def test_configurations_are_the_stock_ones(folder: Path) -> None:
    ours = skeleton(AutoModelForCausalLM, folder / "llama", torch.bfloat16).module
    stock = AutoModelForCausalLM.from_pretrained(folder / "llama", dtype=torch.bfloat16)
    assert ours.config.to_dict() == stock.config.to_dict()
    assert ours.generation_config.to_dict() == stock.generation_config.to_dict()
    flux = skeleton(FluxTransformer2DModel, folder / "flux/transformer", torch.bfloat16).module
    assert flux.config == FluxTransformer2DModel.from_pretrained(folder / "flux/transformer").config


def test_has_no_memory_until_bound_and_none_after(folder: Path) -> None:
    bones = skeleton(CogVideoXTransformer3DModel, folder / "cog/transformer", torch.bfloat16)
    assert all(tensor.is_meta for tensor in bones.module.state_dict().values())
    bound(bones)
    assert not any(tensor.is_meta for tensor in bones.module.state_dict().values())
    bones.unbind()
    assert all(tensor.is_meta for tensor in bones.module.state_dict().values())


def test_tied_tensors_are_one(folder: Path) -> None:
    module: Any = bound(skeleton(T5EncoderModel, folder / "flux/text_encoder_2", torch.bfloat16))
    assert module.encoder.embed_tokens.weight is module.shared.weight


def test_names_of_older_checkpoints_are_known(folder: Path, tmp_path: Path) -> None:
    source = tiny.copied(folder / "flux/text_encoder", tmp_path / "clip")
    tensors = {f"text_model.{k}": v for file in weights.weight_files(source) for k, v in load_file(file).items()}
    for file in source.glob("*.safetensors*"):
        file.unlink()
    save_file(tensors | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, source / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    bones = skeleton(CLIPTextModel, source, torch.bfloat16)
    assert_same(bound(bones), CLIPTextModel.from_pretrained(source, dtype=torch.bfloat16))


def test_a_part_of_the_tensors(folder: Path) -> None:
    bones = skeleton(FluxTransformer2DModel, folder / "flux/transformer", torch.bfloat16,
                     only=lambda name: "norm" in name)  # fmt: skip
    module = bound(bones)
    for name, tensor in module.state_dict().items():
        assert tensor.is_meta == ("norm" not in name), name


def test_what_the_files_lack_is_told(folder: Path, tmp_path: Path) -> None:
    source = tiny.copied(folder / "llama", tmp_path / "llama")
    index = json.loads((source / "model.safetensors.index.json").read_text())
    name = next(name for name in index["weight_map"] if "mlp" in name)
    shard = source / index["weight_map"].pop(name)
    tensors = load_file(shard)
    del tensors[name]
    save_file(tensors, shard, metadata={"format": "pt"})
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=rf"lacks 1 tensor of LlamaForCausalLM, such as {name}"):
        skeleton(AutoModelForCausalLM, source, torch.bfloat16)


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    source = tiny.copied(folder / "llama", tmp_path / "llama")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}))
    with pytest.raises(WeightsError, match="weights are of another model"):
        skeleton(AutoModelForCausalLM, source, torch.bfloat16)


def test_whole_numbers_where_floats_belong_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    source = tiny.copied(folder / "llama", tmp_path / "llama")
    shard = min(source.glob("*.safetensors"))
    tensors = load_file(shard)
    name = min(tensors)
    save_file(tensors | {name: tensors[name].to(torch.int32)}, shard, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=rf"{name} is I32, where BF16"):
        skeleton(AutoModelForCausalLM, source, torch.bfloat16)


def test_a_configuration_that_cannot_be_read_is_told(folder: Path, tmp_path: Path) -> None:
    source = tiny.copied(folder / "flux/vae", tmp_path / "vae")
    (source / "config.json").unlink()
    with pytest.raises(WeightsError, match="has no usable configuration"):
        skeleton(AutoencoderKL, source, torch.bfloat16)
