"""The presets there are, and where their models lie on this machine.

Reads the packaged `presets/*.toml`, those of plug-ins and the user's own, and finds folders and snapshots.
Knows no device and not how a model runs: memory comes in as a number. Touches no network (`pull.py` does).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from animatic import files, weights
from animatic.errors import InputError, PresetError, WeightsError, nearest
from animatic.geometry import Geometry
from animatic.options import resolve
from animatic.spec import (
    DTYPES,
    MODEL_STAGES,
    PHASES,
    POCKET,
    ModelSpec,
    ModelStage,
    Preset,
    Preview,
    largest,
    needs,
)

__all__ = [
    "MODEL_STAGES", "PHASES", "POCKET", "ModelSpec", "ModelStage", "Preset", "Preview", "choose", "complete",
    "configs", "installed", "largest", "locate", "needs", "preset", "presets", "register",
]  # fmt: skip

PACKAGE = Path(__file__).parent
ENTRY_POINTS = "animatic.presets"


# -------------------------------------------------------------------------------------------- reading presets


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class _GeometryTable(_Table):
    sizes: list[tuple[int, int]] = []
    multiple: int = Field(16, ge=1)
    short: tuple[int, int] = (16, 4096)
    long: tuple[int, int] = (16, 4096)
    frames: list[int] = []


class _PreviewTable(_Table):
    factors: list[tuple[float, float, float]]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


class _ModelTable(_Table):
    family: Literal["chat", "flux", "cogvideox"]
    repo: str = Field(min_length=1)
    revision: str = "main"
    licence: str = "unknown"
    licence_url: str = ""
    commercial: bool | str = False
    gated: bool = False
    aliases: list[str] = []
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    components: dict[str, int] = {}
    disk: dict[str, int] = {}
    activations: dict[str, int] = {}
    config: dict[str, dict[str, Any]] = {}
    options: dict[str, str | int | float | bool] = {}
    geometry: _GeometryTable | None = None
    preview: _PreviewTable | None = None
    share: Literal["proven", "equivalent"] = "proven"


class _FileTable(_Table):
    options: dict[str, str | int | float | bool] = {}


class _PresetTable(_Table):
    title: str
    summary: str = ""
    rank: int = 10
    vocabulary: list[str] = []
    extends: str | None = None
    refine: _ModelTable
    image: _ModelTable
    video: _ModelTable
    file: _FileTable = _FileTable()


OF_ONE_MODEL = (
    "revision", "aliases", "licence", "licence_url", "commercial", "gated", "components", "disk", "config",
)  # fmt: skip
"""What `extends` does not hand down to another repository: facts about one model, not about its family."""


def presets() -> dict[str, Preset]:
    """Every preset by name: packaged, from plug-ins, and the user's own (which win), best rank first.

    Raises PresetError naming the file and the key for anything malformed.
    """
    found = [preset(name) for name in preset_files()]
    return {p.name: p for p in sorted(found, key=lambda p: (-p.rank, p.name))}


def preset(name: str) -> Preset:
    """One preset. Raises PresetError: unknown (with the nearest name), or malformed."""
    files = preset_files()
    if name not in files:
        raise PresetError(f"unknown preset {name!r}: {nearest(name, files)}")
    return _build(name, files[name], _inherit(name, files, ()))


def preset_files() -> dict[str, Path]:
    """The file of each preset by name; later folders win: packaged, plug-ins', the user's."""
    return {file.stem: file for folder in _preset_folders() for file in sorted(folder.glob("*.toml"))}


def user_folder() -> Path:
    """Where the user's own presets/ and models.toml lie."""
    return user_config_path("animatic")


def _preset_folders() -> Iterator[Path]:
    yield PACKAGE / "presets"
    for point in entry_points(group=ENTRY_POINTS):
        try:
            yield Path(point.load())
        except (ImportError, AttributeError, TypeError) as error:
            raise PresetError(f"plug-in {point.name!r} ({point.value}) does not load: {error}") from None
    yield user_folder() / "presets"


def _inherit(name: str, files: Mapping[str, Path], seen: tuple[str, ...]) -> dict[str, Any]:
    """The preset's raw tables, laid over those of the preset it extends."""
    table = _read_toml(files[name])
    base = table.get("extends")
    if base is None:
        return table
    if not isinstance(base, str) or base not in files:
        raise PresetError(f"{files[name]}: extends = {base!r} is no preset: {nearest(str(base), files)}")
    if base in (*seen, name):
        raise PresetError(f"{files[name]}: extends = {base!r} goes round in a circle")
    return overlay(_inherit(base, files, (*seen, name)), table)


def overlay(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """`table` over `base`, table by table; a stage with another repo starts without the old model's facts."""
    merged = dict(base)
    for key, value in table.items():
        below = merged.get(key)
        if not (isinstance(value, Mapping) and isinstance(below, Mapping)):
            merged[key] = value
            continue
        if "repo" in value and value["repo"] != below.get("repo"):
            below = {k: v for k, v in below.items() if k not in OF_ONE_MODEL}
        merged[key] = overlay(below, value)
    return merged


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise PresetError(f"{file}: not readable TOML: {error}") from None


def _build(name: str, file: Path, raw: Mapping[str, Any]) -> Preset:
    try:
        table = _PresetTable.model_validate(raw)
    except ValidationError as error:
        raise PresetError(_first_problem(file, error)) from None
    options = {f"file.{k}": v for k, v in table.file.options.items()}
    for stage in MODEL_STAGES:
        options |= {f"{stage}.{k}": v for k, v in getattr(table, stage).options.items()}
    try:
        resolve(options)
        models: dict[ModelStage, ModelSpec] = {s: _spec(s, getattr(table, s), file) for s in MODEL_STAGES}
    except (InputError, ValueError) as error:
        raise PresetError(f"{file}: {error}") from None
    words = tuple(table.vocabulary)
    return Preset(name, table.title, table.summary, table.rank, words, models, options, file)


def _first_problem(file: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = _PresetTable
        for part in first["loc"][:-1]:
            model = _KNOWN_TABLES.get(str(part), model)
        return f"{file}: unknown key {key!r}: {nearest(str(first['loc'][-1]), model.model_fields)}"
    if first["type"] == "missing":
        return f"{file}: the key {key!r} is missing"
    return f"{file}: {key} = {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"


_KNOWN_TABLES: dict[str, type[BaseModel]] = {
    **dict.fromkeys(MODEL_STAGES, _ModelTable),
    "file": _FileTable,
    "geometry": _GeometryTable,
    "preview": _PreviewTable,
}


def _spec(stage: ModelStage, table: _ModelTable, file: Path) -> ModelSpec:
    parts = [part for needed in PHASES[table.family].values() for part in needed]
    verbs = [*PHASES[table.family], "decode_tiled"]
    for what, known in (("components", parts), ("disk", parts), ("config", parts), ("activations", verbs)):
        for key in getattr(table, what):
            if key not in known:
                raise PresetError(f"unknown key '{stage}.{what}.{key}': {nearest(key, known)}")
    plain = set(_ModelTable.model_fields) - {"repo", "aliases", "components", "geometry", "preview"}
    spec = ModelSpec(
        stage=stage,
        repo=_absolute(table.repo, file.parent),
        aliases=tuple(table.aliases),
        components=dict.fromkeys(parts, 0) | table.components,
        geometry=_geometry(table.geometry),
        preview=Preview(tuple(table.preview.factors), table.preview.bias) if table.preview else None,
        **{name: getattr(table, name) for name in plain},
    )
    return _measured(spec, [part for part in spec.weights if part not in table.components])


def _geometry(table: _GeometryTable | None) -> Geometry | None:
    if table is None:
        return None
    return Geometry(tuple(table.sizes), table.multiple, table.short, table.long, tuple(table.frames))


def _absolute(repo: str, beside: Path) -> str:
    """A folder's path, made absolute from the preset's own folder; anything else as it is."""
    if repo.startswith(("./", "../", "/", "~")) or Path(repo).is_absolute():
        return str((beside / Path(repo).expanduser()).resolve())
    return repo


def _measured(spec: ModelSpec, unknown: list[str]) -> ModelSpec:
    """With what its TOML leaves out taken from the files, where the model is on this machine."""
    if spec.repo.startswith(POCKET) and spec.preview is None:
        spec = replace(spec, preview=_pocket_preview(spec.stage))
    folder = locate(spec) if unknown else None
    if folder is None:
        return spec
    device, disk = dict(spec.components), dict(spec.disk)
    for part in unknown:
        try:
            tensors = weights.inspect(folder / spec.folder_of(part))
        except WeightsError:
            continue  # Damaged: whoever loads it says so; a list of presets must not fail for it.
        device[part] = weights.cast_nbytes(tensors, DTYPES[spec.dtype])
        disk.setdefault(part, weights.nbytes(tensors))
    return replace(spec, components=device, disk=disk)


def _pocket_preview(stage: str) -> Preview | None:
    file = PACKAGE / "pocket" / "preview.json"
    if not file.is_file():
        return None
    try:
        table = _PreviewTable.model_validate(json.loads(file.read_text("utf-8")).get(stage))
    except (ValueError, AttributeError):  # pydantic's ValidationError is a ValueError
        return None
    return Preview(tuple(table.factors), table.bias)


# -------------------------------------------------------------------------------------------- on this machine


def locate(spec: ModelSpec) -> Path | None:
    """The model's folder on this machine if every component's files are there, else None. Never downloads.

    Looks in the package, or where `register` was told, then in the Hugging Face cache.
    """
    return next((folder for folder in _places(spec) if complete(spec, folder)), None)


def complete(spec: ModelSpec, folder: Path) -> bool:
    """Whether `folder` has the files of each component. They may be damaged: `weights.inspect` tells."""
    return all(_has(part, folder / spec.folder_of(part)) for part in spec.components)


def installed() -> tuple[Preset, ...]:
    """The presets all of whose models are on this machine, best rank first."""
    return tuple(p for p in presets().values() if all(locate(spec) for spec in p.models.values()))


def choose(candidates: Iterable[Preset], fits: Callable[[Preset], bool]) -> Preset:
    """The candidate of the highest rank that fits, else pocket; of equal ranks the one that needs the least."""
    fitting = [p for p in candidates if fits(p)]
    return max(fitting, key=lambda p: (p.rank, -largest(p)[1])) if fitting else preset("pocket")


def configs(spec: ModelSpec) -> dict[str, Mapping[str, Any]]:
    """The configuration of each weighty part, as far as it is known: its `config.json` where the model is on this
    machine, else what the preset says; the file wins key by key.
    """
    folder = locate(spec)
    found = {part: _configuration(folder / spec.folder_of(part)) if folder else {} for part in spec.weights}
    return {part: {**spec.config.get(part, {}), **config} for part, config in found.items()}


def _configuration(folder: Path) -> dict[str, Any]:
    """What `config.json` says; nothing, if it is damaged: whoever loads it says so."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def register(repo: str, folder: Path) -> None:
    """Take a model from `folder` from now on, instead of the Hugging Face cache.

    Raises PresetError when no preset uses `repo`, WeightsError when the folder lacks files or is another
    model's, OutputError when the note of it cannot be written.
    """
    specs = {spec.repo: spec for p in presets().values() for spec in p.models.values() if not spec.is_local}
    if repo not in specs:
        raise PresetError(f"no preset uses {repo!r}: {nearest(repo, specs)}")
    folder = folder.expanduser().resolve()
    _check(specs[repo], folder)
    folders = _registered() | {repo: str(folder)}
    lines = [f"{_quoted(name)} = {_quoted(path)}\n" for name, path in folders.items()]
    files.check_writable(user_folder(), 0)
    files.write(user_folder() / "models.toml", "".join(["[folders]\n", *lines]).encode())


def _check(spec: ModelSpec, folder: Path) -> None:
    if not folder.is_dir():
        raise WeightsError(f"{folder} is missing")
    for part in spec.components:
        if part in spec.weights:
            size = weights.cast_nbytes(weights.inspect(folder / spec.folder_of(part)), DTYPES[spec.dtype])
            want = spec.components[part]
            if want and abs(size - want) > want / 10:
                sizes = f"{size / 1e9:.1f} GB, not {want / 1e9:.1f} GB"
                raise WeightsError(f"{folder} is another model than {spec.repo}: its {part} takes {sizes}")
        if not _has(part, folder / spec.folder_of(part)):
            raise WeightsError(f"{folder / spec.folder_of(part)} lacks the files of the {part}")


def _places(spec: ModelSpec) -> Iterator[Path]:
    if spec.repo.startswith(POCKET):
        yield PACKAGE / "pocket" / spec.repo.removeprefix(POCKET)
    elif spec.is_local:
        yield Path(spec.repo)
    else:
        registered = _registered()
        for name in (spec.repo, *spec.aliases):
            if name in registered:
                yield Path(registered[name])
        for name in (spec.repo, *spec.aliases):
            yield from _snapshot(name, spec.revision)


def hub_cache() -> Path:
    """Where Hugging Face's tools keep what was downloaded."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _snapshot(repo: str, revision: str) -> Iterator[Path]:
    """The Hugging Face cache's folder of one revision, by the cache's documented layout: no network call."""
    home = hub_cache() / f"models--{repo.replace('/', '--')}"
    try:
        commit = (home / "refs" / revision).read_text("utf-8").strip()
    except OSError:
        commit = revision
    yield home / "snapshots" / commit


def _has(part: str, folder: Path) -> bool:
    if part.startswith("tokenizer"):
        return any((folder / name).is_file() for name in TOKENIZER_FILES)
    if part == "scheduler":
        return (folder / "scheduler_config.json").is_file()
    try:
        return (folder / "config.json").is_file() and bool(weights.weight_files(folder))
    except WeightsError:
        return False


TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")


def _registered() -> dict[str, str]:
    file = user_folder() / "models.toml"
    if not file.is_file():
        return {}
    folders = _read_toml(file).get("folders", {})
    if not (isinstance(folders, dict) and all(isinstance(path, str) for path in folders.values())):
        raise PresetError(f"{file}: [folders] must map repositories to paths")
    return folders


def _quoted(text: str) -> str:
    """As a TOML basic string, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
