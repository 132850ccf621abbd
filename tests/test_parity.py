"""Our phases give bit for bit what the stock pipelines give when they are called once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    FluxPipeline,
)
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer

from animatic import bitmap, prompts
from animatic.core import stage_seed
from tests import cascades, tiny
from tests.cascades import Rig, shot

CAPTION = "A red boat sails over the sea to the right while the camera stays still."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def rig(folder: Path) -> Rig:
    return Rig(
        tiny.chat(folder / "llama", "llama"),
        tiny.flux(folder / "dev", guidance=True),
        tiny.cogvideox(folder / "cog", newer=False),
    )


@pytest.fixture(scope="module")
def other_rig(folder: Path, rig: Rig) -> Rig:
    return Rig(rig.chat, tiny.flux(folder / "schnell", guidance=False), tiny.cogvideox(folder / "cog15", newer=True))


def test_checkpoints_have_the_real_form(rig: Rig) -> None:
    assert (rig.flux / "transformer/diffusion_pytorch_model.safetensors.index.json").exists()
    assert (rig.cogvideox / "text_encoder/model.safetensors.index.json").exists()
    assert (rig.chat / "model.safetensors.index.json").exists()


@pytest.mark.parametrize("which", ["rig", "other_rig"])
@pytest.mark.parametrize("guided", [{}, {"true_cfg_scale": 2.5, "negative_prompt": "fog"}, {"true_cfg_scale": 2.5}])
def test_still_is_the_stock_flux_pipelines(
    which: str, guided: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rig: Rig = request.getfixturevalue(which)
    one = shot(caption=CAPTION, seed=5, **{f"image__{name}": value for name, value in guided.items()})
    cascade, store = rig.artifacts(one, tmp_path)
    ours = bitmap.read_png(store.artifact(cascade.still).read())  # type: ignore[union-attr]

    pipe = FluxPipeline.from_pretrained(rig.flux, dtype=torch.bfloat16)
    stock = pipe(
        CAPTION,
        **({"negative_prompt": ""} | guided),
        width=tiny.WIDTH,
        height=tiny.HEIGHT,
        num_inference_steps=3,
        guidance_scale=3.5,
        max_sequence_length=24,
        generator=torch.Generator().manual_seed(stage_seed(5, "image")),
    ).images[0]
    assert np.array_equal(ours, np.asarray(stock))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["rig", "other_rig"])
@pytest.mark.parametrize("scheduler", ["dpm", "ddim"])
@pytest.mark.parametrize("dynamic", [True, False])
def test_clip_is_the_stock_cogvideox_pipelines(
    which: str, scheduler: str, dynamic: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rig: Rig = request.getfixturevalue(which)
    one = shot(caption=CAPTION, seed=5, video__scheduler=scheduler, video__use_dynamic_cfg=dynamic)
    cascade, store = rig.artifacts(one, tmp_path)
    ours = np.load(store.artifact(cascade.frames).path)  # type: ignore[union-attr]
    still = Image.fromarray(bitmap.read_png(store.artifact(cascade.still).read()))  # type: ignore[union-attr]
    assert np.array_equal(ours, _stock_clip(rig, still, scheduler, dynamic, guidance=6.0))


def test_clip_without_guidance_is_the_stock_pipelines(rig: Rig, tmp_path: Path) -> None:
    one = shot(caption=CAPTION, seed=5, video__guidance_scale=1.0)
    cascade, store = rig.artifacts(one, tmp_path)
    ours = np.load(store.artifact(cascade.frames).path)  # type: ignore[union-attr]
    still = Image.fromarray(bitmap.read_png(store.artifact(cascade.still).read()))  # type: ignore[union-attr]
    assert np.array_equal(ours, _stock_clip(rig, still, "dpm", True, guidance=1.0))


def _stock_clip(rig: Rig, still: Image.Image, scheduler: str, dynamic: bool, guidance: float) -> np.ndarray:
    pipe = CogVideoXImageToVideoPipeline.from_pretrained(rig.cogvideox, dtype=torch.bfloat16)
    cls = {"dpm": CogVideoXDPMScheduler, "ddim": CogVideoXDDIMScheduler}[scheduler]
    pipe.scheduler = cls.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    stock = pipe(
        still,
        CAPTION,
        width=tiny.WIDTH,
        height=tiny.HEIGHT,
        num_frames=tiny.FRAMES,
        num_inference_steps=3,
        guidance_scale=guidance,
        use_dynamic_cfg=dynamic,
        max_sequence_length=24,
        generator=torch.Generator().manual_seed(stage_seed(5, "video")),
        output_type="pil",
    ).frames[0]
    return np.stack([np.asarray(frame) for frame in stock])


TEMPLATES = {
    "llama": "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "glm": "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "glm4": "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
}


@pytest.mark.parametrize("kind", ["llama", "glm", "glm4"])
def test_first_attempt_is_what_transformers_generates(kind: str, rig: Rig, tmp_path: Path) -> None:
    chat = tiny.chat(tmp_path / kind, kind, TEMPLATES[kind])
    one = shot("a red boat", seed=5)
    cascade, store = Rig(chat, rig.flux, rig.cogvideox).artifacts(one, tmp_path / "run")
    caption = json.loads(store.artifact(cascade.caption).read())  # type: ignore[union-attr]

    tokenizer = AutoTokenizer.from_pretrained(chat)
    model = AutoModelForCausalLM.from_pretrained(chat, dtype=torch.bfloat16)
    system = prompts.system_prompt("cinematic", cascades.OPTIONS["refine.words"])  # type: ignore[arg-type]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "a red boat"}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    torch.manual_seed(stage_seed(5, "refine"))
    tokens = model.generate(
        **inputs, max_new_tokens=16, do_sample=True, temperature=0.7, top_p=0.9, top_k=0,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    stock = tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert caption["attempts"][0] == stock


def test_a_template_without_a_system_role_still_gets_the_instructions(rig: Rig, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "[{{ m['role'] }}] {{ m['content'] }}{% endfor %}[assistant]"
    )
    chat = tiny.chat(tmp_path / "gemma", "llama", template)
    cascade, store = Rig(chat, rig.flux, rig.cogvideox).artifacts(shot("a red boat"), tmp_path / "run")
    assert json.loads(store.artifact(cascade.caption).read())["text"]  # type: ignore[union-attr]
