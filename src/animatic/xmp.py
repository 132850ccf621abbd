"""The machine-readable mark of synthetic media: an XMP packet that states IPTC's digital source type.

Makes the packet and reads it back. Knows neither files nor containers: `provenance.py` puts it where other tools look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = f"{_SOURCES}trainedAlgorithmicMedia"
"""Made by a model from a sentence alone."""
COMPOSITE = f"{_SOURCES}compositeWithTrainedAlgorithmicMedia"
"""Made by a model from a picture that the user gave."""

PNG_KEYWORD = "XML:com.adobe.xmp"
"""The keyword of the iTXt chunk that holds the packet (XMP specification, part 3)."""
MP4_UUID = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
"""The usertype of the top-level `uuid` box that holds the packet (XMP specification, part 3)."""
MAX_PACKET = 2**20
MAX_DESCRIPTION = 10_000

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PROPERTY = f"{{{_EXTENSION}}}DigitalSourceType"
# What XML 1.0 cannot hold, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="{rdf}">
<rdf:Description rdf:about=""
  xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  xmlns:Iptc4xmpExt="{extension}">
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<xmp:CreatorTool>{tool}</xmp:CreatorTool>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def packet(prompt: str, version: str = "", source: str = SYNTHETIC) -> bytes:
    """The packet, UTF-8: the source type, "Animatic VERSION" as the tool, and the prompt as the description.

    Characters that XML cannot hold become U+FFFD. A prompt over 10,000 characters is cut.
    """
    return _PACKET.format(
        rdf=_RDF,
        extension=_EXTENSION,
        source=_text(source),
        tool=_text(f"Animatic {version}".strip()),
        description=_text(prompt[:MAX_DESCRIPTION]),
    ).encode()


def _text(value: str) -> str:
    # A carriage return as such would come back as a line feed.
    return escape(_NO_XML.sub("\ufffd", value), {"\r": "&#13;"})


def of_clip(record: Mapping[str, Any]) -> str:
    """The source type of a clip with this recipe: composite when the still was the user's own."""
    return COMPOSITE if _from_user(record) else SYNTHETIC


def of_still(record: Mapping[str, Any]) -> str | None:
    """The source type of the still of a clip with this recipe: none when it is the user's own, of unknown making."""
    return None if _from_user(record) else SYNTHETIC


def _from_user(record: Mapping[str, Any]) -> bool:
    return record.get("still_source") == "user"


def digital_source(packet: bytes) -> str | None:
    """The digital source type that an XMP packet states, in any of RDF's spellings; None without one, or when damaged.

    The packet may be of unknown hand: one with a document type, which could unfold to any size, is not read.
    """
    try:
        text = packet[:MAX_PACKET].decode("utf-8").strip("\ufeff\0 \t\r\n")
        if "<!DOCTYPE" in text:
            return None
        return next(_stated(ElementTree.fromstring(text)), None)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return None


def _stated(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        values = [element.get(_PROPERTY)]
        if element.tag == _PROPERTY:
            values += [element.get(f"{{{_RDF}}}resource"), element.text]
        yield from (value.strip() for value in values if value and value.strip())
