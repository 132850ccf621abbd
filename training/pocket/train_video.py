"""Train the video transformer of pocket: a CogVideoXTransformer3DModel, image to video, on latents of clips.

v-prediction under zero-terminal-SNR betas (Lin et al. 2024), as CogVideoX-5B-I2V: the first frame's latents, zeros
after it, are concatenated on channels; the text is dropped in a tenth of the steps for guidance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
)
from torch import Tensor

from training.pocket import oracle
from training.pocket.clips import COUNT, autoencoder, clips
from training.pocket.common import (
    POCKET,
    Run,
    autocast,
    compiled,
    export,
    parser,
    plain_attention,
    psnr,
    setup,
    to_pixels,
)
from training.pocket.scenario import trials
from training.pocket.texts import LENGTH, Texts
from training.pocket.world import still

HEIGHT, WIDTH, FRAMES = 96, 144, 17  # of a clip
Judge = Callable[[Run, AutoencoderKLCogVideoX, Texts, int], None]
"""Logs how good what is trained is by so many clips."""


def build(heads: int = 3, layers: int = 6, channels: int = 32) -> CogVideoXTransformer3DModel:
    """A transformer as of CogVideoX 1.5, which takes two latent frames a token.

    channels   what goes in: twice the autoencoder's for image to video, once for text to video
    """
    return CogVideoXTransformer3DModel(
        num_attention_heads=heads, attention_head_dim=64, in_channels=channels, out_channels=16, num_layers=layers,
        time_embed_dim=128, text_embed_dim=128, sample_width=WIDTH // 8, sample_height=HEIGHT // 8, sample_frames=FRAMES,
        patch_size=2, patch_size_t=2, temporal_compression_ratio=1, max_text_seq_length=LENGTH,
        use_rotary_positional_embeddings=True, use_learned_positional_embeddings=False,
    )  # fmt: skip


def scheduler() -> CogVideoXDPMScheduler:
    return CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing", snr_shift_scale=1.0,
        clip_sample=False,
    )  # fmt: skip


class Objective:
    """The loss, with the schedule and the rotary table that the stock pipeline will use."""

    def __init__(self, transformer: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX):
        frames = 1 + (FRAMES - 1) // vae.config.temporal_compression_ratio
        # The pipelines of CogVideoX 1.5 begin with a frame too many, to fill the tokens, and throw it away.
        self.extra = -frames % (transformer.config.patch_size_t or 1)
        self.alphas = scheduler().alphas_cumprod.float().to(vae.device)
        self.rotary = pipeline(transformer, vae)._prepare_rotary_positional_embeddings(
            HEIGHT, WIDTH, frames + self.extra, vae.device
        )

    def __call__(self, model: Any, x0: Tensor, anchor: Tensor | None, cover: Tensor, tokens: Tensor) -> Tensor:
        """The errors at random timesteps, those of cells that the subject's cover [n, t, 12, 18] fills counted fourfold."""
        # Denser towards pure noise: only there must the subject be fetched from the still instead of being denoised.
        time = (1000 * torch.rand(len(x0), device=x0.device).sqrt()).long().clamp(max=999)
        weight = 1 + 3 * self._filled(cover)
        return (self.errors(model, x0, anchor, tokens, time) * weight).sum() / weight.sum()

    def errors(self, model: Any, x0: Tensor, anchor: Tensor | None, tokens: Tensor, time: Tensor) -> Tensor:
        """Squared errors of the predicted v, [n, extra + t, 12, 18], for clips [n, t, 16, 12, 18] at timesteps [n].

        With an anchor [n, 16, 12, 18] image to video, without one text to video. At timestep 999, which is pure noise,
        they are those of the predicted clean latents.
        """
        x0 = self._filled(x0)
        alpha = self.alphas[time].view(-1, 1, 1, 1, 1)
        noise = torch.randn_like(x0)
        noisy = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
        if anchor is not None:
            image = torch.zeros_like(x0)
            image[:, 0] = anchor
            noisy = torch.cat([noisy, image], 2)
        with autocast(x0.device):
            v = model(
                hidden_states=noisy, encoder_hidden_states=tokens, timestep=time, image_rotary_emb=self.rotary,
                return_dict=False,
            )[0].float()  # fmt: skip
        return (v - (alpha.sqrt() * noise - (1 - alpha).sqrt() * x0)).square().mean(2)

    def _filled(self, frames: Tensor) -> Tensor:
        return torch.cat([frames[:, :1]] * self.extra + [frames], 1)


def pipeline(transformer: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX) -> CogVideoXImageToVideoPipeline:
    pipe = CogVideoXImageToVideoPipeline(None, None, vae, transformer, scheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def draw(
    pipe: CogVideoXImageToVideoPipeline, texts: Texts, paragraph: str, still: np.ndarray, steps: int, guidance: float,
    seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """One clip by the stock pipeline, uint8 [17, 96, 144, 3]."""
    out = pipe(
        image=to_pixels(still)[None] / 2 + 0.5, prompt_embeds=texts.tokens([paragraph]),
        negative_prompt_embeds=texts.tokens([""]), height=HEIGHT, width=WIDTH, num_frames=FRAMES,
        num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator().manual_seed(seed),
        output_type="np",
    ).frames[0]  # fmt: skip
    return (out * 255).round().astype(np.uint8)


class Batches:
    """Draws batches from what lies on the device already: clips, anchors, covers, and T5's states.

    A tenth has no text, for guidance.
    """

    def __init__(self, data: dict[str, Any], tokens: Tensor, silent: Tensor, size: int):
        self.clips, self.anchors, self.cover = (data[key].to(tokens.device) for key in ("clips", "anchors", "cover"))
        self.tokens, self.silent, self.size = tokens, silent, size

    def __call__(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        picks, wordings = (torch.randint(most, (self.size,), device=self.tokens.device) for most in self.tokens.shape[:2])
        dropped = torch.rand(self.size, 1, 1, device=self.tokens.device) < 0.1
        tokens = torch.where(dropped, self.silent, self.tokens[picks, wordings].float())
        return self.clips[picks].float(), noised(self.anchors[picks].float()), self.cover[picks], tokens


def main() -> None:
    train(parser(__doc__, "video", minutes=35, lr=0.02), build, judge)


def train(args: argparse.ArgumentParser, make: Callable[[], CogVideoXTransformer3DModel], judge: Judge) -> None:
    """Train what `make` gives, image to video if it takes the still's channels too."""
    args.add_argument("--clips", type=int, default=COUNT, help="to film, where none are kept")
    args.add_argument("--wordings", type=int, default=4, help="of each clip")
    args.add_argument("--batch", type=int, default=8)
    options = args.parse_args()
    device = setup(options)
    plain_attention()
    data, vae = clips(options.clips, workers=options.workers), autoencoder()
    run = Run(options, make().to(device))
    texts, objective, model = Texts(options.seed + run.step, device), Objective(run.model, vae), compiled(run.model)
    tokens, _ = texts.told(data["scenarios"], options.wordings)
    batch = Batches(data, tokens, texts.tokens([""]), options.batch)
    animates = run.model.config.in_channels > vae.config.latent_channels

    def loss() -> Tensor:
        x0, anchor, cover, told = batch()
        return objective(model, x0, anchor if animates else None, cover, told)

    learn = run.learner(loss)
    for _ in run.steps():
        learn()
        if run.due():
            judge(run, vae, texts, 6)
    judge(run, vae, texts, 16)


def noised(anchor: Tensor) -> Tensor:
    """First frames [n, 16, 12, 18] drawn from means and deviations [n, 2, 16, 12, 18], with up to a tenth of noise more."""
    mean, deviation = anchor.unbind(1)
    more = 0.1 * torch.rand((), device=mean.device)
    return mean + deviation * torch.randn_like(mean) + more * torch.randn_like(mean)


def judge(run: Run, vae: AutoencoderKLCogVideoX, texts: Texts, count: int) -> None:
    """Export, draw clips of scenarios to judge by from their true stills, and log what the oracle sees in them.

    share   the least of the subject's shares in a clip's frames (see the oracle), mean over the clips
    """
    megabytes = export(run.ema, POCKET / "video" / "transformer")
    pipe, scores = pipeline(run.ema, vae), []
    names = ("subject", "colour", "movement", "camera")
    for n, wanted in enumerate(trials(np.random.default_rng(999), count)):
        first = still(wanted)
        clip = draw(pipe, texts, texts.paragraphs([wanted])[0], first, steps=12, guidance=1.0, seed=n)
        seen = oracle.judge(clip)
        right = (getattr(seen, name) == getattr(wanted, name) for name in names)
        scores.append([*right, all(seen.present), min(seen.shares), psnr(to_pixels(clip[0]), to_pixels(first))])
    means = dict(zip((*names, "present", "share", "first_db"), np.mean(scores, 0).round(3).tolist(), strict=True))
    run.log(**means, megabytes=megabytes)


if __name__ == "__main__":
    main()
