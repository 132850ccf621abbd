"""Train the video transformer of pocket: a CogVideoXTransformer3DModel, image to video, on latents of clips.

v-prediction under zero-terminal-SNR betas (Lin et al. 2024), as CogVideoX-5B-I2V: the first frame's latents, zeros
after it, are concatenated on channels; the text is dropped in a tenth of the steps for guidance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
)
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from torch import Tensor

from training.pocket.common import POCKET, Run, autocast, compiled, export, parser, plain_attention, setup, to_pixels
from training.pocket_next import world
from training.pocket_next.clips import FRAMES, HEIGHT, WIDTH, autoencoder, clips
from training.pocket_next.scenario import sample
from training.pocket_next.texts import LENGTH, Texts

HEAD = 64  # of attention
PATCH = 2  # latent frames a token, as in CogVideoX 1.5


def build(heads: int = 3, layers: int = 6, channels: int = 32, text: int = 128) -> CogVideoXTransformer3DModel:
    return CogVideoXTransformer3DModel(
        num_attention_heads=heads, attention_head_dim=HEAD, in_channels=channels, out_channels=16, num_layers=layers,
        time_embed_dim=128, text_embed_dim=text, sample_width=WIDTH, sample_height=HEIGHT, sample_frames=world.FRAMES,
        patch_size=2, patch_size_t=PATCH, temporal_compression_ratio=1, max_text_seq_length=LENGTH,
        use_rotary_positional_embeddings=True, use_learned_positional_embeddings=False,
    )  # fmt: skip


def scheduler() -> CogVideoXDPMScheduler:
    return CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing", snr_shift_scale=1.0,
        clip_sample=False,
    )  # fmt: skip


class Objective:
    """The loss, with the schedule and the rotary table that the stock pipeline will use."""

    def __init__(self, device: torch.device):
        self.alphas = scheduler().alphas_cumprod.float().to(device)
        grid = (HEIGHT // 2, WIDTH // 2)
        self.rotary = get_3d_rotary_pos_embed(
            HEAD, None, grid, -(-FRAMES // PATCH), grid_type="slice", max_size=grid, device=device
        )

    def __call__(self, model: Any, x0: Tensor, anchor: Tensor | None, cover: Tensor, tokens: Tensor) -> Tensor:
        """Weighted squared error of the predicted v for clips [n, 17, 16, 12, 18] and the subject's cover [n, 17, 12, 18].

        With an anchor [n, 16, 12, 18] image to video. The first frame stands twice, to fill the tokens: the pipelines of
        CogVideoX 1.5 begin with a frame too many and throw it away.
        """
        x0, cover = (torch.cat([x[:, :1], x], 1) for x in (x0, cover))
        time = torch.randint(1000, (len(x0),), device=x0.device)
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
        error = (v - (alpha.sqrt() * noise - (1 - alpha).sqrt() * x0)).square().mean(2)
        weight = 1 + 3 * cover
        return (error * weight).sum() / weight.sum()


def pipeline(transformer: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX) -> CogVideoXImageToVideoPipeline:
    pipe = CogVideoXImageToVideoPipeline(None, None, vae, transformer, scheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def draw(
    pipe: CogVideoXImageToVideoPipeline, texts: Texts, paragraph: str, still: np.ndarray, steps: int, guidance: float,
    dynamic: bool = False, seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """One clip by the stock pipeline, uint8 [17, 96, 144, 3]."""
    out = pipe(
        image=to_pixels(still)[None].clamp(-1, 1), prompt_embeds=texts.tokens([paragraph]),
        negative_prompt_embeds=texts.tokens([""]), height=96, width=144, num_frames=17, num_inference_steps=steps,
        guidance_scale=guidance, use_dynamic_cfg=dynamic, generator=torch.Generator().manual_seed(seed), output_type="np",
    ).frames[0]  # fmt: skip
    return (out * 255).round().astype(np.uint8)


def picked(data: dict[str, Any], texts: Texts, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch: clips, anchors (mean and deviation), covers, and T5's states; a tenth has no text, for guidance."""
    picks = torch.randint(len(data["scenarios"]), (count,))
    said = texts.wordings([data["scenarios"][pick] for pick in picks])
    said = ["" if drop else text for text, drop in zip(said, torch.rand(count) < 0.1, strict=True)]
    clip, anchor, cover = (data[key][picks].float().to(texts.device) for key in ("clips", "anchors", "cover"))
    return clip, anchor, cover, texts.tokens(said)


def main() -> None:
    args = parser(__doc__, "video", minutes=35, lr=0.02)
    args.add_argument("--batch", type=int, default=8)
    options = args.parse_args()
    device = setup(options)
    plain_attention()
    data, vae = clips(), autoencoder()
    run = Run(options, build().to(device))
    model, texts, objective = compiled(run.model), Texts(options.seed + run.step, device), Objective(device)
    for step in run.steps():
        x0, anchor, cover, tokens = picked(data, texts, options.batch)
        mean, deviation = anchor.unbind(1)
        still = mean + deviation * torch.randn_like(mean) + 0.1 * torch.rand((), device=device) * torch.randn_like(mean)
        run.update(objective(model, x0, still, cover, tokens))
        if step % 1500 == 1499:
            judge(run, vae, texts)
    judge(run, vae, texts, 16)


def judge(run: Run, vae: AutoencoderKLCogVideoX, texts: Texts, count: int = 5) -> None:
    """Export, draw clips from their true stills, half of them of pairs never trained together, and log what the oracle sees in them."""
    from training.pocket_next import oracle

    megabytes = export(run.ema, POCKET / "video" / "transformer")
    rng, pipe, scores = np.random.default_rng(999), pipeline(run.ema, vae), []
    for n in range(count):
        wanted = sample(rng, held_out=n % 2 == 1)
        still = world.still(wanted)
        clip = draw(pipe, texts, texts.paragraphs([wanted])[0], still, steps=12, guidance=3.0, seed=n)
        seen = oracle.judge(clip)
        first = 10 * np.log10(255**2 / np.square(clip[0].astype(float) - still).mean())
        right = [getattr(seen, key) == getattr(wanted, key) for key in ("subject", "colour", "movement", "camera")]
        scores.append((*right, all(seen.present), first))
    names = ("subject", "colour", "movement", "camera", "present", "first_db")
    means = dict(zip(names, np.mean(scores, 0).round(3).tolist(), strict=True))
    run.log(**means, megabytes=megabytes)


if __name__ == "__main__":
    main()
