"""Where a service keeps what it made: a folder, or any file system that fsspec knows (s3://bucket/prefix, gcs://, ...).

Names are ours, `ID/video.mp4`, never a client's. Local files can be served as they are; others are passed through.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from animatic import files
from animatic.errors import OutputError

KEPT: Mapping[str, tuple[str, str]] = {
    "video": ("video.mp4", "video/mp4"),
    "thumbnail": ("thumbnail.webp", "image/webp"),
    "spritesheet": ("spritesheet.jpg", "image/jpeg"),
    "still": ("still.png", "image/png"),
    "card": ("card.png", "image/png"),
    "caption": ("caption.txt", "text/plain; charset=utf-8"),
    "record": ("record.json", "application/json"),
}
"""What is kept of a clip: the file, and what it is."""


class Storage(Protocol):
    def put(self, name: str, file: Path) -> None:
        """Keep a file under a name; what was there is replaced, at once. Raises OutputError."""

    def local(self, name: str) -> Path | None:
        """Where it lies in a folder of this machine; None: it is elsewhere, or not there."""

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        """A kept file to be read, seekable, and its bytes; None: it is not there. Raises OutputError."""

    def remove(self, folder: str) -> None:
        """Forget all of a folder; one that is not there is forgotten already. Raises OutputError."""


class Folder:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, file: Path) -> None:
        path = self._folder / name
        with files.reported(path, "--data"):
            path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, file, "--data")

    def local(self, name: str) -> Path | None:
        path = self._folder / name
        return path if path.is_file() else None

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        path = self.local(name)
        return None if path is None else (path.open("rb"), path.stat().st_size)

    def remove(self, folder: str) -> None:
        path = self._folder / folder
        with files.reported(path, "--data"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)


class Remote:
    """Files in a file system of fsspec's. Its credentials come from its own configuration, as it documents."""

    def __init__(self, url: str) -> None:
        import fsspec  # here, because few need it

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise OutputError(f"--storage {url}: {error}") from error

    def put(self, name: str, file: Path) -> None:
        with self._reported(name):
            path = self._path(name)
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(file), path)

    def local(self, name: str) -> Path | None:  # noqa: ARG002 - nothing is
        return None

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        with self._reported(name):
            try:
                return self._files.open(self._path(name), "rb"), int(self._files.size(self._path(name)))
            except FileNotFoundError:
                return None

    def remove(self, folder: str) -> None:
        with self._reported(folder), contextlib.suppress(FileNotFoundError):
            self._files.rm(self._path(folder), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _reported(self, name: str) -> Any:
        return files.reported(Path(name), "--storage")


def storage(url: str | None, data: Path) -> Storage:
    """The storage of a service with its data in a folder. `url`: elsewhere. Raises OutputError."""
    return Folder(data / "videos") if url is None else Remote(url)
