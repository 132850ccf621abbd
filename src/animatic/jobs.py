"""The service's durable queue: jobs, what happens to them, and who works on them.

Jobs are precious: each change is a transaction, and a killed process loses nothing. A worker holds its jobs by a lease
that it renews; whoever finds one that has run out may go on with the job. Knows nothing of HTTP, nor of how clips are
made.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from animatic import commission as commissions
from animatic import turns
from animatic.commission import Commission, Kind
from animatic.database import Database
from animatic.errors import AnimaticError
from animatic.turns import Waiting

Status = Literal["queued", "in_progress", "completed", "failed"]
Wanted = Literal["", "cancel", "restart", "remove"]
"""What a running job's worker is asked to do with it."""

LEASE = 30.0
"""Seconds for which a worker's jobs are its own after it was last heard of."""
BEAT = 2.0
"""Seconds between two signs of a worker's life."""
ALIVE = 15.0
"""Seconds since the last for which it is taken to be alive."""
ATTEMPTS = 3
"""How often a job may take its worker down without getting any further."""
DRAWN = ("caption", "stills", "scores", "picked")
"""What of a job's state a new paragraph makes void."""
THERE = "wanted != 'remove'"
CANCELLED = {"code": "cancelled", "message": "it was cancelled"}
CRASHED = {"code": "worker_crashed", "message": f"its worker died {ATTEMPTS} times without getting any further"}

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, kind TEXT NOT NULL,
    models TEXT NOT NULL, priority INTEGER NOT NULL, status TEXT NOT NULL, waiting TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL, finished REAL, asked TEXT NOT NULL, state TEXT NOT NULL,
    worker TEXT NOT NULL DEFAULT '', lease REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    wanted TEXT NOT NULL DEFAULT '', token TEXT, body TEXT);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, waiting);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, kind, number);
CREATE INDEX IF NOT EXISTS jobs_by_worker ON jobs (worker) WHERE worker != '';
CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_token ON jobs (owner, token) WHERE token IS NOT NULL;
CREATE TABLE IF NOT EXISTS removed (id TEXT PRIMARY KEY);
CREATE TRIGGER IF NOT EXISTS job_removed AFTER DELETE ON jobs BEGIN INSERT OR IGNORE INTO removed VALUES (old.id); END;
CREATE TABLE IF NOT EXISTS gone (id TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS job_gone AFTER DELETE ON jobs BEGIN
    INSERT OR IGNORE INTO gone VALUES (old.id, old.number); DELETE FROM gone WHERE number < old.number - 100000; END;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE, data TEXT);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job);
CREATE TABLE IF NOT EXISTS previews (
    job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE, png BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS served (owner TEXT PRIMARY KEY, turn INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS workers (
    name TEXT PRIMARY KEY, pid INTEGER NOT NULL, seen REAL NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hooks (
    job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE, tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0)
"""


class QueueFull(AnimaticError):
    pass


class TokenReused(AnimaticError):
    """An idempotency key came again with another body."""


@dataclass(frozen=True)
class Job:
    """One entry in the queue.

    number    counts up with age
    waiting   "caption" or "still": what somebody is asked for; else empty
    state     what is known of it so far, as JSON-able data: progress, stage, caption, error, ...
    attempts  how often it was begun since it last got further
    """

    number: int
    id: str
    owner: str
    kind: Kind
    status: Status
    waiting: str
    priority: int
    created: float
    finished: float | None
    commission: Commission
    state: Mapping[str, Any]
    worker: str
    attempts: int
    wanted: Wanted

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed")


@dataclass
class Change:
    """What a worker has to say of one of its jobs: its state, what happened (None: no more than that), a preview."""

    state: Mapping[str, Any]
    events: list[Mapping[str, Any]] = field(default_factory=list)
    preview: bytes | None = None
    further: bool = False


@dataclass(frozen=True)
class Happened:
    """An event of a job. `data` None: the job itself has changed, and is to be looked at."""

    seq: int
    job: int
    data: str | None


class Jobs:
    """The queue in a data folder, for any number of processes."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder, SCHEMA)

    # ---------------------------------------------------------------------------------------------- for clients

    def add(
        self,
        owner: str,
        commission: Commission,
        state: Mapping[str, Any],
        *,
        priority: int = 0,
        limit: int = 1 << 31,
        token: str | None = None,
        body: str = "",
    ) -> Job:
        """Put a job into the queue, for good: it survives whatever comes once this returns.

        limit  jobs that may wait at a time
        token  the client's idempotency key; with the same `body`, a hash, it gives the job that was added with it

        Raises QueueFull and TokenReused.
        """
        with self.database.writing(durable=True) as rows:
            if token is not None and (there := self._by_token(rows, owner, token, body)) is not None:
                return there
            (waiting,) = rows.execute("SELECT count(*) FROM jobs WHERE status = 'queued'").fetchone()
            if waiting >= limit:
                raise QueueFull(f"{waiting:,} jobs wait already, and the limit is {limit:,}: try again later")
            name = f"{commission.kind}_{secrets.token_hex(12)}"
            added = rows.execute(
                "INSERT INTO jobs (id, owner, kind, models, priority, status, created, asked, state, token, body) "
                "VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?) RETURNING *",
                (name, owner, commission.kind, commission.models, priority, time.time(), commission.dumps(),
                 _json(state), token, body),
            ).fetchone()  # fmt: skip
            if commission.webhook is not None:
                rows.execute("INSERT INTO hooks (job) VALUES (?)", (added["number"],))
            return _job(added)

    def get(self, name: str, owner: str | None = None) -> Job | None:
        """A job by its id. `owner`: only if it is theirs; None: anybody's."""
        row = self.database.rows.execute(f"SELECT * FROM jobs WHERE id = ? AND {THERE}", (name,)).fetchone()
        return _job(row) if row is not None and owner in (None, row["owner"]) else None

    def page(self, owner: str, kind: Kind, after: str | None, limit: int, newest_first: bool) -> tuple[list[Job], bool]:
        """Up to `limit` jobs of an owner, those after the job `after`, and whether there are more.

        One that was removed still has its place: who removes what is listed goes on after it. Raises LookupError for
        one that never was, or is another's.
        """
        place = self._place(after, owner) if after else None
        edge, way = ("<", "DESC") if newest_first else (">", "ASC")
        where, values = f"owner = ? AND kind = ? AND {THERE}", [owner, kind]
        if place is not None:
            where += f" AND number {edge} {place}"
        found = self.database.rows.execute(
            f"SELECT * FROM jobs WHERE {where} ORDER BY number {way} LIMIT ?", (*values, limit + 1)
        ).fetchall()
        return [_job(row) for row in found[:limit]], len(found) > limit

    def _place(self, name: str, owner: str) -> int:
        row = self.database.rows.execute(
            "SELECT number FROM jobs WHERE id = ? AND owner = ? UNION ALL SELECT number FROM gone WHERE id = ?",
            (name, owner, name),
        ).fetchone()
        if row is None:
            raise LookupError(name)
        return int(row["number"])

    def cancel(self, name: str) -> None:
        """Stop a job. One that a worker has is stopped by it, within a step; any other at once."""
        with self.database.writing(durable=True) as rows:
            if self._ask(rows, name, "cancel"):
                return
            for row in rows.execute(
                "UPDATE jobs SET status = 'failed', waiting = '', finished = ?, "
                "state = json_set(state, '$.error', json(?)) "
                "WHERE id = ? AND status IN ('queued', 'in_progress') RETURNING number",
                (time.time(), _json(CANCELLED), name),
            ).fetchall():
                _tell(rows, row["number"])

    def change(self, name: str, commission: Commission, anew: bool) -> None:
        """Go on with a job by another commission, from wherever it stands. `anew`: its stills are void."""
        with self.database.writing(durable=True) as rows:
            rows.execute(
                "UPDATE jobs SET asked = ?, models = ? WHERE id = ? AND status IN ('queued', 'in_progress')",
                (commission.dumps(), commission.models, name),
            )
            if self._ask(rows, name, "restart"):
                return
            void = [f"$.{what}" for what in (*DRAWN, "progress")] if anew else []
            state = ", ".join(("state", *("?" for _ in void)))
            for row in rows.execute(
                f"UPDATE jobs SET status = 'queued', waiting = '', state = json_remove({state}) "
                "WHERE id = ? AND status IN ('queued', 'in_progress') RETURNING number",
                (*void, name),
            ).fetchall():
                _tell(rows, row["number"])

    def remove(self, name: str) -> bool:
        """Forget a job: from now on it is not there. False: a worker has it still, and removes it within a step."""
        with self.database.writing(durable=True) as rows:
            if self._ask(rows, name, "remove"):
                return False
            rows.execute("DELETE FROM jobs WHERE id = ?", (name,))
            return True

    def removed(self) -> list[str]:
        """Jobs that are gone, but whose files may not be."""
        return [row["id"] for row in self.database.rows.execute("SELECT id FROM removed")]

    def cleared(self, name: str) -> None:
        """Of a job that is gone, nothing is kept any more."""
        with self.database.writing() as rows:
            rows.execute("DELETE FROM removed WHERE id = ?", (name,))

    def _ask(self, rows: sqlite3.Connection, name: str, what: Wanted) -> bool:
        """Ask the worker that has a job; False: none has. A cancelled job is not begun anew, a removed one is gone."""
        rows.execute(
            "UPDATE jobs SET wanted = ? WHERE id = ? AND worker != '' AND wanted IN ('', 'restart', ?)",
            (what, name, "cancel" if what == "remove" else ""),
        )
        (held,) = rows.execute("SELECT count(*) FROM jobs WHERE id = ? AND worker != ''", (name,)).fetchone()
        return bool(held)

    def _by_token(self, rows: sqlite3.Connection, owner: str, token: str, body: str) -> Job | None:
        row = rows.execute("SELECT * FROM jobs WHERE owner = ? AND token = ?", (owner, token)).fetchone()
        if row is not None and row["body"] != body:
            raise TokenReused("the Idempotency-Key was used before, with another body: choose a new one")
        return None if row is None else _job(row)

    # ------------------------------------------------------------------------------------------- for those who look

    def happened(self, after: int, job: int | None = None) -> list[Happened]:
        """What happened after an event, to one job or to all, in order."""
        where, values = ("seq > ?", [after]) if job is None else ("job = ? AND seq > ?", [job, after])
        found = self.database.rows.execute(f"SELECT seq, job, data FROM events WHERE {where} ORDER BY seq", values)
        return [Happened(*row) for row in found]

    def last_event(self) -> int:
        (last,) = self.database.rows.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(last)

    def preview(self, job: Job) -> bytes | None:
        """The picture of the last denoising step, a PNG."""
        row = self.database.rows.execute("SELECT png FROM previews WHERE job = ?", (job.number,)).fetchone()
        return None if row is None else row["png"]

    def order(self) -> list[tuple[int, float]]:
        """The waiting jobs' numbers, in the order of their turns, and the seconds each is expected to take."""
        rows = self.database.rows
        found = rows.execute(
            "SELECT number, owner, priority, models, coalesce(json_extract(state, '$.estimate'), 0) "
            "FROM jobs WHERE status = 'queued'"
        ).fetchall()
        estimates = {row["number"]: row[-1] for row in found}
        waiting = [Waiting(*row[:-1]) for row in found]
        return [(one.number, estimates[one.number]) for one in turns.order(waiting, self._served(rows))]

    def counts(self) -> dict[str, int]:
        """Jobs by status; those that wait for somebody as "waiting"."""
        found = self.database.rows.execute(
            "SELECT iif(waiting = '', status, 'waiting') AS what, count(*) FROM jobs GROUP BY what"
        )
        return dict(found.fetchall())

    def workers(self) -> dict[str, dict[str, Any]]:
        """What the workers last said of themselves, and "alive": whether that was lately."""
        found = self.database.rows.execute("SELECT * FROM workers ORDER BY name")
        now = time.time()
        return {row["name"]: {**json.loads(row["facts"]), "alive": now - row["seen"] < ALIVE} for row in found}

    # ---------------------------------------------------------------------------------------------- for workers

    def claimable(self) -> set[str]:
        """The `models` of the jobs that wait for a worker, or whose worker's lease has run out."""
        found = self.database.rows.execute(
            "SELECT DISTINCT models FROM jobs WHERE status = 'queued' OR (worker != '' AND lease < ?)", (time.time(),)
        )
        return {models for (models,) in found}

    def claim(self, worker: str, sizes: Mapping[str, int]) -> list[Job]:
        """Take the jobs whose turn it is; empty: none waits. `sizes`: how many of some models go together; else one."""
        with self.database.writing() as rows:
            self._reclaim(rows, "lease < ?", time.time())
            waiting, served = self._waiting(rows), self._served(rows)
            head = next(turns.order(waiting, served), None)
            if head is None:
                return []
            numbers = [one.number for one in turns.group(waiting, served, sizes.get(head.models, 1))]
            rows.execute(
                "INSERT OR REPLACE INTO served VALUES (?, ?)", (head.owner, max(served.values(), default=0) + 1)
            )
            taken = rows.execute(
                "UPDATE jobs SET status = 'in_progress', worker = ?, lease = ?, attempts = attempts + 1 "
                f"WHERE status = 'queued' AND number {_in(numbers)} RETURNING *",
                (worker, time.time() + LEASE, *numbers),
            ).fetchall()
            for number in numbers:
                _tell(rows, number)
            return sorted(map(_job, taken), key=lambda job: numbers.index(job.number))

    def beat(self, worker: str, pid: int, facts: Mapping[str, Any]) -> None:
        """A worker is alive: it keeps its jobs."""
        with self.database.writing() as rows:
            now = time.time()
            rows.execute("UPDATE jobs SET lease = ? WHERE worker = ?", (now + LEASE, worker))
            rows.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)", (worker, pid, now, _json(facts)))

    def wanted(self, worker: str) -> dict[int, Wanted]:
        """What a worker is asked to do with jobs of its own, by their numbers."""
        found = self.database.rows.execute(
            "SELECT number, wanted FROM jobs WHERE worker = ? AND wanted != ''", (worker,)
        )
        return dict(found.fetchall())

    def note(self, worker: str, changes: Mapping[int, Change]) -> None:
        """Write down what happened to some jobs of a worker, at once."""
        with self.database.writing() as rows:
            for number, change in changes.items():
                held = rows.execute(
                    "UPDATE jobs SET state = ?, attempts = iif(?, 0, attempts) WHERE number = ? AND worker = ?",
                    (_json(change.state), change.further, number, worker),
                ).rowcount
                if not held:
                    continue
                rows.executemany("INSERT INTO events (job, data) VALUES (?, ?)",
                                 [(number, _json(event)) for event in change.events])  # fmt: skip
                _tell(rows, number)
                if change.preview is not None:
                    rows.execute("INSERT OR REPLACE INTO previews VALUES (?, ?)", (number, change.preview))

    def settle(self, worker: str, number: int, status: Status, state: Mapping[str, Any], waiting: str = "") -> Wanted:
        """A worker is done with a job, for now or for ever; unless something else was wanted meanwhile: what that was.

        A cancelled job fails, one that is to begin anew waits again, a removed one is gone, whatever `status` says.
        """
        with self.database.writing(durable=True) as rows:
            row = rows.execute("SELECT wanted FROM jobs WHERE number = ? AND worker = ?", (number, worker)).fetchone()
            if row is None:
                return ""
            wanted: Wanted = row["wanted"]
            if wanted == "remove":
                rows.execute("DELETE FROM jobs WHERE number = ?", (number,))
                return wanted
            if wanted == "cancel":
                status, state, waiting = "failed", {**state, "error": CANCELLED}, ""
            elif wanted == "restart":
                status, waiting = "queued", ""
                state = {**{name: value for name, value in state.items() if name not in DRAWN}, "progress": 0}
            over = status in ("completed", "failed")
            rows.execute(
                "UPDATE jobs SET status = ?, waiting = ?, state = ?, worker = '', wanted = '', attempts = 0, "
                "finished = ? WHERE number = ?",
                (status, waiting, _json(state), time.time() if over else None, number),
            )
            if over:
                rows.execute("DELETE FROM previews WHERE job = ?", (number,))
            _tell(rows, number)
            return wanted

    def release(self, worker: str, died: bool = False) -> None:
        """Give back all jobs of a worker that has died, or is about to end: then it was not their fault."""
        with self.database.writing(durable=True) as rows:
            if not died:
                rows.execute("UPDATE jobs SET attempts = max(attempts - 1, 0) WHERE worker = ?", (worker,))
            self._reclaim(rows, "worker = ?", worker)
            rows.execute("DELETE FROM workers WHERE name = ?", (worker,))

    def _reclaim(self, rows: sqlite3.Connection, which: str, value: Any) -> None:
        """Let jobs that nobody works on any more wait again; those that should stop, or cannot be made, fail."""
        now = time.time()
        gone = rows.execute(f"SELECT number, wanted, attempts FROM jobs WHERE worker != '' AND {which}", (value,))
        for row in gone.fetchall():
            if row["wanted"] == "remove":
                rows.execute("DELETE FROM jobs WHERE number = ?", (row["number"],))
                continue
            error = CANCELLED if row["wanted"] == "cancel" else CRASHED if row["attempts"] >= ATTEMPTS else None
            if error is not None:
                rows.execute(
                    "UPDATE jobs SET status = 'failed', finished = ?, state = json_set(state, '$.error', json(?)) "
                    "WHERE number = ?", (now, _json(error), row["number"]))  # fmt: skip
            else:
                rows.execute("UPDATE jobs SET status = 'queued' WHERE number = ?", (row["number"],))
            rows.execute("UPDATE jobs SET worker = '', wanted = '' WHERE number = ?", (row["number"],))
            _tell(rows, row["number"])

    def _waiting(self, rows: sqlite3.Connection) -> list[Waiting]:
        found = rows.execute("SELECT number, owner, priority, models, attempts > 0 FROM jobs WHERE status = 'queued'")
        return [Waiting(*row) for row in found]

    def _served(self, rows: sqlite3.Connection) -> dict[str, int]:
        return dict(rows.execute("SELECT owner, turn FROM served").fetchall())

    # ------------------------------------------------------------------------------------------ for who keeps house

    def old(self, before: float, kind: Kind | None = None) -> list[Job]:
        """Jobs that were over before a time, of a kind or of any."""
        found = self.database.rows.execute(
            "SELECT * FROM jobs WHERE finished < ? AND coalesce(?, kind) = kind", (before, kind)
        )
        return [_job(row) for row in found]

    def prune(self, before: float) -> None:
        """Forget what happened in jobs that were over before a time: the jobs themselves tell what came of it."""
        with self.database.writing() as rows:
            rows.execute("DELETE FROM events WHERE job IN (SELECT number FROM jobs WHERE finished < ?)", (before,))

    def untold(self, now: float) -> list[tuple[Job, int]]:
        """Jobs that are over and whose webhook is due, and how often that was tried."""
        found = self.database.rows.execute(
            "SELECT jobs.*, hooks.tries FROM jobs JOIN hooks ON hooks.job = number "
            "WHERE finished IS NOT NULL AND due <= ?",
            (now,),
        )
        return [(_job(row), row["tries"]) for row in found]

    def told(self, job: Job, again: float | None = None) -> None:
        """A job's webhook was told, or is given up; or is to be tried again at a time."""
        with self.database.writing() as rows:
            if again is None:
                rows.execute("DELETE FROM hooks WHERE job = ?", (job.number,))
            else:
                rows.execute("UPDATE hooks SET tries = tries + 1, due = ? WHERE job = ?", (again, job.number))

    def uploads(self) -> set[str]:
        """The names of the uploaded pictures that jobs refer to."""
        found = self.database.rows.execute("SELECT DISTINCT json_extract(asked, '$.image') FROM jobs")
        return {name for (name,) in found if name}


def _tell(rows: sqlite3.Connection, number: int) -> None:
    rows.execute("INSERT INTO events (job, data) VALUES (?, NULL)", (number,))


def _job(row: sqlite3.Row) -> Job:
    known = {name: row[name] for name in Job.__dataclass_fields__ if name not in ("commission", "state")}
    return Job(**known, commission=commissions.loads(row["asked"]), state=json.loads(row["state"]))


def _in(numbers: Sequence[int]) -> str:
    return f"IN ({', '.join('?' * len(numbers))})"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
