"""The mark of synthetic media: well-formed XML whatever the prompt, and read back from any tool's spelling."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import xmp

NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
ANYTHING = st.text(st.characters(codec=None, exclude_categories=()))


def found(packet: bytes, path: str) -> str:
    text = ElementTree.fromstring(packet).findtext(f"rdf:RDF/rdf:Description/{path}", namespaces=NAMES)
    assert text is not None
    return text


def described(packet: bytes) -> str:
    return found(packet, "dc:description/rdf:Alt/rdf:li")


def other(inside: str, attributes: str = "") -> bytes:
    """A packet as another tool writes it."""
    spaces = " ".join(f'xmlns:{name}="{uri}"' for name, uri in NAMES.items())
    return f'<rdf:RDF {spaces}><rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description></rdf:RDF>'.encode()


def test_the_packet_says_what_made_the_file() -> None:
    packet = xmp.packet("a red boat", "1.2.3")
    assert found(packet, "ext:DigitalSourceType") == xmp.digital_source(packet) == xmp.SYNTHETIC
    assert xmp.SYNTHETIC == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert found(packet, "xmp:CreatorTool") == "Animatic 1.2.3" and described(packet) == "a red boat"
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode())
    assert packet.endswith(b'<?xpacket end="r"?>')
    assert found(xmp.packet("x"), "xmp:CreatorTool") == "Animatic"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a < b & c > d", "a < b & c > d"),
        ("\"double\" and 'single'", "\"double\" and 'single'"),
        ("</rdf:li>]]><!DOCTYPE x>{source}", "</rdf:li>]]><!DOCTYPE x>{source}"),
        ("a boat 🚤 一只船", "a boat 🚤 一只船"),
        ("a\ud800b", "a\ufffdb"),
        ("nul \x00 bell \x07 escape \x1b", "nul \ufffd bell \ufffd escape \ufffd"),
        ("a\r\nb\tc\u2028\x85d", "a\r\nb\tc\u2028\x85d"),
        ("no character \ufffe\uffff", "no character \ufffd\ufffd"),
        ("", ""),
        ("x" * 20_000, "x" * xmp.MAX_DESCRIPTION),
    ],
)
def test_any_prompt_is_well_formed(prompt: str, expected: str) -> None:
    packet = xmp.packet(prompt)
    assert described(packet) == expected and xmp.digital_source(packet) == xmp.SYNTHETIC


@given(ANYTHING, ANYTHING, st.sampled_from([xmp.SYNTHETIC, xmp.COMPOSITE]))
def test_every_packet_comes_back(prompt: str, version: str, source: str) -> None:
    packet = xmp.packet(prompt, version, source)
    assert xmp.digital_source(packet) == source and len(packet) < xmp.MAX_PACKET
    unholdable = "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
    assert described(packet) == re.sub(unholdable, "\ufffd", prompt)


@given(st.binary(max_size=60), st.integers(0, 800))
def test_a_torn_packet_is_no_crash(torn: bytes, at: int) -> None:
    packet = xmp.packet("a red boat", "1")
    assert isinstance(xmp.digital_source(packet[:at] + torn + packet[at + len(torn) :]), str | None)


@pytest.mark.parametrize(
    "packet",
    [
        other(f"<ext:DigitalSourceType> {xmp.COMPOSITE}\n</ext:DigitalSourceType>"),
        other(f'<ext:DigitalSourceType rdf:resource="{xmp.COMPOSITE}"/>'),
        other("", f'ext:DigitalSourceType="{xmp.COMPOSITE}"'),
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>' + other("", f'ext:DigitalSourceType="{xmp.COMPOSITE}"'),
        b"<!-- padded -->" + other("", f'ext:DigitalSourceType="{xmp.COMPOSITE}"') + b" " * 2048 + b"\0",
    ],
)
def test_other_spellings_are_read(packet: bytes) -> None:
    assert xmp.digital_source(packet) == xmp.COMPOSITE


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff\xfe",
        b"no xml",
        b"<a>" * 100_000,
        other(""),
        other("<ext:DigitalSourceType/>"),
        other("<dc:DigitalSourceType>x</dc:DigitalSourceType>"),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + other("<ext:DigitalSourceType>&b;</ext:DigitalSourceType>"),
        xmp.packet("x").replace(b"<rdf:RDF", b" " * xmp.MAX_PACKET + b"<rdf:RDF"),
    ],
)
def test_what_states_nothing_is_none(packet: bytes) -> None:
    assert xmp.digital_source(packet) is None


def test_a_users_still_is_not_called_synthetic() -> None:
    assert (xmp.of_clip({"still_source": "user"}), xmp.of_still({"still_source": "user"})) == (xmp.COMPOSITE, None)
    for record in ({}, {"still_source": "model"}):
        assert xmp.of_clip(record) == xmp.of_still(record) == xmp.SYNTHETIC
