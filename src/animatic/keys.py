"""Who may use a service: API keys, of which only hashes are kept, and the page's sessions that stand for them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from animatic.database import Database
from animatic.errors import InputError

PREFIX = "animatic"
SESSION = 30 * 86400.0
"""Seconds after which the page asks for the key again."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL, priority INTEGER NOT NULL, created REAL NOT NULL,
    revoked REAL);
CREATE TABLE IF NOT EXISTS sessions (hash BLOB PRIMARY KEY, key TEXT NOT NULL REFERENCES keys, until REAL NOT NULL)
"""


@dataclass(frozen=True)
class Key:
    """A key as its operator sees it. `id` owns its jobs; `revoked`: since when it opens nothing."""

    id: str
    name: str
    priority: int
    created: float
    revoked: float | None


class Keys:
    """The keys in a data folder."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder, SCHEMA)

    def add(self, name: str, priority: int = 0) -> tuple[Key, str]:
        """A new key, and what its holder sends: shown once, and kept nowhere. Raises InputError."""
        if not name.strip() or len(name) > 100:
            raise InputError("a key's name has 1 to 100 characters: say whose it is")
        key = Key(secrets.token_hex(6), name.strip(), priority, time.time(), None)
        secret = secrets.token_urlsafe(32)
        with self._database.writing(durable=True) as rows:
            rows.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, NULL)",
                         (key.id, key.name, _hash(secret), priority, key.created))  # fmt: skip
        return key, f"{PREFIX}_{key.id}_{secret}"

    def all(self) -> Sequence[Key]:
        return [_key(row) for row in self._database.rows.execute("SELECT * FROM keys ORDER BY created")]

    def any(self) -> bool:
        """Whether there is a key that opens something."""
        return self._database.rows.execute("SELECT 1 FROM keys WHERE revoked IS NULL LIMIT 1").fetchone() is not None

    def revoke(self, which: str) -> Key:
        """Take a key back, by its id or its name; its sessions end with it. Raises InputError."""
        mine = [key for key in self.all() if which in (key.id, key.name) and key.revoked is None]
        if len(mine) != 1:
            known = ", ".join(f"{key.name} ({key.id})" for key in self.all() if key.revoked is None) or "none"
            raise InputError(
                f"{'no key is' if not mine else f'{len(mine)} keys are'} called {which!r}; there are: {known}"
            )
        with self._database.writing(durable=True) as rows:
            rows.execute("UPDATE keys SET revoked = ? WHERE id = ?", (time.time(), mine[0].id))
            rows.execute("DELETE FROM sessions WHERE key = ?", (mine[0].id,))
        return mine[0]

    def holder(self, sent: str) -> Key | None:
        """Whose key this is; None: nobody's. The secret is compared in constant time."""
        prefix, _, rest = sent.partition("_")
        name, _, secret = rest.partition("_")
        row = self._database.rows.execute("SELECT * FROM keys WHERE id = ? AND revoked IS NULL", (name,)).fetchone()
        expected = row["hash"] if row is not None else bytes(32)
        if not hmac.compare_digest(_hash(secret), expected) or row is None or prefix != PREFIX:
            return None
        return _key(row)

    def open_session(self, key: Key) -> str:
        """What the page's cookie holds from now on, for a while."""
        token = secrets.token_urlsafe(32)
        with self._database.writing(durable=True) as rows:
            rows.execute("DELETE FROM sessions WHERE until < ?", (time.time(),))
            rows.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_hash(token), key.id, time.time() + SESSION))
        return token

    def in_session(self, token: str) -> Key | None:
        row = self._database.rows.execute(
            "SELECT keys.* FROM sessions JOIN keys ON keys.id = sessions.key "
            "WHERE sessions.hash = ? AND until > ? AND revoked IS NULL", (_hash(token), time.time())
        ).fetchone()  # fmt: skip
        return _key(row) if row is not None else None

    def close_session(self, token: str) -> None:
        with self._database.writing() as rows:
            rows.execute("DELETE FROM sessions WHERE hash = ?", (_hash(token),))


def _key(row: sqlite3.Row) -> Key:
    return Key(row["id"], row["name"], row["priority"], row["created"], row["revoked"])


def _hash(secret: str) -> bytes:
    """The secrets are 256 random bits: no salt or slow hash would make them harder to guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
