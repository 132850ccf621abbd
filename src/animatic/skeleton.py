"""Modules without memory: built from a model's configuration, checked against its files, and given tensors later.

A skeleton is what the library's own `from_pretrained` would give, bit for bit, once its weights are bound: the same
classes, dtypes, ties and buffers. Knows no device, reads no tensor data, and decides nothing about memory.

Checkpoints name some tensors otherwise than the present library does. Where renaming suffices it is done here, by the
library's own rules; where tensors would have to be converted, split or merged, `by_library` is true, and only
`from_pretrained` can give them (`Skeleton.library`). None of the models that the presets name needs that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, GenerationConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.initialization import no_init_weights

from animatic import weights
from animatic.errors import WeightsError

TORCH = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
"""torch's dtypes by the file format's names."""


@dataclass(frozen=True)
class Weight:
    """One tensor that a module needs.

    names   its names in the module: several where the module ties them
    dtype   what it has in the module, whatever it has in the file
    tensor  where it lies; None where only the library can make it
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    tensor: weights.Tensor | None

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A module whose tensors have shapes only, and the weights that would fill it. Its other buffers are real."""

    module: torch.nn.Module
    weights: tuple[Weight, ...]
    folder: Path
    cls: Any
    dtype: torch.dtype

    @property
    def by_library(self) -> bool:
        return any(weight.tensor is None for weight in self.weights)

    def library(self) -> dict[str, torch.Tensor]:
        """The weights as the library loads them, by name. Changes torch's default dtype while it works: of all threads.

        Raises WeightsError.
        """
        module = _from_pretrained(self.cls, self.folder, self.dtype)
        return {name: tensor.detach() for name, tensor in module.state_dict().items()}

    def bindings(self, tensors: Mapping[str, torch.Tensor]) -> Binding:
        """What `bind` would do, to be done often. A tied tensor may be given by any of its names."""
        done: list[tuple[dict[str, Any], str, torch.Tensor]] = []
        for weight in self.weights:
            given = next((tensors[name] for name in weight.names if name in tensors), None)
            if given is not None:
                done += _entries(self.module, weight.names, given)
        return tuple(done)

    def bind(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Let the module compute with these tensors: it holds them, and copies nothing."""
        apply(self.bindings(tensors))

    def unbind(self) -> None:
        """Let go of every tensor that was bound."""
        apply(self.blank_of(self.weights))

    def blank_of(self, some: Iterable[Weight]) -> Binding:
        """What unbinds some of the weights: tensors that have a shape and a dtype, and no memory."""
        return self.bindings({w.names[0]: torch.empty(w.shape, dtype=w.dtype, device="meta") for w in some})

    def move_buffers(self, device: torch.device) -> None:
        """Put the buffers that no file holds (rotary tables and the like) onto a device."""
        ours = {name for weight in self.weights for name in weight.names}
        for name, buffer in list(self.module.named_buffers()):
            if name not in ours and buffer.device.type != "meta":
                owner, _, leaf = name.rpartition(".")
                self.module.get_submodule(owner)._buffers[leaf] = buffer.to(device)


Binding = tuple[tuple[dict[str, Any], str, torch.Tensor], ...]
"""(a module's own table, a name in it, what shall stand there)."""


def apply(binding: Binding) -> None:
    for table, name, tensor in binding:
        table[name] = tensor


def skeleton(
    cls: Any,
    folder: Path,
    dtype: torch.dtype,
    only: Callable[[str], bool] | None = None,
    change: Callable[[torch.nn.Module], None] | None = None,
) -> Skeleton:
    """Build a class's module from the configuration in `folder`, in evaluation mode, and find its weights there.

    only    which of its tensors, by name, it shall have: the others stay without memory; None: all
    change  alters the module before that, as by taking submodules out

    Changes torch's default dtype and how modules are initialised while it works, so no other thread may compute or
    build modules meanwhile. Raises WeightsError for missing, damaged or pickled files, tensors of another shape than
    the model's, and tensors that the files lack.
    """
    found = weights.inspect(folder)
    module = _module(cls, folder, dtype)
    blank = dict(module.state_dict())
    by_name, converted = _named(module, found, blank)
    _check_shapes(folder, by_name, blank)
    if not converted:
        _check_missing(folder, module, by_name, blank)
    if change is not None:
        change(module)
    needed = [name for name in module.state_dict() if only is None or only(name)]
    dtypes = _dtypes(module, dtype, blank)
    made = tuple(
        Weight(names, tuple(blank[names[0]].shape), _dtype(by_name.get(names[0]), dtypes[names[0]]),
               None if converted else by_name[names[0]])
        for names in _tied(module, needed, by_name)
        if converted or names[0] in by_name
    )  # fmt: skip
    bones = Skeleton(module.eval().requires_grad_(False), made, folder, cls, dtype)
    _strip(module, blank if converted else by_name)
    bones.unbind()
    return bones


def _module(cls: Any, folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The module as the library's loading builds it, its parameters on the meta device."""
    try:
        if hasattr(cls, "load_config"):
            config = cls.load_config(folder, local_files_only=True)
            with _default_dtype(dtype):
                module = _without_memory(lambda: cls.from_config(config))
            module.register_to_config(_name_or_path=folder)
            return module  # type: ignore[no-any-return]
        source = getattr(cls, "config_class", None) or AutoConfig
        config = source.from_pretrained(folder, local_files_only=True)
        config.name_or_path = str(folder)
        # First values would be thrown away, and drawing them takes half of the time. Tying goes with them: it follows.
        with no_init_weights(), init_empty_weights(include_buffers=False):
            module = (cls.from_config if hasattr(cls, "from_config") else cls._from_config)(config, dtype=dtype)
        module.tie_weights()
        _read_generation_config(module, folder)
        return module  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder} has no usable configuration: {_first_line(error)}") from error


def _without_memory(make: Callable[[], Any]) -> Any:
    """A module whose parameters are on the meta device, and all else too if the files hold it.

    CogVideoX computes a table of positions first, which its files hold: for nothing, and in a gigabyte of memory.
    """
    with torch.device("meta"):
        module = make()
    filed = set(module.state_dict())
    plain = (value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor))
    if all(name in filed for name, _ in module.named_buffers()) and next(plain, None) is None:
        return module
    with init_empty_weights(include_buffers=False):
        return make()


def _read_generation_config(module: Any, folder: Path) -> None:
    if not module.can_generate():
        return
    try:
        module.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        # Without a file of its own, its settings stand among the model's.
        module.generation_config = GenerationConfig.from_pretrained(
            folder, config_file_name="config.json", _from_model_config=True, local_files_only=True
        )


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _named(
    module: torch.nn.Module, found: Iterable[weights.Tensor], blank: Mapping[str, torch.Tensor]
) -> tuple[dict[str, weights.Tensor], bool]:
    """The files' tensors by the module's names, and whether any would have to be converted."""
    if not isinstance(module, PreTrainedModel):
        return {tensor.name: tensor for tensor in found if tensor.name in blank}, False
    rules = get_model_conversion_mapping(module)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    named: dict[str, weights.Tensor] = {}
    converted = False
    for tensor in found:
        name, converter = rename_source_key(tensor.name, renamings, converters, module.base_model_prefix, blank)
        if name not in blank and tensor.name in blank:
            name, converter = tensor.name, None
        if name in blank:
            named[name] = tensor
            converted |= converter is not None
    return named, converted


def _check_shapes(folder: Path, found: Mapping[str, weights.Tensor], blank: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in found.items():
        wanted = tuple(blank[name].shape)
        if tuple(tensor.shape) != wanted:
            raise WeightsError(
                f"{folder}: {tensor.name} is {list(tensor.shape)}, but its configuration says {list(wanted)}: "
                "these weights are of another model"
            )
        if tensor.dtype not in TORCH:
            raise WeightsError(f"{folder}: {tensor.name} is {tensor.dtype}, which cannot be run")
    weights.check_dtypes(tensor for name, tensor in found.items() if blank[name].is_floating_point())


def _check_missing(
    folder: Path, module: torch.nn.Module, found: Mapping[str, weights.Tensor], blank: Mapping[str, torch.Tensor]
) -> None:
    names = {name for tied in _tied(module, blank, found) if tied[0] not in found for name in tied}
    optional = getattr(module, "_keys_to_ignore_on_load_missing", None) or ()
    raise_missing(folder, module, [n for n in names if not any(re.search(pattern, n) for pattern in optional)])


def raise_missing(folder: Path, module: Any, names: Iterable[str]) -> None:
    """Raises WeightsError if there are any names: nothing is ever computed with weights that no file holds."""
    if missing := sorted(names):
        count = f"{len(missing)} {'tensor' if len(missing) == 1 else 'tensors'}"
        raise WeightsError(f"{folder} lacks {count} of {type(module).__name__}, such as {missing[0]}: pull it anew")


def _tied(module: torch.nn.Module, names: Iterable[str], found: Mapping[str, weights.Tensor]) -> list[tuple[str, ...]]:
    """`names` in groups that share a tensor, one that was found first. Two that were found are not tied."""
    ties: Mapping[str, str] = getattr(module, "all_tied_weights_keys", None) or {}
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(ties.get(name, name), []).append(name)
    tied: list[tuple[str, ...]] = []
    for group in groups.values():
        here = [name for name in group if name in found]
        absent = tuple(name for name in group if name not in found)
        tied += [(here[0], *absent), *((name,) for name in here[1:])] if here else [absent]
    return tied


def _dtypes(module: Any, dtype: torch.dtype, blank: Mapping[str, torch.Tensor]) -> dict[str, torch.dtype]:
    """What from_pretrained gives each tensor of floating point: `dtype`, but for those a class keeps in float32."""
    if isinstance(module, PreTrainedModel):
        # Its keys are patterns; what a class declares a dtype for itself, it keeps.
        kept = [re.compile(key.replace("*", ".*")) for key in module._get_dtype_plan(dtype)]
        return {n: torch.float32 if any(p.search(n) for p in kept) else t.dtype for n, t in blank.items()}
    keep = getattr(module, "_keep_in_fp32_modules", None) or ()
    kept_parts = {keep} if isinstance(keep, str) else set(keep)
    return {name: torch.float32 if kept_parts & set(name.split(".")) else dtype for name in blank}


def _dtype(tensor: weights.Tensor | None, floating: torch.dtype) -> torch.dtype:
    return floating if tensor is None or tensor.is_float else TORCH[tensor.dtype]


def _strip(module: torch.nn.Module, found: Container[str]) -> None:
    """What the files hold has no memory, buffers too: so nothing is ever computed with what was not loaded."""
    for name, buffer in list(module.named_buffers()):
        if name in found:
            owner, _, leaf = name.rpartition(".")
            module.get_submodule(owner)._buffers[leaf] = torch.empty_like(buffer, device="meta")


def _entries(
    module: torch.nn.Module, names: Iterable[str], tensor: torch.Tensor
) -> list[tuple[dict[str, Any], str, torch.Tensor]]:
    parameter = torch.nn.Parameter(tensor, requires_grad=False)
    entries: list[tuple[dict[str, Any], str, torch.Tensor]] = []
    for name in names:
        owner, _, leaf = name.rpartition(".")
        place = module.get_submodule(owner)
        known = leaf in place._parameters
        entries.append((place._parameters if known else place._buffers, leaf, parameter if known else tensor))
    return entries


def _from_pretrained(cls: Any, folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    try:
        module, report = cls.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{folder} does not load as {cls.__name__}: {_first_line(error)}") from error
    raise_missing(folder, module, report["missing_keys"])
    return module  # type: ignore[no-any-return]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
