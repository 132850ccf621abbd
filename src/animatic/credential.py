"""Content credentials (C2PA): a signed statement in the file of what made it, for those who hold a certificate.

The one home of c2pa, which is an extra and imported only when the user has set a certificate up. Knows bytes and one
file of settings; must not know films, folders of results or models. Signing touches no network, unless the user
names a time-stamping server.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from animatic import config, xmp
from animatic.errors import InputError, nearest, one_line, reason

Kind = Literal["image/png", "video/mp4"]

TABLE = "c2pa"
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
MAX_PEM = 2**20
_KEYS = {"certificate": str, "key": str, "algorithm": str, "timestamp_url": str}
# No thumbnail: a still is its own, and a player shows a clip's. Nothing is fetched. What was signed is checked at once.
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": True, "ocsp_fetch": False, "remote_manifest_fetch": False},
}
_INSTALL = "pip install 'animatic[c2pa]'"
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Credential:
    """A certificate chain and its key, both PEM, that sign finished files.

    certificate    the signer's own first, then what issued it
    timestamp_url  an RFC 3161 server that is asked for the time at every signing; none: no network
    """

    certificate: bytes
    key: bytes = field(repr=False)
    algorithm: str = "es256"
    timestamp_url: str | None = None

    def sign(self, data: bytes, kind: Kind, title: str, record: Mapping[str, Any], source: str) -> bytes:
        """The file with a credential in it: the last thing done to a file, for any later change breaks the seal.

        It says that Animatic, in the version of the record, created the file, and by what digital source type.
        Two signings give unequal bytes: a credential has an identity of its own. Raises InputError.
        """
        c2pa = _c2pa()
        manifest = _manifest(kind, title, str(record.get("animatic", "")), source)
        signed = io.BytesIO()
        with _told(c2pa, f"cannot sign with the time of {self.timestamp_url}" if self.timestamp_url else "cannot sign"):
            info = c2pa.C2paSignerInfo(self.algorithm, self.certificate, self.key, self.timestamp_url)
            settings = c2pa.Settings.from_dict(_SETTINGS)
            with c2pa.Context(settings, c2pa.Signer.from_info(info)) as held, c2pa.Builder(manifest, held) as builder:
                builder.sign(kind, io.BytesIO(data), signed)
        return signed.getvalue()


def _manifest(kind: Kind, title: str, version: str, source: str) -> dict[str, Any]:
    agent = {"name": "Animatic"} | ({"version": version} if version else {})
    created = {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": agent}
    return {
        "claim_generator_info": [agent],
        "title": one_line(title),
        "format": kind,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


# --------------------------------------------------------------------------------------------------- settings


def configured() -> Credential | None:
    """The credential that the user's `config.toml` sets up; None, and nothing imported, without a table [c2pa] in it.

    It is tried on a picture of one pixel: a wrong key is told before the work, not after it. Raises InputError.
    """
    file = config.default()
    table = config.table(file, TABLE)
    if table is None:
        return None
    credential = _credential(file, table)
    if not installed():
        raise InputError(f"{file}: [{TABLE}] needs c2pa-python, which is not installed: {_INSTALL}")
    try:
        # Without the server: a look at the settings should not depend on the network.
        replace(credential, timestamp_url=None).sign(_PIXEL, "image/png", "", {}, xmp.SYNTHETIC)
    except InputError as error:
        raise InputError(f"{file}: this certificate and key {error}; {_WAY_OUT}") from error
    return credential


_WAY_OUT = "give a chain, the signer's own certificate first, and its key as PKCS #8 (openssl pkcs8 -topk8 -nocrypt)"


def installed() -> bool:
    """Whether credentials can be written and read here. Imports nothing."""
    return importlib.util.find_spec("c2pa") is not None


def _credential(file: Path, table: Mapping[str, Any]) -> Credential:
    for key, value in table.items():
        if key not in _KEYS:
            raise InputError(f"{file}: [{TABLE}] has no key {key!r}: {nearest(key, _KEYS)}")
        if not isinstance(value, str) or not value:
            raise InputError(f"{file}: [{TABLE}] {key} must be a text in quotes, not {value!r}")
    if missing := [key for key in ("certificate", "key") if key not in table]:
        raise InputError(f"{file}: [{TABLE}] lacks {' and '.join(missing)}: name the PEM file")
    algorithm = table.get("algorithm", "es256")
    if algorithm not in ALGORITHMS:
        raise InputError(f"{file}: [{TABLE}] algorithm {algorithm!r} is unknown: {nearest(algorithm, ALGORITHMS)}")
    timestamp = table.get("timestamp_url")
    if timestamp is not None and not timestamp.startswith(("http://", "https://")):
        raise InputError(f"{file}: [{TABLE}] timestamp_url {timestamp!r} is no address: it begins with http")
    certificate = _pem(file, "certificate", table["certificate"], b"CERTIFICATE-----")
    return Credential(certificate, _pem(file, "key", table["key"], b"PRIVATE KEY-----"), algorithm, timestamp)


def _pem(file: Path, what: str, name: str, ending: bytes) -> bytes:
    path = file.parent / Path(name).expanduser()
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_PEM + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: [{TABLE}] {what} {one_line(str(path))} cannot be read ({reason(error)})") from error
    if b"-----BEGIN ENCRYPTED" in data:
        raise InputError(f"{path}: the {what} has a passphrase: give one without (openssl pkcs8 -topk8 -nocrypt)")
    if len(data) > MAX_PEM or ending not in data:
        raise InputError(f"{path}: no {what} in PEM: give a file with -----BEGIN ... {ending.decode()}")
    return data


# ---------------------------------------------------------------------------------------------------- reading


def read(file: Path | bytes) -> dict[str, Any] | None:
    """What the credential of an MP4 or PNG says, checked against the file; None for a file without one.

    state        "valid": whole, and unchanged since it was signed; "trusted": so, and by a known issuer; "invalid"
    issuer       the organisation that the certificate names, with common_name; anyone can have made it up
    problems     codes of C2PA for what is wrong; that no list of trusted issuers knows the signer is none
    actions      each {"action", "digitalSourceType", "softwareAgent", ...}
    Raises InputError for a file that cannot be read, and without the package.
    """
    c2pa = _c2pa()
    name = "the file" if isinstance(file, bytes) else one_line(str(file))
    with _told(c2pa, f"{name}: its credential cannot be read"), contextlib.ExitStack() as stack:
        opened = stack.enter_context(io.BytesIO(file) if isinstance(file, bytes) else file.open("rb"))
        kind = "image/png" if opened.read(4) == b"\x89PNG" else "video/mp4"
        opened.seek(0)
        context = stack.enter_context(c2pa.Context(c2pa.Settings.from_dict(_SETTINGS)))
        reader = c2pa.Reader.try_create(kind, opened, context=context)
        return _summary(json.loads(stack.enter_context(reader).json())) if reader else None


def _summary(store: Mapping[str, Any]) -> dict[str, Any]:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    assertions = [each for each in manifest.get("assertions", []) if each.get("label", "").startswith("c2pa.actions")]
    codes = [each["code"] for each in store.get("validation_status") or []]
    return {
        "state": str(store.get("validation_state", "Invalid")).lower(),
        "issuer": signature.get("issuer"),
        "common_name": signature.get("common_name"),
        "time": signature.get("time"),
        "title": manifest.get("title"),
        "actions": [action for each in assertions for action in each["data"]["actions"]],
        "problems": list(dict.fromkeys(code for code in codes if code != _UNTRUSTED)),
    }


# ----------------------------------------------------------------------------------------------------- common


def _c2pa() -> Any:
    try:
        import c2pa
    except (ImportError, RuntimeError) as error:  # the latter when its library does not load
        raise InputError(f"no content credentials without c2pa-python ({reason(error)}): {_INSTALL}") from error
    return c2pa


@contextlib.contextmanager
def _told(c2pa: Any, what: str) -> Iterator[None]:
    try:
        yield
    except (c2pa.C2paError, OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{what} ({reason(error)})") from error


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))
    + _chunk(b"IEND", b"")
)
