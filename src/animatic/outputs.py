"""What the user keeps of a clip: the film, the still, the caption, the record and a card, in one folder.

Five files of one name, written together once all are made, never over another's.
"""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import json
import platform
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from animatic import bitmap, card, files, film, media, xmp
from animatic.core import Shot
from animatic.credential import Credential
from animatic.events import Clip
from animatic.spec import ModelStage
from animatic.store import Artifact

SCHEMA = 1
_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "av", "pillow", "numpy")
_SUFFIXES = {"path": ".mp4", "still": ".png", "text": ".txt", "card": "-card.png", "sidecar": ".json"}
"""The sidecar comes last: where it is, the others are."""


@dataclass(frozen=True)
class Results:
    """What was made of a shot.

    caption    the caption artifact: text, source, attempts, repairs, ...
    still      PNG bytes
    models     facts about each stage's model: repository, revision or digests, licence
    keys       the key of each phase's artifact
    signature  names all that the clip follows from
    """

    shot: Shot
    caption: Mapping[str, Any]
    still: bytes
    models: Mapping[ModelStage, Mapping[str, Any]]
    keys: Mapping[str, str] = field(default_factory=dict)
    signature: str = ""

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the clip depends on, and nothing that differs between two equal runs on one machine."""
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
            "keys": dict(self.keys),
            "versions": _versions(),
        }


def encoded(results: Results, frames: Path) -> tuple[bytes, dict[str, Any]]:
    """The film, and its measures. `frames`: a .npy file, uint8 [frames, height, width, 3].

    The measures (`film.examine`) go into records, not into the film: they are no part of the recipe.
    """
    shot = results.shot
    encoding = media.Encoding(fps=shot.option("file.fps"), crf=shot.option("file.crf"))
    film_bytes = media.mp4_bytes(np.load(frames), encoding, shot.prompt, results.recipe)
    return film_bytes, film.examine(film_bytes, bitmap.read_png(results.still), shot.options)


class Outputs:
    """Writes clips into `folder`, which is made when it is not there. With a credential, film and still are signed."""

    def __init__(self, folder: Path, credential: Credential | None = None) -> None:
        self.folder = folder
        self._credential = credential

    def find(self, shot: Shot, signature: str) -> Clip | None:
        """The clip of a shot that was written here before, and is still here."""
        for name in free(stem(shot)):
            paths = self._paths(name)
            record = _record_in(paths["sidecar"])
            if record is None:
                return None
            if record.get("signature") == signature and paths["path"].exists():
                return replace(_clip(shot, paths, record), hit=True)
        raise AssertionError("unreachable: names never run out")

    def write(self, results: Results, artifact: Artifact, measured: Mapping[str, Any]) -> Clip:
        """Write the five files. Raises OutputError. `measured`: seconds and peaks of the phases."""
        still = bitmap.read_png(results.still)
        record = {**_record(results, measured), "measures": artifact.record.get("measures", {})}
        contents: dict[str, bytes | Path] = {
            "path": artifact.path,
            "still": _still(results, still),
            "text": f"{results.caption['text']}\n".encode(),
            "card": card.card_png(_card(results, still, media.frames_of(artifact.path), record)),
            "sidecar": json.dumps(record, ensure_ascii=False, indent=2).encode(),
        }
        if self._credential is not None:
            contents |= _signed(contents, self._credential, results)
        return self.keep(results.shot, contents, record)

    def keep(self, shot: Shot, contents: Mapping[str, bytes | Path], record: Mapping[str, Any]) -> Clip:
        """Write the five files of a clip as they are, by their fields in `Clip`. Raises OutputError."""
        paths = self._write_new(stem(shot), contents)
        return _clip(shot, paths, record)

    def _write_new(self, stem: str, contents: Mapping[str, bytes | Path]) -> dict[str, Path]:
        for name in free(stem):
            paths = self._paths(name)
            self._clear_half(paths, contents)
            if files.write_new({paths[what]: data for what, data in contents.items()}):
                return paths
        raise AssertionError("unreachable: names never run out")

    def _paths(self, name: str) -> dict[str, Path]:
        return {what: self.folder / f"{name}{suffix}" for what, suffix in _SUFFIXES.items()}

    def _clear_half(self, paths: Mapping[str, Path], contents: Mapping[str, bytes | Path]) -> None:
        """Remove what a run left that was killed while it wrote this very clip: its film, but no sidecar yet, which is
        written last.
        """
        film = contents["path"]
        there = [path for what, path in paths.items() if what != "card" and path.exists()]
        if paths["path"] in there and paths["sidecar"] not in there and isinstance(film, Path):
            ours = all(path.read_bytes() == _data(contents[what]) for what, path in paths.items() if path in there)
            if ours:
                for path in (*there, paths["card"]):
                    path.unlink(missing_ok=True)


def _clip(shot: Shot, paths: Mapping[str, Path], record: Mapping[str, Any]) -> Clip:
    return Clip(shot.id, **paths, caption=str(record["caption"]), record=record)  # type: ignore[arg-type]


def _data(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _record_in(sidecar: Path) -> dict[str, Any] | None:
    """The record in a sidecar; None: there is none to be read. One that is no record of ours is an empty one."""
    try:
        record = json.loads(sidecar.read_text("utf-8"))
    except OSError:
        return None
    except ValueError:
        return {}
    return record if isinstance(record, dict) and "caption" in record else {}


def stem(shot: Shot) -> str:
    """The name its user gave it, else `a-red-boat-sails-s0`: the prompt's words, as far as they fit a file name, and
    the seed.
    """
    if shot.name:
        return shot.name
    folded = unicodedata.normalize("NFKC", shot.prompt).lower()
    slug = re.sub(r"[^\w]+", "-", folded).strip("-_")
    while len(slug.encode()) > 60:
        slug = slug[:-1]
    slug = slug.rstrip("-_")
    return f"{slug or 'clip'}-s{shot.seed}"


def free(stem: str) -> Iterator[str]:
    """The name, then the name with 2, 3, ..., without end: what is there stays."""
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _still(results: Results, still: np.ndarray) -> bytes:
    shot = results.shot
    scale = shot.option("image.true_cfg_scale")
    guided = scale > 1
    parameters = bitmap.a1111_parameters(
        prompt=results.caption["text"],
        negative_prompt=shot.option("image.negative_prompt") if guided else "",
        steps=shot.option("image.num_inference_steps"),
        seed=shot.seed,
        guidance=scale if guided else shot.option("image.guidance_scale"),
        size=(still.shape[1], still.shape[0]),
        model=results.models["image"]["repo"],
    )
    return bitmap.png_bytes(still, "" if shot.still else parameters, results.recipe)


def _signed(contents: Mapping[str, bytes | Path], credential: Credential, results: Results) -> dict[str, bytes]:
    """Film and still, finished and signed. The user's own still is not: we cannot say what made it."""
    recipe, title = results.recipe, results.shot.prompt
    signed = {"path": credential.sign(_data(contents["path"]), "video/mp4", title, recipe, xmp.of_clip(recipe))}
    if source := xmp.of_still(recipe):
        signed["still"] = credential.sign(_data(contents["still"]), "image/png", title, recipe, source)
    return signed


def _record(results: Results, measured: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe, what became of it, and where: everything there is to know of a clip."""
    return {
        **results.recipe,
        "signature": results.signature,
        "refine": dict(results.caption),
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": {"python": platform.python_version(), "platform": platform.platform(), **_versions()},
        **measured,
    }


@functools.cache
def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


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
