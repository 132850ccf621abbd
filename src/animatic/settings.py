"""How a service is set up: by flags, environment variables (ANIMATIC_SERVE_PORT=...), a TOML file, in this order."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from animatic import config, store
from animatic.errors import OptionError, nearest
from animatic.sizes import parse_bytes

PREFIX = "ANIMATIC_SERVE_"
TABLE = "serve"
WHSEC = "whsec_"


def _listed(value: Any) -> Any:
    """`a,b` or a list: variables and flags have no lists."""
    return tuple(one.strip() for one in value.split(",") if one.strip()) if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    return parse_bytes(value, "memory") if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Hosts = Annotated[tuple[Annotated[str, StringConstraints(to_lower=True)], ...], BeforeValidator(_listed)]
Bytes = Annotated[int, BeforeValidator(_bytes)]


class Settings(BaseModel):
    """Everything an operator may set.

    data            the folder of the jobs and what came of them; store: that of the artifacts
    storage         an fsspec URL where clips are kept instead of in `data`
    devices         "all", or some of them: "0,1" are GPUs, "cpu" the processor
    memory          bytes that the models of each device may take
    presets         which may be used; empty: all that are here. Their licences are the operator's to know
    group           the most shots that are made together; idle: seconds after which unused weights are dropped
    queue           jobs that may wait; keep_days: after which jobs and clips are removed, 0: never
    drain           seconds that running jobs get at SIGTERM; what is not done goes on at the next start
    hosts           names that this server is called by, besides localhost and IP addresses
    trusted_proxies addresses whose X-Forwarded-* headers are believed; root_path: the prefix a proxy strips
    webhooks        hosts that may be told when a video is done; webhook_secret: with which that is signed (`whsec_` and
                    base64, or any text)
    log_prompts     whether prompts are logged
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8420, ge=0, le=65535)
    data: Path = Field(default_factory=lambda: user_data_path("animatic") / "service")
    store: Path = Field(default_factory=store.default)
    storage: str | None = None
    devices: Names = ("all",)
    memory: Bytes | None = None
    host_memory: Bytes | None = None
    presets: Names = ()
    group: int = Field(8, ge=1, le=64)
    idle: float = Field(600.0, ge=0)
    queue: int = Field(10_000, ge=1)
    keep_days: float = Field(0.0, ge=0)
    drain: float = Field(30.0, ge=0)
    hosts: Hosts = ()
    trusted_proxies: Names = ()
    root_path: str = ""
    webhooks: Hosts = ()
    webhook_secret: SecretStr | None = None
    body_bytes: Bytes = Field(16 << 20, ge=1024)
    body_seconds: float = Field(30.0, gt=0)
    upload_pixels: int = Field(16_000_000, ge=1)
    max_pixels: int = Field(2_100_000, ge=1)
    max_frames: int = Field(400, ge=1)
    max_steps: int = Field(200, ge=1)
    max_stills: int = Field(16, ge=1, le=64)
    log_prompts: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def webhook_key(self) -> bytes | None:
        """What webhooks are signed with: of a secret as Standard Webhooks writes it, the base64 behind `whsec_`; of any
        other, its text. Raises OptionError.
        """
        if self.webhook_secret is None:
            return None
        secret = self.webhook_secret.get_secret_value()
        if not secret.startswith(WHSEC):
            return secret.encode()
        try:
            key = base64.b64decode(secret.removeprefix(WHSEC), validate=True)
        except ValueError:
            key = b""
        if not key:
            raise OptionError(f"webhook_secret: what follows {WHSEC} is not base64")
        return key


def settings(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Put together what was set. `flags`: those that were given. Raises OptionError.

    file  None: the user's own configuration, where there is one
    """
    found = _table(file)
    for name, value in environment.items():
        if name.startswith(PREFIX):
            found[name.removeprefix(PREFIX).lower()] = (name, value)
    found |= {name: (f"--{name.replace('_', '-')}", value) for name, value in flags.items()}
    known = Settings.model_fields
    for name, (source, _) in found.items():
        if name not in known:
            raise OptionError(f"{source}: there is no setting {name!r}: {nearest(name, known)}")
    try:
        return Settings(**{name: value for name, (_, value) in found.items()})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise OptionError(
            f"{found[name][0]} = {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        ) from None


def _table(file: Path | None) -> dict[str, tuple[str, Any]]:
    """What the file sets, and where it stands."""
    path = file or config.default()
    if file is not None and not file.exists():
        raise OptionError(f"--config {file}: there is no such file")
    return {name: (f"{path}, {name}", value) for name, value in (config.table(path, TABLE) or {}).items()}
