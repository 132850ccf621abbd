"""The image stage: FLUX.1-dev and -schnell. Source: diffusers' FluxPipeline, which is this file's parity oracle.

Encoding and decoding drive that pipeline with absent components; denoising is a generator of states. What the adaptive
norms give depends on no pixel, so it can be made beforehand (`tables.py`); the denoising's bits are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

from animatic.core import Subset
from animatic.models import tables
from animatic.models.base import (
    DenoiseState,
    Family,
    Made,
    Parts,
    Progress,
    Saved,
    Work,
    Works,
    preview_rgb,
    still_made,
    tensors_made,
)
from animatic.models.tables import Tables
from animatic.spec import MODULATION

_COMPONENTS = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "transformer")


class Flux(Family):
    classes: ClassVar = {
        "tokenizer": AutoTokenizer,
        "tokenizer_2": AutoTokenizer,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": T5EncoderModel,
        "transformer": FluxTransformer2DModel,
        "vae": AutoencoderKL,
        "scheduler": FlowMatchEulerDiscreteScheduler,
    }

    def encode(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Caption -> T5 embeddings [1, max_sequence_length, d] and CLIP's pooled [1, p].

        With true guidance both are of two texts, the negative prompt's before the caption's.
        """
        names = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
        pipe = _pipe(**{name: self.part(parts, name) for name in names})
        for work in works:
            length = work.option("image.max_sequence_length")
            guided = work.option("image.true_cfg_scale") > 1
            texts = (work.option("image.negative_prompt"), work.caption()) if guided else (work.caption(),)
            with torch.no_grad():
                made = [pipe.encode_prompt(text, device=self.device, max_sequence_length=length) for text in texts]
            embeds, pooled, _ = zip(*made, strict=True)
            yield tensors_made(work, embeds=torch.cat(embeds), pooled=torch.cat(pooled))

    def adapt(self, module: torch.nn.Module, subset: Subset) -> None:
        """Alter a component's skeleton so that it runs with a subset of its tensors."""
        if subset == "rest":
            tables.install(module, MODULATION["flux"])

    def modulate(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Pooled text -> what the adaptive norms give at every step: tables."""
        transformer, scheduler = self.part(parts, "modulation"), self.part(parts, "scheduler")
        for work in works:
            yield tables.made(work, modulate(transformer, _fresh(scheduler), _request(work, self.device)))

    def denoise(self, parts: Parts, works: Works) -> Progress:
        """Embeddings -> packed latents [1, height/16 * width/16, 64]."""
        transformer, scheduler = self.part(parts, "transformer"), self.part(parts, "scheduler")
        for work in works:
            request = _request(work, self.device)
            given = tables.of(work, self.device)
            for state in denoise(transformer, _fresh(scheduler), request, work.generator(), given, work.saved()):
                yield work.step(state, self._preview(state, request))
            yield tensors_made(work, latents=state.latents)

    def decode(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Packed latents -> the still."""
        pipe = _pipe(vae=self.part(parts, "vae"))
        for work in works:
            width, height = image_size(work)
            latents = work.tensors("latents", self.device)["latents"]
            yield still_made(work, decode(pipe, latents, height, width))

    def _preview(self, state: DenoiseState, request: Request) -> np.ndarray | None:
        latents = FluxPipeline._unpack_latents(state.estimate, request.height, request.width, 8)
        return preview_rgb(latents, self.spec.preview)


@dataclass(frozen=True)
class Request:
    """What a denoising is of.

    embeds  [1, tokens, d], or [2, tokens, d] with true guidance: the negative prompt's first
    pooled  [1, p], or [2, p] likewise; both have the transformer's dtype
    """

    embeds: torch.Tensor
    pooled: torch.Tensor
    width: int
    height: int
    steps: int
    guidance_scale: float
    true_cfg_scale: float = 1.0


@torch.no_grad()
def modulate(
    transformer: FluxTransformer2DModel, scheduler: FlowMatchEulerDiscreteScheduler, request: Request
) -> Iterator[torch.Tensor]:
    """The rows of every step, one for each text. It needs only those tensors that are of `spec.MODULATION`."""
    guidance = _guidance(transformer, request)
    for t in _timesteps(scheduler, request):
        # FluxTransformer2DModel.forward multiplies both, in its own dtype, before it embeds them.
        scalars = [_timestep(t, request), *([] if guidance is None else [guidance])]
        scaled = [scalar.to(request.pooled.dtype) * 1000 for scalar in scalars]
        embeddings = (transformer.time_text_embed(*scaled, pooled) for pooled in torch.split(request.pooled, 1))
        yield torch.cat([tables.row(transformer, MODULATION["flux"], embedding) for embedding in embeddings])


@torch.no_grad()
def denoise(
    transformer: FluxTransformer2DModel,
    scheduler: FlowMatchEulerDiscreteScheduler,
    request: Request,
    generator: torch.Generator,
    given: Tables | None = None,
    saved: Saved | None = None,
) -> Iterator[DenoiseState]:
    """Yield a state after every step; the first noise comes from `generator`. Bit-identical to FluxPipeline's loop.

    given  for a transformer that has its adaptive norms taken out: their tables
    saved  the state to go on from, which an earlier call yielded
    """
    device, dtype = request.embeds.device, request.embeds.dtype
    pipe = _pipe(transformer=transformer)
    channels = transformer.config.in_channels // 4
    latents, image_ids = pipe.prepare_latents(1, channels, request.height, request.width, dtype, device, generator)
    text_ids = torch.zeros(request.embeds.shape[1], 3, device=device, dtype=dtype)
    timesteps = _timesteps(scheduler, request)
    guidance = _guidance(transformer, request)
    done = 0
    if saved is not None:
        done, latents = int(saved["step"]), saved["latents"].to(device)
        scheduler.set_begin_index(done)
    for index, t in enumerate(timesteps[done:], done):
        pooled = given.row(index, len(request.pooled)) if given else request.pooled
        *without, velocity = (
            transformer(
                hidden_states=latents,
                timestep=_timestep(t, request),
                guidance=guidance,
                pooled_projections=about,
                encoder_hidden_states=text,
                txt_ids=text_ids,
                img_ids=image_ids,
                joint_attention_kwargs={},
                return_dict=False,
            )[0]
            for text, about in zip(torch.split(request.embeds, 1), torch.split(pooled, 1), strict=True)
        )
        if without:
            velocity = without[0] + request.true_cfg_scale * (velocity - without[0])
        estimate = latents - scheduler.sigmas[index] * velocity
        latents = scheduler.step(velocity, t, latents, return_dict=False)[0]
        yield DenoiseState(index + 1, len(timesteps), latents, estimate)


@torch.no_grad()
def decode(pipe: FluxPipeline, latents: torch.Tensor, height: int, width: int) -> np.ndarray:
    """Packed latents -> uint8 [height, width, 3], as FluxPipeline does."""
    vae = pipe.vae
    latents = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
    latents = latents / vae.config.scaling_factor + vae.config.shift_factor
    image = vae.decode(latents, return_dict=False)[0]
    return np.asarray(pipe.image_processor.postprocess(image, output_type="pil")[0])


def image_size(work: Work) -> tuple[int, int]:
    """The still's (width, height)."""
    return work.option("image.width"), work.option("image.height")


def _request(work: Work, device: torch.device) -> Request:
    width, height = image_size(work)
    return Request(
        **work.tensors("embeddings", device),
        width=width,
        height=height,
        steps=work.option("image.num_inference_steps"),
        guidance_scale=work.option("image.guidance_scale"),
        true_cfg_scale=work.option("image.true_cfg_scale"),
    )


def _guidance(transformer: FluxTransformer2DModel, request: Request) -> torch.Tensor | None:
    if not transformer.config.guidance_embeds:
        return None
    return torch.full([1], request.guidance_scale, device=request.embeds.device, dtype=torch.float32)


def _timestep(t: torch.Tensor, request: Request) -> torch.Tensor:
    """As the transformer takes it: one, from 0 to 1."""
    return t.expand(1).to(request.embeds.dtype) / 1000


def _timesteps(scheduler: FlowMatchEulerDiscreteScheduler, request: Request) -> torch.Tensor:
    config, steps = scheduler.config, request.steps
    mu = calculate_shift(
        (request.height // 16) * (request.width // 16),
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", 1.15),
    )
    own = config.get("use_flow_sigmas", False)
    sigmas = {"num_inference_steps": steps} if own else {"sigmas": np.linspace(1.0, 1 / steps, steps)}
    scheduler.set_timesteps(device=request.embeds.device, mu=mu, **sigmas)
    scheduler.set_begin_index(0)
    return scheduler.timesteps  # type: ignore[no-any-return]


def _fresh(scheduler: Any) -> Any:
    """A scheduler without a past: it counts its own steps, and no shot may depend on the one before."""
    return type(scheduler).from_config(scheduler.config)


def _pipe(**parts: Any) -> FluxPipeline:
    return FluxPipeline(**(dict.fromkeys(_COMPONENTS) | parts))
