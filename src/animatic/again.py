"""From a clip's record back to what was asked for: a wish like it, and the command that makes it again.

Records come out of files of unknown hand: what they say is checked like any wish. Knows no model.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animatic import catalog, provenance
from animatic.errors import AnimaticError, InputError
from animatic.options import NAMES, resolve
from animatic.store import Store

LAST = "last"
STILL = "STILL.png"


def like(clip: str, folder: Path, image: str | Path | None = None) -> dict[str, Any]:
    """What a `Wish` takes to ask for the shot of an earlier clip, or still, again.

    clip   a file that Animatic wrote, or "last", the clip that was made last with the store in `folder`
    image  the still, if it is another; one that its user gave for that clip is taken from the store

    Raises InputError, also for a still that is there no more.
    """
    record = provenance.read(_last(folder) if clip == LAST else Path(clip))
    asked = wish(record)
    if asked.pop("given_still") and image is None:
        keys = record.get("keys")
        given = Store(folder).get(str(keys.get("image.given"))) if isinstance(keys, Mapping) else None
        if given is None:
            raise InputError(f"{clip} was made from a still of yours, which this store has no more: add --image FILE")
        image = given.path
    return {**asked, "image": image}


def remember(clip: Path, store: Path) -> None:
    """Note which clip was made last."""
    with contextlib.suppress(OSError):  # A convenience: not worth a clip.
        (store / LAST).write_text(f"{clip.absolute()}\n", "utf-8")


def wish(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's shot as a `Wish` takes it, and "given_still": whether the still was its user's; the record lacks it.

    Raises InputError for a record that does not name its shot.
    """
    try:
        prompt, preset, seed = str(record["prompt"]), str(record["preset"]), int(record["seed"])
        options = {name: value for name, value in record["options"].items() if name in NAMES}
        given = record.get("caption_source") == "user"
        caption = record["caption"] if given else None
        if given and not isinstance(caption, str):
            raise TypeError
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise InputError("the record does not say which shot it was: give a clip that Animatic made") from None
    return {
        "prompt": prompt,
        "seed": seed,
        "preset": preset,
        "options": differing(preset, options),
        "caption": caption,
        "given_still": record.get("still_source") == "user",
    }


def command(record: Mapping[str, Any]) -> str:
    """The command that makes a clip again; a still that its user gave is `STILL` in it. Raises InputError."""
    asked = wish(record)
    prompt, said = asked["prompt"], ["--preset", asked["preset"], "--seed", str(asked["seed"])]
    if asked["caption"] is not None:
        said += ["--caption", asked["caption"]]
    if asked["given_still"]:
        said += ["--image", STILL]
    for name, value in asked["options"].items():
        said += ["--set", f"{name}={'' if value is None else value}"]
    words = [*said, "--", prompt] if prompt.startswith("-") else [prompt, *said]
    return shlex.join(["animatic", "make", *words])


def differing(preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from those of a preset as it is now; of one that is not known, all."""
    try:
        usual = resolve(catalog.preset(preset).options)
    except AnimaticError:
        usual = {}
    return {
        name: value
        for name, value in options.items()
        if value is not None and value != usual.get(name) and not _follows(name, options)
    }


def _follows(name: str, options: Mapping[str, Any]) -> bool:
    """Whether it is the still's size, and just the clip's, which it would be anyway."""
    return name in ("image.width", "image.height") and options[name] == options.get(f"video.{name[6:]}")


def _last(store: Path) -> Path:
    try:
        return Path((store / LAST).read_text("utf-8").strip())
    except OSError:
        raise InputError("--like last: no clip was made with this store yet: give a clip's file") from None
