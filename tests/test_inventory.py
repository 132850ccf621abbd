"""A store as a whole: what is collected is what nobody needs, and what killed runs left does not stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from animatic import inventory
from animatic.store import Store

DAY = 86_400.0


def put(store: Store, name: str, kind: str = "latents", size: int = 1000, age: float = 0.0, now: float = 1e9) -> str:
    key = name * 64
    artifact = store.put(key, b"x" * size, f".{kind}.bin", {})
    record = artifact.path.parent / f"{key}.about.json"
    os.utime(record, (now - age, now - age))
    return key


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path).open()


def there(store: Store) -> set[str]:
    return {item.key[0] for item in inventory.items(store)}


def test_items_tell_kind_size_and_use(store: Store) -> None:
    put(store, "a", "still", 500, age=7)
    (item,) = inventory.items(store)
    assert item.kind == "still" and item.nbytes > 500 and item.used == 1e9 - 7 and len(item.files) == 2


def test_the_longest_unused_go_first_and_captions_and_stills_last(store: Store) -> None:
    put(store, "a", "caption", age=9 * DAY)
    for name, age in (("b", 3.0), ("c", 2.0), ("d", 1.0)):
        put(store, name, age=age * DAY)
    size = sum(item.nbytes for item in inventory.items(store))
    done = inventory.collect(store, keep=size - 1500, now=1e9)
    assert there(store) == {"a", "d"} and done.removed == 2 and done.left == 2
    assert done.nbytes == sum(item.nbytes for item in inventory.items(store))


def test_what_was_not_used_for_long_goes(store: Store) -> None:
    put(store, "a", age=31 * DAY)
    put(store, "b", age=29 * DAY)
    inventory.collect(store, older=30 * DAY, now=1e9)
    assert there(store) == {"b"}


def test_a_clock_that_went_back_makes_nothing_old(store: Store) -> None:
    put(store, "a", age=-100 * DAY)
    assert inventory.collect(store, older=30 * DAY, now=1e9).removed == 0


def test_what_a_run_needs_that_begins_during_the_collection_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "FRESH", 0.0)
    for name in "abc":
        put(store, name, age=9 * DAY)
    other = Store(tmp_path)
    other.hold = other.holds.of("run", "boats")
    listed = inventory.items

    def begin_after(of: Store) -> list[inventory.Item]:
        found = list(listed(of))
        assert other.get("b" * 64)
        return found

    monkeypatch.setattr(inventory, "items", begin_after)
    done = inventory.collect(store, keep=0, now=1e9)
    monkeypatch.undo()
    assert there(store) == {"b"} and (done.removed, done.needed) == (2, 1)


def test_what_another_process_gives_up_is_not_damaged(store: Store) -> None:
    for name in "abc":
        put(store, name)
    (damaged,) = store.folder.rglob("b*.latents.bin")
    damaged.write_bytes(b"torn")
    found = []
    for item in inventory.damaged(store):
        found.append(item.key[0])
        for file in store.folder.rglob("cccc*.*"):
            file.unlink()
    assert found == ["b"]


def test_what_an_unfinished_run_needs_stays_until_it_is_given_up(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    store.hold = store.holds.of("run", "boats\n-> outputs")
    put(store, "a", age=99 * DAY)
    store.hold = None
    put(store, "b", age=99 * DAY)
    hit = Store(tmp_path)
    hit.hold = hit.holds.of("other", "cats")
    assert hit.get("b" * 64)
    assert set(store.holds.unfinished()) == {"boats -> outputs", "cats"}
    done = inventory.collect(Store(tmp_path), keep=0, now=1e9 + 999 * DAY)
    assert there(store) == {"a", "b"} and done.needed == 2 and done.removed == 0
    hit.hold.finish()
    inventory.collect(Store(tmp_path), keep=0)
    assert there(store) == {"a"}
    store.holds.abandon()
    inventory.collect(Store(tmp_path), keep=0)
    assert there(store) == set()


def test_a_hold_that_a_kill_cut_short_names_the_rest(store: Store) -> None:
    hold = store.holds.of("run", "boats")
    hold.add("a" * 64)
    hold.add("b" * 64)
    hold.file.write_bytes(hold.file.read_bytes()[:-10])
    assert store.holds.unfinished() == {"boats": frozenset({"a" * 64})}


def test_what_killed_runs_left_goes_and_what_is_being_made_stays(store: Store) -> None:
    put(store, "a")
    folder = store.folder / "artifacts/aa"
    for name in ("a", "b"):
        (folder / f".animatic-{name * 64}.latents-xyz.part").write_bytes(b"half")
        (store.folder / "states" / (name * 64)).write_bytes(b"state")
    (folder / f"{'c' * 64}.latents.bin").write_bytes(b"without a record")
    (store.folder / "claims" / f"{'d' * 64}.lock").touch()
    claim = store.claim("b" * 64)
    assert claim
    inventory.collect(Store(store.folder))
    left = {path.name for path in store.folder.rglob("*") if path.is_file()}
    assert [name for name in left if "b" * 64 in name and not name.endswith(".lock")] == ["b" * 64]
    assert not any("c" * 64 in name or "d" * 64 in name or name.startswith(".animatic-a") for name in left)
    claim.release()
    inventory.collect(Store(store.folder))
    left = {path.name for path in store.folder.rglob("*") if path.is_file()}
    assert left == {f"{'a' * 64}.latents.bin", f"{'a' * 64}.about.json"}


def test_damage_is_found(store: Store) -> None:
    put(store, "a")
    key = put(store, "b")
    next((store.folder / "artifacts").rglob(f"{key}.latents.bin")).write_bytes(b"?")
    assert [item.key for item in inventory.damaged(Store(store.folder))] == [key]
    assert there(store) == {"a"}
