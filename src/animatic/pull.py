"""Downloads a preset's models into the Hugging Face cache: the size first, only the files that are used.

The one file that talks to the Hub. Only safetensors: pickles, variants and duplicates are never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animatic import machine
from animatic.catalog import ModelSpec, Preset, locate
from animatic.errors import WeightsError

Progress = Callable[[str, int, int], None]
"""Called with the repository, the bytes that have come, and the bytes it takes."""

CHAT_FILES = (
    "config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json",
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "*.jinja",
)  # fmt: skip
COMPONENT_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
NEVER = (
    "original/*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5", "*.onnx", "*.gguf",
    "*.fp16.*", "*.non_ema.*", "*consolidated*",
)  # fmt: skip


@dataclass(frozen=True)
class Download:
    """What one model lacks on this machine: its missing files, and their bytes."""

    spec: ModelSpec
    files: tuple[str, ...]
    nbytes: int


def pull_plan(preset: Preset) -> tuple[Download, ...]:
    """What is to be downloaded for a preset; empty when all of it is here. Asks the Hub for sizes alone.

    Raises WeightsError: a gated repository, no network, no such repository, a folder that is not there.
    """
    return tuple(_plan(spec) for spec in _missing(preset))


def pull(preset: Preset, progress: Progress | None = None, plan: tuple[Download, ...] | None = None) -> None:
    """Download what `plan` (by default `pull_plan`) says. What was interrupted goes on where it stopped.

    Raises WeightsError as `pull_plan` does, and when the disk is too small.
    """
    downloads = pull_plan(preset) if plan is None else plan
    check_disk(downloads)
    for download in downloads:
        _snapshot(download.spec, tqdm_class=_bar(download, progress))
        if locate(download.spec) is None:
            raise WeightsError(f"{download.spec.repo} has not all files: are its weights safetensors?")


def check_disk(downloads: tuple[Download, ...]) -> None:
    """Raises WeightsError, with the numbers, when the cache's disk is too small for all of them."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    need, free = sum(download.nbytes for download in downloads), machine.disk_free(cache)
    if need > free:
        raise WeightsError(
            f"the download takes {need / 1e9:.1f} GB and {cache} has {free / 1e9:.1f} GB free: "
            "free some space, or set HF_HOME to a folder on a larger disk"
        )


def patterns(spec: ModelSpec) -> list[str]:
    """The files that are used, as the Hub's patterns ("*" also matches a slash)."""
    if spec.family == "chat":
        return list(CHAT_FILES)
    return ["model_index.json", *(f"{part}/{files}" for part in spec.components for files in COMPONENT_FILES)]


def _missing(preset: Preset) -> Iterator[ModelSpec]:
    for spec in preset.models.values():
        if locate(spec) is not None:
            continue
        if spec.is_local:
            raise WeightsError(f"{spec.repo} is missing or not whole: preset {preset.name!r} needs it")
        yield spec


def _plan(spec: ModelSpec) -> Download:
    files = [file for file in _snapshot(spec, dry_run=True) if file.will_download]
    return Download(spec, tuple(file.filename for file in files), sum(file.file_size or 0 for file in files))


def _snapshot(spec: ModelSpec, **options: Any) -> Any:
    import huggingface_hub
    from huggingface_hub.errors import XetDownloadError

    try:
        return huggingface_hub.snapshot_download(
            spec.repo,
            revision=spec.revision,
            allow_patterns=patterns(spec),
            ignore_patterns=list(NEVER),
            **{"tqdm_class": _bar(None, None), **options},
        )
    except (OSError, XetDownloadError) as error:  # the library's network and Hub errors are OSErrors
        raise WeightsError(_why(spec, error)) from error


def _why(spec: ModelSpec, error: BaseException) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    causes = list(_causes(error))
    page = f"https://huggingface.co/{spec.repo}"
    if any(isinstance(cause, GatedRepoError) for cause in causes):  # itself a RepositoryNotFoundError: asked first
        return f"{spec.repo} is gated: accept the licence at {page}, then `hf auth login` (or set HF_TOKEN)"
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return f"{page} does not exist, or is private: check the name, and log in with `hf auth login`"
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return f"{page} has no revision {spec.revision}"
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return f"{spec.repo} is not here, and HF_HUB_OFFLINE forbids to download it: unset it, or {_INSTEAD}"
    first = str(causes[-1]).strip().partition("\n")[0]
    return f"{spec.repo} cannot be downloaded ({first}): check the network and try again, or {_INSTEAD}"


_INSTEAD = "register a local folder of it"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the root last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _bar(download: Download | None, progress: Progress | None) -> type[Any]:
    """A bar class for the library, which draws nothing and tells `progress` of the bytes written."""
    from huggingface_hub.utils import tqdm

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.counts = kwargs.get("unit") == "B" and not str(kwargs.get("name")).endswith("transfer")
            self.done = 0
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.done += int(n or 0)
            if self.counts and download and progress:
                progress(download.spec.repo, min(self.done, download.nbytes), download.nbytes)
            return None

    return Silent
