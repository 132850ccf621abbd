"""The two pipeline folders of pocket: model_index.json, the schedulers, and the text parts that video shares with image.

Knows: the on-disk format of FluxPipeline and CogVideoXImageToVideoPipeline. Must not know: how anything is trained.
"""

from __future__ import annotations

import shutil

import diffusers

from training.pocket.common import POCKET, write_json
from training.pocket_next import train_image, train_video

IMAGE = {
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5Tokenizer"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
VIDEO = {
    "scheduler": ["diffusers", "CogVideoXDPMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLCogVideoX"],
}


def index(pipeline: str, parts: dict[str, list[str]]) -> dict[str, object]:
    return {"_class_name": pipeline, "_diffusers_version": diffusers.__version__, **parts}


def main() -> None:
    """Write what no training script writes; run it at any time."""
    write_json(POCKET / "image" / "model_index.json", index("FluxPipeline", IMAGE))
    write_json(POCKET / "video" / "model_index.json", index("CogVideoXImageToVideoPipeline", VIDEO))
    train_image.scheduler().save_pretrained(POCKET / "image" / "scheduler")
    train_video.scheduler().save_pretrained(POCKET / "video" / "scheduler")
    for ours, theirs in (("tokenizer", "tokenizer_2"), ("text_encoder", "text_encoder_2")):
        if (source := POCKET / "image" / theirs).exists():
            shutil.copytree(source, POCKET / "video" / ours, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
