"""The video stage: CogVideoX-5B-I2V and CogVideoX1.5-5B-I2V.

Source: diffusers' CogVideoXImageToVideoPipeline, which is this file's parity oracle. Encoding and decoding drive that
pipeline with absent components; denoising is a generator of states. One generator is threaded through in the stock
order: the still's posterior is drawn first, then the noise, then what the sampler draws at each step. What the adaptive
norms give depends on the schedule alone, so it can be made beforehand (`tables.py`); the denoising's bits are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
)
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import retrieve_latents
from diffusers.utils.torch_utils import randn_tensor
from transformers import AutoTokenizer, T5EncoderModel

from animatic import bitmap
from animatic.core import Subset
from animatic.models import convolution, tables
from animatic.models.base import (
    DenoiseState,
    Family,
    Made,
    Parts,
    Progress,
    Saved,
    Work,
    Works,
    frames_made,
    preview_rgb,
    tensors_made,
)
from animatic.models.tables import Tables
from animatic.spec import MODULATION

_COMPONENTS = ("tokenizer", "text_encoder", "vae", "transformer", "scheduler")
_SCHEDULERS = {"dpm": CogVideoXDPMScheduler, "ddim": CogVideoXDDIMScheduler}

Scheduler = Any
"""CogVideoXDPMScheduler or CogVideoXDDIMScheduler."""


class CogVideoX(Family):
    classes: ClassVar = {
        "tokenizer": AutoTokenizer,
        "text_encoder": T5EncoderModel,
        "transformer": CogVideoXTransformer3DModel,
        "vae": AutoencoderKLCogVideoX,
        # Both schedulers read the same file; which of them runs is the option `video.scheduler`.
        "scheduler": CogVideoXDPMScheduler,
    }

    def encode(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Caption -> T5 embeddings [1, tokens, d]; with guidance also those of the negative prompt, before them."""
        pipe = _pipe(tokenizer=self.part(parts, "tokenizer"), text_encoder=self.part(parts, "text_encoder"))
        for work in works:
            guided = _copies(work) == 2
            with torch.no_grad():
                embeds, negative = pipe.encode_prompt(
                    work.caption(),
                    work.option("video.negative_prompt"),
                    do_classifier_free_guidance=guided,
                    max_sequence_length=work.option("video.max_sequence_length"),
                    device=self.device,
                )
            yield tensors_made(work, embeds=torch.cat([negative, embeds]) if guided else embeds)

    def anchor(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Still -> its latents [1, 1, channels, height/8, width/8] and the generator's state after the draw."""
        pipe = _pipe(vae=self.part(parts, "vae"))
        for work in works:
            width, height = clip_size(work)
            still = bitmap.fit(work.still(), (width, height), work.option("video.fit"))
            generator = work.generator()
            latents = encode_still(pipe, still, generator, self.device)
            yield tensors_made(work, latents=latents, generator=generator.get_state())

    def adapt(self, module: torch.nn.Module, subset: Subset) -> None:
        """Alter a component's skeleton so that it runs with a subset of its tensors, and fast on a CPU."""
        if subset == "rest":
            tables.install(module, MODULATION["cogvideox"])
        if self.device.type == "cpu":
            convolution.install(module)

    def modulate(self, parts: Parts, works: Works) -> Iterator[Made]:
        """The schedule -> what the adaptive norms give at every step: tables, the same for every text."""
        transformer = self.part(parts, "modulation")
        for work in works:
            scheduler = self._scheduler(parts, work)
            scheduler.set_timesteps(work.option("video.num_inference_steps"), device=self.device)
            yield tables.made(work, modulate(transformer, scheduler.timesteps, _copies(work), self.dtype))

    def denoise(self, parts: Parts, works: Works) -> Progress:
        """Embeddings and anchor -> latents [1, frames, channels, height/8, width/8]."""
        transformer = self.part(parts, "transformer")
        for work in works:
            anchor = work.tensors("anchor")
            generator = torch.Generator()
            generator.set_state(anchor["generator"])
            request = _request(work, transformer, anchor["latents"], self.device)
            given = tables.of(work, self.device)
            for state in denoise(transformer, self._scheduler(parts, work), request, generator, given, work.saved()):
                yield work.step(state, preview_rgb(state.estimate[0, -request.latent_frames :], self.spec.preview))
            yield tensors_made(work, latents=state.latents[:, -request.latent_frames :])

    def decode(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Latents -> frames."""
        pipe = _pipe(vae=self.part(parts, "vae"))
        for work in works:
            pipe.vae.enable_tiling() if work.option("video.vae_tiling") == "on" else pipe.vae.disable_tiling()
            yield frames_made(work, decode(pipe, work.tensors("latents", self.device)["latents"]))

    def _scheduler(self, parts: Parts, work: Work) -> Scheduler:
        """Made anew for every shot, with the spacing that the authors use (CogVideo's cli_demo.py: trailing)."""
        cls = _SCHEDULERS[work.option("video.scheduler")]
        config = self.part(parts, "scheduler").config
        return cls.from_config(config, timestep_spacing=work.option("video.timestep_spacing"))


@dataclass(frozen=True)
class Request:
    """What a denoising is of.

    embeds          [1, tokens, d], or [2, tokens, d] with classifier-free guidance: the negative prompt's first
    anchor          [1, 1, channels, height/8, width/8], scaled, in the transformer's dtype
    latent_frames   of the clip, without the padding that CogVideoX 1.5 adds in front
    """

    embeds: torch.Tensor
    anchor: torch.Tensor
    width: int
    height: int
    latent_frames: int
    steps: int
    guidance_scale: float
    use_dynamic_cfg: bool


@torch.no_grad()
def encode_still(
    pipe: CogVideoXImageToVideoPipeline, still: np.ndarray, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """A still of the clip's size -> scaled latents [1, 1, channels, height/8, width/8], drawn from the posterior.

    `still`: uint8 [height, width, 3]
    """
    vae = pipe.vae
    picture = pipe.video_processor.numpy_to_pil(still[None] / 255)
    pixels = pipe.video_processor.preprocess(picture, height=still.shape[0], width=still.shape[1])
    pixels = pixels.to(device, dtype=vae.dtype).unsqueeze(2)
    # Taken out of its batch and put back, as the stock pipeline does: the strides choose the convolutions' kernels,
    # and so the last bits.
    latents = retrieve_latents(vae.encode(pixels[0].unsqueeze(0)), generator).permute(0, 2, 1, 3, 4)
    # 1.5 was trained with the inverse of the scale (config: invert_scale_latents).
    scale = pipe.vae_scaling_factor_image
    return (1 / scale if vae.config.invert_scale_latents else scale) * latents  # type: ignore[no-any-return]


@torch.no_grad()
def modulate(
    transformer: CogVideoXTransformer3DModel, timesteps: torch.Tensor, copies: int, dtype: torch.dtype
) -> Iterator[torch.Tensor]:
    """The row of every step. Of the transformer's tensors it needs only those of `spec.MODULATION`.

    copies  the batch of the denoising: 2 with classifier-free guidance, else 1
    dtype   the transformer's
    """
    for t in timesteps:
        # Put together as CogVideoXTransformer3DModel.forward does it.
        embedding = transformer.time_embedding(transformer.time_proj(t.expand(copies)).to(dtype))
        if (ofs := _ofs(transformer, t.device, dtype)) is not None:
            embedding = embedding + transformer.ofs_embedding(transformer.ofs_proj(ofs).to(dtype))
        yield tables.row(transformer, MODULATION["cogvideox"], embedding)


@torch.no_grad()
def denoise(
    transformer: CogVideoXTransformer3DModel,
    scheduler: Scheduler,
    request: Request,
    generator: torch.Generator,
    given: Tables | None = None,
    saved: Saved | None = None,
) -> Iterator[DenoiseState]:
    """Yield a state after every step. Bit-identical to CogVideoXImageToVideoPipeline's loop from its latents on.

    given  for a transformer that has its adaptive norms taken out: their tables
    saved  the state to go on from, which an earlier call yielded
    """
    device, dtype = request.embeds.device, request.embeds.dtype
    scheduler.set_timesteps(request.steps, device=device)
    anchor = _padded(request.anchor, _model_frames(transformer, request.latent_frames))
    latents = randn_tensor(anchor.shape, generator=generator, device=device, dtype=dtype)
    latents = latents * scheduler.init_noise_sigma
    rotary = _rotary(transformer, request, anchor.shape[1])
    ofs = _ofs(transformer, device, dtype)
    copies = request.embeds.shape[0]
    done, history, before = 0, None, None
    if saved is not None:
        done, latents = int(saved["step"]), saved["latents"].to(device)
        history = saved["history"].to(device) if "history" in saved else None
        before = scheduler.timesteps[done - 1]
        generator.set_state(saved["generator"])
    for index, t in enumerate(scheduler.timesteps[done:], done):
        noisy = scheduler.scale_model_input(torch.cat([latents] * copies), t)
        prediction = transformer(
            hidden_states=torch.cat([noisy, torch.cat([anchor] * copies)], dim=2),
            encoder_hidden_states=request.embeds,
            timestep=t.expand(copies),
            timestep_cond=given.row(index, copies) if given else None,
            ofs=ofs,
            image_rotary_emb=rotary,
            attention_kwargs=None,
            return_dict=False,
        )[0].float()
        if copies == 2:
            without, with_text = prediction.chunk(2)
            prediction = without + _guidance(request, t.item()) * (with_text - without)
        if isinstance(scheduler, CogVideoXDPMScheduler):
            latents, history = scheduler.step(
                prediction, history, t, before, latents, generator=generator, return_dict=False
            )
            estimate = history
        else:
            latents, estimate = scheduler.step(prediction, t, latents, generator=generator, return_dict=False)
        latents, before = latents.to(dtype), t
        yield DenoiseState(index + 1, len(scheduler.timesteps), latents, estimate, history, generator)


@torch.no_grad()
def decode(pipe: CogVideoXImageToVideoPipeline, latents: torch.Tensor) -> np.ndarray:
    """Latents [1, frames, channels, h, w] -> uint8 [frames, height, width, 3]."""
    video = pipe.video_processor.postprocess_video(pipe.decode_latents(latents), output_type="np")
    return (video[0] * 255).round().astype(np.uint8)  # type: ignore[no-any-return]


def clip_size(work: Work) -> tuple[int, int]:
    """The clip's (width, height)."""
    return work.option("video.width"), work.option("video.height")


def _copies(work: Work) -> int:
    """With guidance, the negative prompt goes along."""
    return 2 if work.option("video.guidance_scale") > 1 else 1


def _request(
    work: Work, transformer: CogVideoXTransformer3DModel, anchor: torch.Tensor, device: torch.device
) -> Request:
    width, height = clip_size(work)
    frames_a_latent = transformer.config.temporal_compression_ratio
    return Request(
        embeds=work.tensors("embeddings", device)["embeds"],
        anchor=anchor.to(device),
        width=width,
        height=height,
        latent_frames=(work.option("video.num_frames") - 1) // frames_a_latent + 1,
        steps=work.option("video.num_inference_steps"),
        guidance_scale=work.option("video.guidance_scale"),
        use_dynamic_cfg=work.option("video.use_dynamic_cfg"),
    )


def _ofs(transformer: CogVideoXTransformer3DModel, device: torch.device, dtype: torch.dtype) -> torch.Tensor | None:
    """What 1.5 is told beside the timestep: always 2."""
    if transformer.config.ofs_embed_dim is None:
        return None
    return torch.full((1,), 2.0, device=device, dtype=dtype)


def _guidance(request: Request, t: float) -> float:
    """The guidance scale at timestep `t`; dynamic: CogVideoX's cosine ramp (arXiv 2408.06072), as diffusers has it."""
    if not request.use_dynamic_cfg:
        return request.guidance_scale
    return 1 + request.guidance_scale * ((1 - math.cos(math.pi * ((request.steps - t) / request.steps) ** 5.0)) / 2)


def _model_frames(transformer: CogVideoXTransformer3DModel, frames: int) -> int:
    """Latent frames the transformer works on: 1.5 patches them in time, and pads in front to whole patches."""
    patch = transformer.config.patch_size_t
    return frames if patch is None else frames + -frames % patch


def _padded(anchor: torch.Tensor, frames: int) -> torch.Tensor:
    """The anchor in the first latent frame, zeros in the others."""
    rest = anchor.new_zeros(anchor.shape[0], frames - 1, *anchor.shape[2:])
    return torch.cat([anchor, rest], dim=1)


def _rotary(transformer: CogVideoXTransformer3DModel, request: Request, frames: int) -> Any:
    if not transformer.config.use_rotary_positional_embeddings:
        return None
    pipe = _pipe(transformer=transformer)
    return pipe._prepare_rotary_positional_embeddings(request.height, request.width, frames, request.embeds.device)


def _pipe(**parts: Any) -> CogVideoXImageToVideoPipeline:
    return CogVideoXImageToVideoPipeline(**(dict.fromkeys(_COMPONENTS) | parts))
