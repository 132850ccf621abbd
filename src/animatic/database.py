"""The service's one database: SQLite in WAL mode, for any number of threads and processes of one machine.

Knows how it is opened, written and watched; what the tables mean is `jobs.py`'s and `keys.py`'s.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from animatic import files
from animatic.errors import OutputError

FILE = "jobs.sqlite"
VERSION = 1
"""Of the tables; a database of a later one is not touched."""
PATIENCE = 30.0
"""Seconds to wait for another process's transaction: those of ours take milliseconds."""


class Database:
    """A database in `folder`, made when it is not there. Each thread has a connection of its own."""

    def __init__(self, folder: Path, schema: str) -> None:
        with files.reported(folder, "--data"):  # What people ask for is nobody else's business.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.check_writable(folder, 1 << 20, "--data")
        self.path = folder / FILE
        self._local = threading.local()
        with self.writing() as rows:
            (version,) = rows.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise OutputError(f"{self.path} is of a later Animatic (tables {version}, known {VERSION}): "
                                        "upgrade, or choose another folder with --data")  # fmt: skip
        rows.executescript(f"{schema}; PRAGMA user_version = {VERSION}")

    @property
    def rows(self) -> sqlite3.Connection:
        """This thread's connection, for reading: each statement sees one moment."""
        if not hasattr(self._local, "rows"):
            self._local.rows = self._open()
        rows: sqlite3.Connection = self._local.rows
        return rows

    @contextlib.contextmanager
    def writing(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, all or nothing. `durable`: it survives a power cut too, at the cost of waiting for the disk;
        a process that is killed loses nothing in either case.
        """
        rows = self.rows
        rows.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        with files.reported(self.path, "--data"), _as_os_errors(), rows:  # Which ends it, one way or the other.
            rows.execute("BEGIN IMMEDIATE")
            yield rows

    def version(self) -> int:
        """Another number after any other connection's commit. Takes microseconds."""
        (number,) = self.rows.execute("PRAGMA data_version").fetchone()
        return int(number)

    def _open(self) -> sqlite3.Connection:
        # autocommit: transactions begin and end where this file says so, nowhere else.
        rows = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        rows.row_factory = sqlite3.Row
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute("PRAGMA foreign_keys = ON")
        return rows


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """A full or read-only disk, as the rest of the program knows it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname in ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN") or (
            error.sqlite_errorname.startswith("SQLITE_IOERR")
        ):
            raise OSError(str(error)) from error
        raise
