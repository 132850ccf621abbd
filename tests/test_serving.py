"""Where a service listens."""

from __future__ import annotations

import socket

import pytest

from animatic.errors import OptionError
from animatic.serving import listening
from animatic.settings import Settings


def test_answers_are_sent_at_once() -> None:
    """asyncio turns Nagle's algorithm off only where a socket says that it is TCP's; else each answer takes 40 ms."""
    with listening(Settings(port=0)) as door, socket.create_connection(door.getsockname()):
        taken, _ = door.accept()
        with taken:
            assert taken.proto == socket.IPPROTO_TCP


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(OptionError, match=r"--host 192\.0\.2\.1 --port 0: .*: choose others"):
        listening(Settings(host="192.0.2.1", port=0))


def test_a_taken_port_is_told() -> None:
    with listening(Settings(port=0)) as door:
        port = door.getsockname()[1]
        with pytest.raises(OptionError, match=f"--port {port}: address already in use"):
            listening(Settings(port=port))
