"""What the user keeps of a clip: the film, the still, the caption, the record and a card, in one folder.

Five files of one name, written together once all are made, never over another's.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animatic import card, files, film, media
from animatic.core import Clip, Shot
from animatic.spec import ModelStage

SCHEMA = 1
_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "av", "pillow", "numpy")
_SUFFIXES = {"path": ".mp4", "still": ".png", "text": ".txt", "sidecar": ".json", "card": "-card.png"}


@dataclass(frozen=True)
class Results:
    """What was made of a shot.

    caption   the caption artifact: text, source, attempts, repairs, ...
    still     PNG bytes
    frames    a .npy file: uint8 [frames, height, width, 3]
    models    facts about each stage's model: repository, revision or digests, licence
    """

    shot: Shot
    caption: Mapping[str, Any]
    still: bytes
    frames: Path
    models: Mapping[ModelStage, Mapping[str, Any]]

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the clip depends on, and nothing that differs between two equal runs."""
        shot = self.shot
        return {
            "schema": SCHEMA,
            "animatic": importlib.metadata.version("animatic"),
            "prompt": shot.prompt,
            "caption": self.caption["text"],
            "caption_source": self.caption["source"],
            "still_source": "user" if shot.still else "model",
            "seed": shot.seed,
            "preset": shot.preset,
            "options": dict(shot.options),
            "models": {stage: dict(facts) for stage, facts in self.models.items()},
        }


class Outputs:
    """Writes clips into `folder`, which is made when it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, results: Results, measured: Mapping[str, Any]) -> Clip:
        """Write the five files. Raises OutputError. `measured`: seconds and peaks of the phases.

        The clip's measures (`film.examine`) go into its record, not into the file: they are not part of the recipe.
        """
        frames = np.load(results.frames)
        still = media.read_png(results.still)
        clip = _mp4(results, frames)
        record = {**_record(results, measured), "measures": film.examine(clip, still, results.shot.options)}
        contents = {
            "path": clip,
            "still": _still(results, still),
            "text": f"{results.caption['text']}\n".encode(),
            "sidecar": json.dumps(record, ensure_ascii=False, indent=2).encode(),
            "card": card.card_png(_card(results, still, frames, record)),
        }
        paths = self._write_new(_stem(results.shot), contents)
        return Clip(results.shot.id, **paths, caption=str(results.caption["text"]), record=record)

    def _write_new(self, stem: str, contents: Mapping[str, bytes]) -> dict[str, Path]:
        for name in _free(stem):
            paths = {what: self.folder / f"{name}{_SUFFIXES[what]}" for what in contents}
            if files.write_new({paths[what]: data for what, data in contents.items()}):
                return paths
        raise AssertionError("unreachable: names never run out")


def _stem(shot: Shot) -> str:
    """`a-red-boat-sails-s0`: the prompt's words, as far as they fit a file name, and the seed."""
    folded = unicodedata.normalize("NFKC", shot.prompt).lower()
    slug = re.sub(r"[^\w]+", "-", folded).strip("-_")
    while len(slug.encode()) > 60:
        slug = slug[:-1]
    slug = slug.rstrip("-_")
    return f"{slug or 'clip'}-s{shot.seed}"


def _free(stem: str) -> Iterator[str]:
    """The name, then the name with 2, 3, ...: what is there stays."""
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _mp4(results: Results, frames: np.ndarray) -> bytes:
    shot = results.shot
    encoding = media.Encoding(fps=shot.option("file.fps"), crf=shot.option("file.crf"))
    return media.mp4_bytes(frames, encoding, shot.prompt, results.recipe)


def _still(results: Results, still: np.ndarray) -> bytes:
    shot = results.shot
    parameters = media.a1111_parameters(
        prompt=results.caption["text"],
        negative_prompt="",
        steps=shot.option("image.num_inference_steps"),
        seed=shot.seed,
        guidance=shot.option("image.guidance_scale"),
        size=(still.shape[1], still.shape[0]),
        model=results.models["image"]["repo"],
    )
    return media.png_bytes(still, "" if shot.still else parameters, results.recipe)


def _record(results: Results, measured: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe, what became of it, and where: everything there is to know of a clip."""
    return {
        **results.recipe,
        "refine": dict(results.caption),
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        **measured,
    }


def _card(results: Results, still: np.ndarray, frames: np.ndarray, record: Mapping[str, Any]) -> card.Card:
    seconds = sum(phase["seconds"] for phase in record["phases"].values()) + sum(record["loads"].values())
    count, height, width = frames.shape[:3]
    facts = (
        ("models", " + ".join(dict.fromkeys(_short(model["repo"]) for model in results.models.values()))),
        ("seed", str(results.shot.seed)),
        ("size", f"{width}x{height}"),
        ("length", f"{count / results.shot.option('file.fps'):.1f} s"),
        ("made in", _duration(seconds)),
    )
    four = [int(index) for index in np.linspace(0, len(frames) - 1, 4).round()]
    times = tuple(index / results.shot.option("file.fps") for index in four)
    text = str(results.caption["text"])
    return card.Card(results.shot.prompt, text, still, [frames[index] for index in four], facts, times)


def _short(repo: str) -> str:
    """`FLUX.1-dev` of `black-forest-labs/FLUX.1-dev`; `pocket` of `pocket:image`."""
    return repo.partition(":")[0].rstrip("/").rpartition("/")[2]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
