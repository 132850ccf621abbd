"""Content credentials: sealed last, valid when read back, broken by any change, told in a line when set up wrong."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_config_path

from animatic import bitmap, credential, media, provenance, xmp
from animatic.credential import Credential, Kind
from animatic.errors import InputError
from animatic.outputs import Outputs
from tests.test_media import moving
from tests.test_outputs import MEASURED, results, write

RECORD = {"prompt": "a red boat 船", "animatic": "1.2", "still_source": "model", "seed": 3}
Key = ec.EllipticCurvePrivateKey


def certificate(subject: str, key: Key, issuer: str, by: Key, authority: bool, days: int = 9) -> bytes:
    def name(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A Studio")
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    start, end = now - datetime.timedelta(days=20), now + datetime.timedelta(days=days)
    builder = (
        x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), 1 + authority, start, end)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def private(key: Key, form: str = "PKCS8", phrase: bytes = b"") -> bytes:
    locked = serialization.BestAvailableEncryption(phrase) if phrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), locked)


ROOT, SIGNER, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
AUTHORITY = certificate("An Authority", ROOT, "An Authority", ROOT, authority=True)
CHAIN = certificate("A Signer", SIGNER, "An Authority", ROOT, authority=False) + AUTHORITY
EXPIRED = certificate("A Signer", SIGNER, "An Authority", ROOT, authority=False, days=-3) + AUTHORITY
OURS = Credential(CHAIN, private(SIGNER))
CLIP = media.mp4_bytes(moving(), media.Encoding(), "a red boat", RECORD)
STILL = bitmap.png_bytes(moving(1)[0], "a red boat\nSteps: 4", RECORD)
FILES: list[tuple[Kind, bytes]] = [("video/mp4", CLIP), ("image/png", STILL)]
KINDS = pytest.mark.parametrize(("kind", "data"), FILES, ids=["mp4", "png"])


def sealed(kind: Kind, data: bytes, source: str = xmp.SYNTHETIC, title: str = "a red boat") -> bytes:
    return OURS.sign(data, kind, title, RECORD, source)


def says(file: Path | bytes) -> dict[str, Any]:
    found = credential.read(file)
    assert found is not None
    return found


# ---------------------------------------------------------------------------------------- signing and reading


@KINDS
@pytest.mark.parametrize("source", [xmp.SYNTHETIC, xmp.COMPOSITE])
def test_what_is_signed_reads_back_as_valid(tmp_path: Path, kind: Kind, data: bytes, source: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(sealed(kind, data, source))
    found = says(path)
    assert found == says(path.read_bytes())
    assert (found["state"], found["problems"]) == ("valid", [])
    assert (found["issuer"], found["common_name"], found["title"]) == ("A Studio", "A Signer", "a red boat")
    (action,) = found["actions"]
    assert action["action"] == "c2pa.created" and action["digitalSourceType"] == source
    assert action["softwareAgent"] == {"name": "Animatic", "version": "1.2"}


def test_a_signed_clip_is_the_same_clip(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(sealed("video/mp4", CLIP))
    assert media.container(path) == media.container(CLIP)
    assert media.container(path).faststart and media.container(path).bt709
    frames = [np.stack(list(media.each_frame(clip))) for clip in (path, CLIP)]
    assert np.array_equal(*frames)
    assert provenance.read(path) == RECORD and provenance.digital_source(path) == xmp.SYNTHETIC


def test_a_signed_still_is_the_same_still(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(sealed("image/png", STILL))
    assert np.array_equal(bitmap.read_image(path), moving(1)[0])
    assert b"tEXtparameters\0a red boat\nSteps: 4" in path.read_bytes()
    assert provenance.read(path) == RECORD and provenance.digital_source(path) == xmp.SYNTHETIC


@pytest.mark.parametrize(
    ("kind", "data", "where", "after"),
    [
        ("video/mp4", CLIP, b"mdat", 900),
        ("video/mp4", CLIP, b"a red boat", 2),
        ("video/mp4", CLIP, b"trainedAlgorithmicMedia</", 3),
        ("image/png", STILL, b"IDAT", 40),
        ("image/png", STILL, b"Steps: 4", 7),
        ("image/png", STILL, b"trainedAlgorithmicMedia</", 3),
    ],
)
def test_any_change_after_signing_is_found(kind: Kind, data: bytes, where: bytes, after: int) -> None:
    changed = bytearray(sealed(kind, data, title="another title"))
    changed[changed.index(where) + after] ^= 1
    found = says(bytes(changed))
    assert found["state"] == "invalid"
    assert found["problems"] == [f"assertion.{'bmff' if kind == 'video/mp4' else 'data'}Hash.mismatch"]


@KINDS
def test_a_file_without_a_credential_has_none(kind: Kind, data: bytes) -> None:
    assert credential.read(data) is None and kind


@pytest.mark.parametrize("title", ["", 'a "red"\nboat & 船 🚤', "\x00\x1b", "\ud800", "x" * 5000])
def test_any_title_can_be_signed(title: str) -> None:
    assert says(sealed("image/png", STILL, title=title))["state"] == "valid"


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    cut = sealed("video/mp4", CLIP)[:2000]
    for file in (b"", b"hello" * 20, cut, b"\x89PNG\r\n\x1a\n", tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(InputError) as caught:
            credential.read(file)
        assert "\n" not in str(caught.value) and "cannot be read" in str(caught.value)


def test_an_unreachable_clock_is_named() -> None:
    late = Credential(CHAIN, private(SIGNER), timestamp_url="http://127.0.0.1:9/tsa")
    with pytest.raises(InputError, match=r"cannot sign with the time of http://127.0.0.1:9/tsa") as caught:
        late.sign(STILL, "image/png", "t", RECORD, xmp.SYNTHETIC)
    assert "\n" not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(OURS)


# --------------------------------------------------------------------------------------------------- settings


@dataclass(frozen=True)
class Setup:
    """The user's folder of settings, with a chain and a key that fit."""

    folder: Path

    def write(self, *lines: str) -> None:
        (self.folder / "config.toml").write_text("\n".join(("[c2pa]", *lines)))


@pytest.fixture
def setup() -> Setup:
    folder = user_config_path("animatic")
    folder.mkdir(parents=True)
    (folder / "chain.pem").write_bytes(CHAIN)
    (folder / "key.pem").write_bytes(private(SIGNER))
    return Setup(folder)


GOOD = ('certificate = "chain.pem"', 'key = "key.pem"')


def refusal() -> str:
    with pytest.raises(InputError) as caught:
        credential.configured()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    return str(caught.value)


def test_without_a_table_there_is_none(setup: Setup) -> None:
    assert credential.configured() is None
    (setup.folder / "config.toml").write_text("[other]\nkey = 1\n")
    assert credential.configured() is None


def test_settings_name_files_beside_them_or_anywhere(setup: Setup, tmp_path: Path) -> None:
    setup.write(*GOOD)
    assert credential.configured() == OURS
    (setup.folder / "key.pem").rename(tmp_path / "k.pem")
    setup.write(GOOD[0], f'key = "{tmp_path / "k.pem"}"', 'algorithm = "es256"', 'timestamp_url = "http://127.0.0.1:9"')
    assert credential.configured() == Credential(CHAIN, private(SIGNER), "es256", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((GOOD[0],), r"lacks key: name the PEM file"),
        ((), r"lacks certificate and key"),
        ((GOOD[0], 'key = "none.pem"'), r"key .*none\.pem cannot be read \(No such file"),
        ((GOOD[0], 'key = "."'), r"cannot be read \(Is a directory\)"),
        ((GOOD[0], 'key = "a\\u0000b"'), r"cannot be read"),
        ((GOOD[0], 'key = "chain.pem"'), r"no key in PEM"),
        (('certificate = "key.pem"', GOOD[1]), r"no certificate in PEM"),
        ((*GOOD, 'algorithm = "es265"'), r"'es265' is unknown: did you mean 'es256'"),
        ((*GOOD, 'algorithm = "ps256"'), r"cannot sign \(.*; give a chain"),
        ((*GOOD, "algorithm = 256"), r"must be a text in quotes, not 256"),
        ((*GOOD, 'certficate = "x"'), r"no key 'certficate': did you mean 'certificate'"),
        ((*GOOD, 'timestamp_url = "ftp://x"'), r"is no address"),
        (("certificate = ",), r"cannot be read"),
    ],
)
def test_wrong_settings_are_one_line(setup: Setup, lines: tuple[str, ...], message: str) -> None:
    setup.write(*lines)
    with pytest.raises(InputError, match=message):
        credential.configured()
    assert "config.toml" in refusal() or ".pem" in refusal()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("key.pem", private(STRANGER), "does not match"),
        ("key.pem", private(SIGNER, "TraditionalOpenSSL"), "openssl pkcs8"),
        ("key.pem", private(SIGNER, phrase=b"secret"), "has a passphrase"),
        ("chain.pem", certificate("Me", SIGNER, "Me", SIGNER, authority=True), "self-signed"),
        ("chain.pem", EXPIRED, "cannot sign"),
        ("chain.pem", AUTHORITY + CHAIN, "cannot sign"),
        ("chain.pem", b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n", "cannot sign"),
    ],
)
def test_a_certificate_and_key_that_do_not_fit_are_told_at_once(
    setup: Setup, name: str, content: bytes, message: str
) -> None:
    (setup.folder / name).write_bytes(content)
    setup.write(*GOOD)
    assert message in refusal()


@pytest.mark.parametrize("text", ["c2pa = 1", "[c2pa", "\xff"])
def test_a_file_that_is_no_settings(setup: Setup, text: str) -> None:
    (setup.folder / "config.toml").write_bytes(text.encode("latin-1"))
    assert "config.toml" in refusal()


def test_without_the_package_the_way_out_is_told(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    assert credential.installed()
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert not credential.installed()
    assert credential.configured() is None
    setup.write(*GOOD)
    assert "pip install 'animatic[c2pa]'" in refusal()
    for use in (lambda: credential.read(STILL), lambda: sealed("image/png", STILL)):
        with pytest.raises(InputError, match=r"pip install 'animatic\[c2pa\]'") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_nothing_is_imported_without_settings() -> None:
    code = (
        "import sys; from animatic import credential, outputs; assert credential.configured() is None;"
        "assert credential.installed(); assert not {'c2pa', 'cryptography', 'requests'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------------- outputs


def test_film_and_still_are_signed_last(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    clip = Outputs(tmp_path / "out", OURS).write(*results(tmp_path), MEASURED)
    plain = write(tmp_path / "plain")
    for path, unsigned in ((clip.path, plain.path), (clip.still, plain.still)):
        found = says(path)
        assert (found["state"], found["title"]) == ("valid", "A red boat, sailing!")
        assert found["actions"][0]["digitalSourceType"] == provenance.digital_source(path) == xmp.SYNTHETIC
        assert credential.read(unsigned) is None and provenance.read(path) == provenance.read(unsigned)
    assert json.loads(clip.sidecar.read_text())["measures"]["container"]["faststart"]


def test_the_users_own_still_is_not_signed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    own = results(tmp_path, still=tmp_path / "mine.png")
    clip = Outputs(tmp_path / "out", OURS).write(*own, MEASURED)
    assert says(clip.path)["actions"][0]["digitalSourceType"] == provenance.digital_source(clip.path) == xmp.COMPOSITE
    assert credential.read(clip.still) is None and provenance.digital_source(clip.still) is None
