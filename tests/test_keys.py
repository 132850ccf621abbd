"""API keys: what opens, what does not, and that nothing in the folder would."""

from __future__ import annotations

from pathlib import Path

import pytest

from animatic import keys as module
from animatic.errors import InputError
from animatic.keys import Keys


def test_a_key_opens_until_it_is_revoked(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    assert not keys.any()
    key, secret = keys.add("Ann", priority=2)
    assert keys.any() and keys.holder(secret) == key and key.priority == 2
    session = keys.open_session(key)
    assert keys.in_session(session) == key
    keys.revoke("Ann")
    assert keys.holder(secret) is None and keys.in_session(session) is None and not keys.any()


@pytest.mark.parametrize("sent", ["", "animatic", "animatic_x_y", "Bearer", "a_b_c_d", "\x00", "ü_ü_\udcff"])
def test_other_things_open_nothing(tmp_path: Path, sent: str) -> None:
    keys = Keys(tmp_path)
    keys.add("Ann")
    assert keys.holder(sent) is None and keys.in_session(sent) is None


def test_one_keys_secret_does_not_open_anothers(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    (_, first), (second, _) = keys.add("Ann"), keys.add("Bob")
    assert keys.holder(f"animatic_{second.id}_{first.split('_', 2)[2]}") is None


def test_nothing_in_the_folder_opens(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key, secret = keys.add("Ann")
    session = keys.open_session(key)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert secret.split("_", 2)[2].encode() not in kept and session.encode() not in kept


def test_a_session_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(tmp_path)
    key, _ = keys.add("Ann")
    token = keys.open_session(key)
    keys.close_session(token)
    assert keys.in_session(token) is None
    token = keys.open_session(key)
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.SESSION + 1)
    assert keys.in_session(token) is None


def test_a_name_that_says_nothing_or_fits_several_is_refused(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    with pytest.raises(InputError, match="1 to 100"):
        keys.add(" ")
    with pytest.raises(InputError, match="no key is called 'Ann'; there are: none"):
        keys.revoke("Ann")
    first, _ = keys.add("Ann")
    keys.add("Ann")
    with pytest.raises(InputError, match="2 keys are called"):
        keys.revoke("Ann")
    assert keys.revoke(first.id).id == first.id
