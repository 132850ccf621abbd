"""Memory that processes share: taken once, whole or not there, read-only, and gone with the last who uses it."""

from __future__ import annotations

import gc
import mmap
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from animatic import arena
from animatic.arena import Arenas
from animatic.reader import Cancelled
from animatic.settings import Settings
from animatic.supervisor import Supervisor
from animatic.worker import Config
from tests.services import desk_alone

SIZE = 3 * mmap.PAGESIZE + 256
PATIENCE = 60
PREAMBLE = """
import gc, os, random, sys, threading
from pathlib import Path
from animatic.arena import Arenas
arenas, size = Arenas(Path(sys.argv[1])), int(sys.argv[2])
def fill(memory):
    memory[:] = b"w" * size
def take(fill=fill, name="one"):
    return arenas.piece(name, size, fill, threading.Event())
"""


@pytest.fixture
def process(arenas: Arenas) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts Python with what stands in PREAMBLE."""
    begun: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(arenas.folder), str(SIZE)]
        begun.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for one in begun:
        one.kill()
        one.communicate(timeout=PATIENCE)


def said(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().strip()


def let_go(one: subprocess.Popen[str]) -> int:
    one.communicate("\n", timeout=PATIENCE)
    return one.returncode


def take(arenas: Arenas, byte: bytes = b"w", name: str = "one") -> mmap.mmap:
    def fill(memory: mmap.mmap) -> None:
        memory[:] = byte * SIZE

    piece = arenas.piece(name, SIZE, fill, threading.Event())
    assert piece is not None
    return piece


def unwanted(_: mmap.mmap) -> None:
    raise AssertionError("it is there already")


def files(arenas: Arenas) -> list[str]:
    gc.collect()
    return sorted(file.name for file in arenas.folder.iterdir()) if arenas.folder.exists() else []


def taken(arenas: Arenas) -> int:
    return sum(512 * file.stat().st_blocks for file in arenas.folder.iterdir())


def test_all_who_ask_get_the_same_bytes_and_memory_is_taken_once(
    arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]
) -> None:
    other = process("piece = take(); print(piece[0], flush=True); input()")
    assert said(other) == str(ord("w"))
    before = taken(arenas)
    assert SIZE <= before < SIZE + mmap.PAGESIZE
    mine = arenas.piece("one", SIZE, unwanted, threading.Event())
    assert mine is not None and mine[:] == b"w" * SIZE and taken(arenas) == before
    assert take(arenas, b"x", "two")[:] == b"x" * SIZE
    assert files(arenas) == ["one"]


def test_it_goes_with_the_last_who_uses_it(arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]) -> None:
    other = process("piece = take(); print('here', flush=True); input()")
    said(other)
    mine = take(arenas)
    assert let_go(other) == 0
    assert files(arenas) == ["one"] and mine[:] == b"w" * SIZE
    del mine
    assert files(arenas) == []


def test_of_one_that_was_killed_while_it_filled_nothing_is_taken_for_whole(
    arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]
) -> None:
    killed = process(
        """
        def half(memory):
            memory[: size // 2] = b"h" * (size // 2)
            print("half", flush=True)
            input()
        take(half)
        """
    )
    assert said(killed) == "half"
    waiting = threading.Event()
    found: list[mmap.mmap] = []
    thread = threading.Thread(target=lambda: (waiting.set(), found.append(take(arenas, b"n"))))  # type: ignore[func-returns-value]
    thread.start()
    assert waiting.wait(PATIENCE) and not found
    killed.send_signal(signal.SIGKILL)
    killed.wait(PATIENCE)
    thread.join(PATIENCE)
    assert found[0][:] == b"n" * SIZE
    found.clear()
    assert files(arenas) == []


def test_what_fails_while_it_fills_leaves_nothing(arenas: Arenas) -> None:
    def broken(memory: mmap.mmap) -> None:
        memory[:10] = b"h" * 10
        raise RuntimeError("the disk failed")

    with pytest.raises(RuntimeError, match="the disk failed"):
        arenas.piece("one", SIZE, broken, threading.Event())
    assert files(arenas) == []
    assert take(arenas)[:] == b"w" * SIZE


def test_waiting_for_another_ends_when_it_is_called_off(
    arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]
) -> None:
    other = process("take(lambda memory: (fill(memory), print('filling', flush=True), input()))")
    assert said(other) == "filling"
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    with pytest.raises(Cancelled):
        arenas.piece("one", SIZE, unwanted, cancelled)
    assert let_go(other) == 0


def test_where_there_is_no_room_nothing_is_begun(arenas: Arenas) -> None:
    assert arenas.piece("one", 1 << 50, unwanted, threading.Event()) is None
    assert files(arenas) == []
    assert Arenas(arenas.folder / "not" / "there").piece("one", SIZE, unwanted, threading.Event()) is None


def test_writing_to_it_is_impossible(arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]) -> None:
    mine = take(arenas)
    with pytest.raises(TypeError):
        mine[0] = 1
    writer = process(
        """
        from animatic.device import Cpu
        tensor = Cpu().borrowed(take())
        print(int(tensor[0]), flush=True)
        tensor[0] = 1
        """
    )
    assert said(writer) == str(ord("w"))
    assert writer.wait(PATIENCE) == -signal.SIGSEGV
    assert mine[:] == b"w" * SIZE and files(arenas) == ["one"]


def test_a_tensor_keeps_what_it_was_borrowed_from(arenas: Arenas) -> None:
    from animatic.device import Cpu

    tensor = Cpu().borrowed(take(arenas))[256:]
    gc.collect()
    assert tensor.nbytes == SIZE - 256 and bytes(tensor.numpy()) == b"w" * (SIZE - 256) and files(arenas) == ["one"]
    del tensor
    assert files(arenas) == []


def test_what_killed_processes_left_is_swept_and_nothing_else(
    arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]
) -> None:
    user = process("piece = take(name='used'); print('here', flush=True); input()")
    filler = process("take(lambda memory: (fill(memory), print('filling', flush=True), input()), 'half')")
    said(user), said(filler)
    mine = take(arenas, name="mine")
    assert arena.sweep(arenas.folder.parent) == 0 and files(arenas) == ["half", "mine", "used"]
    for one in (user, filler):
        one.kill()
        one.wait(PATIENCE)
    assert files(arenas) == ["half", "mine", "used"]
    assert arena.sweep(arenas.folder.parent) == 2 and files(arenas) == ["mine"]
    assert mine[:] == b"w" * SIZE
    del mine
    gc.collect()
    arena.sweep(arenas.folder.parent)
    assert not arenas.folder.exists()


@pytest.mark.slow
def test_many_who_come_and_go_and_are_killed(arenas: Arenas, process: Callable[[str], subprocess.Popen[str]]) -> None:
    """Whoever has a piece has all of it, whatever happens to the others; in the end nothing is left."""
    code = """
    def slowly(memory):
        for begin in range(0, size, 1024):
            memory[begin : begin + 1024] = b"w" * len(memory[begin : begin + 1024])
            os.sched_yield()
    print("begun", flush=True)
    for turn in range(TURNS):
        pieces = [take(slowly, str(random.randrange(3))) for _ in range(2)]
        assert all(piece[:] == b"w" * size for piece in pieces)
        del pieces
    print("done", flush=True)
    """
    staying = [process(code.replace("TURNS", "2000")) for _ in range(2)]
    for one in staying:
        said(one)
    for _ in range(8):
        killed = process(code.replace("TURNS", "10**9"))
        said(killed)
        arena.sweep(arenas.folder.parent)
        killed.kill()
        killed.wait(PATIENCE)
    assert [said(one) for one in staying] == ["done", "done"]
    assert [one.wait(PATIENCE) for one in staying] == [0, 0]
    arena.sweep(arenas.folder.parent)
    assert files(arenas) == []


def test_a_home_that_others_may_write_to_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "TMPFS", tmp_path)
    assert arena.home() is None
    first, second = arena.folder_of(tmp_path / "a"), arena.folder_of(tmp_path / "b")
    home = arena.home()
    assert home is not None and home.stat().st_mode & 0o777 == 0o700
    assert first is not None and first.parent == home and first != second
    home.chmod(0o777)
    assert arena.home() is None and arena.folder_of(tmp_path / "a") is None
    home.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    home.symlink_to(tmp_path / "elsewhere")
    assert arena.home() is None
    monkeypatch.setattr(arena, "TMPFS", tmp_path / "no such thing")
    assert arena.home() is None and arena.folder_of(tmp_path / "a") is None


def test_a_service_sweeps_when_it_starts_and_its_workers_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arena, "TMPFS", tmp_path)
    other = arena.folder_of(tmp_path / "of a service that was killed")
    assert other is not None
    other.mkdir()
    (other / "half").write_bytes(b"h")
    mine = take(Arenas(other))
    with desk_alone(tmp_path):
        assert [file.name for file in other.iterdir()] == ["one"]
    del mine
    two = Supervisor(Settings(data=tmp_path / "data", devices=("cpu", "cpu")))
    configs = [Config.loads(two._config(seat).dumps()) for seat in two._seats]
    assert [one.arenas for one in configs] == 2 * [arena.folder_of(tmp_path / "data")] and configs[0].share == 2
    alone = Supervisor(Settings(data=tmp_path / "data", devices=("cpu",)))
    assert Config.loads(alone._config(alone._seats[0]).dumps()).arenas is None
