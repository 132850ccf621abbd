"""Settings: who overrules whom, and that a wrong one names where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from animatic.errors import OptionError
from animatic.settings import Settings, settings


def test_flags_overrule_variables_overrule_the_file(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('[serve]\nport = 1\nqueue = 2\ngroup = 3\nhosts = ["a.example", "b.example"]\nmemory = "2GiB"\n')
    got = settings({"group": 6}, {"ANIMATIC_SERVE_QUEUE": "5", "ANIMATIC_SERVE_GROUP": "4", "OTHER": "x"}, file)
    assert (got.port, got.queue, got.group) == (1, 5, 6)
    assert got.hosts == ("a.example", "b.example") and got.memory == 2 << 30


def test_lists_may_be_written_with_commas() -> None:
    assert settings({"devices": "0, 1"}, {}).devices == ("0", "1")


@pytest.mark.parametrize(
    ("flags", "environment", "told"),
    [
        ({"port": 99999}, {}, "--port = 99999"),
        ({"max_steps": "many"}, {}, "--max-steps = 'many'"),
        ({}, {"ANIMATIC_SERVE_PROT": "1"}, "ANIMATIC_SERVE_PROT: there is no setting 'prot': did you mean 'port'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(flags: dict, environment: dict, told: str) -> None:
    with pytest.raises(OptionError, match=told.replace("(", r"\(")):
        settings(flags, environment)


def test_a_wrong_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such file"):
        settings({}, {}, tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[serve")
    with pytest.raises(OptionError, match="cannot be read"):
        settings({}, {}, tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("box.example", False),
    ],
)
def test_only_loopback_is_loopback(host: str, loopback: bool) -> None:
    assert Settings(host=host).loopback is loopback


def test_a_webhooks_secret_is_text_or_base64_as_the_specification_has_it() -> None:
    assert settings({}, {}).webhook_key is None
    assert settings({"webhook_secret": "any text"}, {}).webhook_key == b"any text"
    assert settings({"webhook_secret": "whsec_AAEC/w=="}, {}).webhook_key == bytes([0, 1, 2, 255])
    for damaged in ("whsec_not!", "whsec_"):
        with pytest.raises(OptionError, match="what follows whsec_ is not base64") as caught:
            _ = settings({"webhook_secret": damaged}, {}).webhook_key
        assert "not!" not in str(caught.value)


def test_hosts_are_the_same_however_they_are_written() -> None:
    found = settings({"hosts": "Studio.Example.org", "webhooks": ["Hooks.Example.org"]}, {})
    assert found.hosts == ("studio.example.org",) and found.webhooks == ("hooks.example.org",)
