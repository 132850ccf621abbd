"""Takes in a picture from anybody: decoded in full and encoded anew, by a process of its own that has little to lose.

A picture takes many times its file's bytes while it is decoded, and decoders have had holes: neither is the server's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import IO

from animatic import bitmap, files
from animatic.errors import ImageError, OutputError

MEMORY = 4 << 30
"""Bytes of addresses: of libraries most of them, which are not in memory."""
SECONDS = 60
NAME = "the picture"


def take(source: IO[bytes], folder: Path, max_pixels: int) -> str:
    """Keep a picture in `folder`, as a PNG. Returns the file's name, which is its SHA-256 and .png.

    source  an open file of the system's

    Raises ImageError and OutputError.
    """
    source.seek(0)
    command = [sys.executable, "-m", "animatic.intake", str(folder), str(max_pixels)]
    try:
        done = subprocess.run(command, stdin=source, capture_output=True, timeout=SECONDS, check=False)
        said = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise ImageError(f"{NAME} could not be decoded: give a PNG, JPEG or WebP") from None
    if "full" in said:
        raise OutputError(said["full"])
    if "error" in said:
        raise ImageError(said["error"])
    return str(said["name"])


def main() -> None:
    """The process: reads a picture from standard input, says what became of it as JSON."""
    with contextlib.suppress(ImportError):  # Not every system has limits.
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    folder, max_pixels = Path(sys.argv[1]), int(sys.argv[2])
    try:
        png = bitmap.png_bytes(bitmap.picture(sys.stdin.buffer.read(), NAME, max_pixels))
        name = f"{hashlib.sha256(png).hexdigest()}.png"
        files.write(folder / name, png, "--data")  # Also where it is there: it counts as new again.
        said = {"name": name}
    except ImageError as error:
        said = {"error": str(error)}
    except OutputError as error:
        said = {"full": str(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
