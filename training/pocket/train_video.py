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

from training.pocket import world
from training.pocket.common import (
    POCKET,
    RUNS,
    Run,
    autocast,
    cached,
    export,
    parser,
    patient_attention,
    setup,
    to_pixels,
)
from training.pocket.scenario import Scenario, sample
from training.pocket.texts import LENGTH, Texts

HEIGHT, WIDTH, FRAMES = 12, 18, 5  # latents
HEADS, HEAD = 3, 64


def build(text: int = 128) -> CogVideoXTransformer3DModel:
    return CogVideoXTransformer3DModel(
        num_attention_heads=HEADS, attention_head_dim=HEAD, in_channels=32, out_channels=16, num_layers=6,
        time_embed_dim=128, text_embed_dim=text, sample_width=WIDTH, sample_height=HEIGHT, sample_frames=world.FRAMES,
        patch_size=2, temporal_compression_ratio=4, max_text_seq_length=LENGTH,
        use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True,
    )  # fmt: skip


def scheduler() -> CogVideoXDPMScheduler:
    return CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing", snr_shift_scale=1.0,
        clip_sample=False,
    )  # fmt: skip


@torch.no_grad()
def encode(vae: AutoencoderKLCogVideoX, seed: int, count: int) -> dict[str, Any]:
    """`count` clips: scaled latents [n, 5, 16, 12, 18], the still alone as mean and deviation, the subject's cover."""
    rng = np.random.default_rng(seed)
    scenarios, clips, anchors, covers = [sample(rng) for _ in range(count)], [], [], []
    for s in scenarios:
        video = to_pixels(world.frames(s)).transpose(0, 1)[None].to(vae.device)
        with autocast(vae.device):
            clips.append(vae.encode(video).latent_dist.mode().transpose(1, 2).half().cpu() * vae.config.scaling_factor)
            alone = vae.encode(video[:, :, :1]).latent_dist
        both = torch.stack([alone.mean, alone.std], 1)[:, :, :, 0] * vae.config.scaling_factor
        anchors.append(both.half().cpu())
        covers.append(torch.from_numpy(_cover(s)))
    return {
        "scenarios": scenarios, "clips": torch.cat(clips), "anchors": torch.cat(anchors),
        "cover": torch.stack(covers).float(),
    }  # fmt: skip


def _cover(s: Scenario) -> np.ndarray:
    """How much of each latent cell the subject crosses while the cell lasts, [5, 12, 18]."""
    masks = np.stack([world.mask(s, n) for n in range(world.FRAMES)])
    cells = masks.reshape(world.FRAMES, HEIGHT, 8, WIDTH, 8).mean((2, 4))
    return np.stack([cells[0]] + [cells[4 * n - 3 : 4 * n + 1].max(0) for n in range(1, FRAMES)])


class Objective:
    """The loss, with the schedule and the rotary table that the stock pipeline will use."""

    def __init__(self, device: torch.device):
        self.alphas = scheduler().alphas_cumprod.float().to(device)
        self.rotary = get_3d_rotary_pos_embed(
            HEAD, ((0, 0), (HEIGHT // 2, WIDTH // 2)), (HEIGHT // 2, WIDTH // 2), FRAMES, device=device
        )

    def __call__(
        self, model: CogVideoXTransformer3DModel, x0: Tensor, anchor: Tensor, cover: Tensor, tokens: Tensor
    ) -> Tensor:
        """Weighted squared error of the predicted v, [n, 5, 16, 12, 18] given one anchor [n, 16, 12, 18] each."""
        time = torch.randint(1000, (len(x0),), device=x0.device)
        alpha = self.alphas[time].view(-1, 1, 1, 1, 1)
        noise = torch.randn_like(x0)
        image = torch.zeros_like(x0)
        image[:, 0] = anchor
        with autocast(x0.device):
            v = model(
                hidden_states=torch.cat([alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise, image], 2),
                encoder_hidden_states=tokens, timestep=time, image_rotary_emb=self.rotary, return_dict=False,
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


def main() -> None:
    args = parser(__doc__, "video", minutes=59, lr=0.02)
    args.add_argument("--clips", type=int, default=1200)
    args.add_argument("--batch", type=int, default=8)
    options = args.parse_args()
    device = setup(options)
    patient_attention()
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32).to(device).eval()
    path, seed = RUNS / options.name / "clips.pt", options.seed + 1
    data = cached(path, lambda: encode(vae, seed, options.clips), Scenario)
    run = Run(options, build().to(device))
    texts, objective = Texts(options.seed + run.step, device), Objective(device)
    for step in run.steps():
        picks = torch.randint(options.clips, (options.batch,))
        paragraphs = texts.paragraphs([data["scenarios"][pick] for pick in picks])
        paragraphs = ["" if drop else text for text, drop in zip(paragraphs, torch.rand(options.batch) < 0.1, strict=True)]
        mean, deviation = data["anchors"][picks].float().to(device).unbind(1)
        anchor = mean + deviation * torch.randn_like(mean) + 0.1 * torch.rand(()) * torch.randn_like(mean)
        x0, cover = data["clips"][picks].float().to(device), data["cover"][picks].to(device)
        run.update(objective(run.model, x0, anchor, cover, texts.tokens(paragraphs)))
        if step % 800 == 799:
            judge(run, vae, texts)
    judge(run, vae, texts, 12)


def judge(run: Run, vae: AutoencoderKLCogVideoX, texts: Texts, count: int = 5) -> None:
    """Export, draw clips of unseen scenarios from their true stills, and log what the oracle sees in them."""
    from training.pocket import oracle

    megabytes = export(run.ema, POCKET / "video" / "transformer")
    rng, pipe, scores = np.random.default_rng(999), pipeline(run.ema, vae), []
    for n in range(count):
        wanted = sample(rng)
        still = world.still(wanted)
        clip = draw(pipe, texts, texts.paragraphs([wanted])[0], still, steps=12, guidance=3.0, seed=n)
        seen = oracle.judge(clip)
        first = 10 * np.log10(255**2 / np.square(clip[0].astype(float) - still).mean())
        right = [getattr(seen, key) == getattr(wanted, key) for key in ("subject", "colour", "movement")]
        scores.append((*right, all(seen.present), first))
    names = ("subject", "colour", "movement", "present", "first_db")
    means = dict(zip(names, np.mean(scores, 0).round(3).tolist(), strict=True))
    run.log(**means, megabytes=megabytes)


if __name__ == "__main__":
    main()
