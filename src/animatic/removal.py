"""Files of removed jobs: they go too, whoever dies on the way."""

from __future__ import annotations

import logging

from animatic.errors import OutputError, in_a_line
from animatic.jobs import Jobs
from animatic.storage import Storage

log = logging.getLogger("animatic.serve")


def clear(jobs: Jobs, storage: Storage, *names: str) -> None:
    """Remove what is kept of jobs that are gone. What cannot be removed now is for the next time.

    A job is noted as removed (`Jobs.removed`) when its row goes, and until its files have gone.
    """
    for name in names:
        try:
            storage.remove(name)
        except OutputError as error:
            log.warning("files of a removed job are still there: %s", in_a_line(error))
        else:
            jobs.cleared(name)
