"""Bytes and seconds as people write and read them."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.errors import OptionError
from animatic.sizes import duration, gib, parse_bytes, share

UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "days": 86400}


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("12GiB", 12 << 30),
        ("12GB", 12 * 10**9),
        ("12g", 12 << 30),
        ("800MiB", 800 << 20),
        ("800 mb", 800 * 10**6),
        ("12", 12 << 30),
        (" 1.5 TiB ", 3 << 39),
        (".5", 1 << 29),
        ("4096b", 4096),
    ],
)
def test_amounts_of_memory_as_people_write_them(text: str, nbytes: int) -> None:
    assert parse_bytes(text, "--memory") == nbytes


@pytest.mark.parametrize("text", ["", "much", "-1", "12 gallons", "1,5GiB", "nan", "inf", "0", "1e3", "9" * 40, "٣GiB"])
def test_nonsense_is_refused_by_its_option_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match="--host-memory") as refused:
        parse_bytes(text, "--host-memory")
    assert "\n" not in str(refused.value)


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    with contextlib.suppress(OptionError):
        assert parse_bytes(text, "--memory") > 0


@given(st.integers(2**10, 2**45))
def test_what_is_printed_can_be_given_back(nbytes: int) -> None:
    text = gib(nbytes)
    assert len(text) <= 10
    back = parse_bytes(text.replace(",", ""), "--memory")
    assert abs(back - nbytes) <= 0.051 * nbytes or nbytes < 2**14
    assert gib(back) == text, "a second time nothing changes"


@given(st.integers(0, 2**42), st.integers(0, 2**42))
def test_more_never_prints_as_less(one: int, other: int) -> None:
    low, high = (parse_bytes(gib(n).replace(",", ""), "x") if n >= 2**10 else n for n in sorted((one, other)))
    assert low <= high


def test_a_share_names_the_unit_once_where_it_is_the_same() -> None:
    assert share(17.4 * 2**30, 24 << 30) == "17.4 of 24.0 GiB"
    assert share(430 << 20, 24 << 30) == "430 MiB of 24.0 GiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0002, "< 1 ms"),
        (0.34, "340 ms"),
        (0.9996, "1.0 s"),
        (4.23, "4.2 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (112, "1 min 52 s"),
        (121.4, "2 min 01 s"),
        (3599.8, "1 h"),
        (7500, "2 h 05 min"),
        (90000, "25 h"),
        (183_600, "2 days 3 h"),
    ],
)
def test_times_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0.001, 1e7))
def test_a_time_is_rounded_and_never_wrong(seconds: float) -> None:
    parts = re.findall(r"([\d.]+) (\w+)", duration(seconds))
    told = sum(float(number) * UNITS[unit] for number, unit in parts)
    assert abs(told - seconds) <= max(0.0006, 0.051 * seconds)
    assert all(float(number) < 1000 for number, _ in parts)
