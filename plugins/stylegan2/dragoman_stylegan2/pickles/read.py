"""What an official ``.pkl`` file may name, and what is made of it.

The files of stylegan2-ada-pytorch and stylegan3 are pickles of live modules. Each module is a call of one function
with a record: type, version, class name, the source text of its class, and its ``__dict__``. Unpickling them executes
that source. Here a record stays a record, and the source is dropped.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from torch import Tensor

from dragoman.errors import PackageError
from dragoman_stylegan2.pickles.machine import Buildable, Builder, RefusedError, check_key, run
from dragoman_stylegan2.pickles.storage import read_storage, strided

__all__ = ["MAX_BYTES", "Record", "read_pickle"]

#: Largest file that is read, in bytes; the largest official one is a tenth of it.
MAX_BYTES = 4 * 2**30
_RECORD_VERSION = 6
_LARGEST_SET = 16
_RECORD_ENTRIES = {"type", "version", "module_src", "class_name", "state"}
#: Types of numpy scalars: what numpy calls them, and what struct does.
_SCALARS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "b1": "?"}


@dataclass(frozen=True)
class Record:
    """A module as a file describes it.

    Attributes:
        class_name: name of its class.
        state: its attributes.
    """

    class_name: str
    state: Mapping[str, Any]

    def attribute(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """An attribute of the given type.

        Raises:
            PackageError: it is missing, or of another type.
        """
        value = self.state.get(name)
        if name not in self.state or not isinstance(value, kind):
            raise PackageError(f"A {self.class_name} of the file has no usable attribute {name!r}.")
        return value

    def child(self, name: str) -> Record:
        """The module under a name.

        Raises:
            PackageError: there is none.
        """
        found = self.children.get(name)
        if found is None:
            raise PackageError(f"A {self.class_name} of the file holds no module {name!r}.")
        return found

    @property
    def children(self) -> dict[str, Record]:
        """The modules that it holds."""
        modules = self.attribute("_modules", dict)
        return {
            name: module for name, module in modules.items() if isinstance(module, Record) and isinstance(name, str)
        }

    @property
    def own_tensors(self) -> dict[str, Tensor]:
        """Its parameters and buffers; frozen parameters may stand among the buffers."""
        held = {**self.attribute("_parameters", dict), **self.attribute("_buffers", dict)}
        return {name: value for name, value in held.items() if isinstance(value, Tensor) and isinstance(name, str)}


class _ScalarType(Buildable):
    """A numpy dtype of the allowed kinds, little-endian."""

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or code not in _SCALARS:
            raise RefusedError("it has a numpy value that is no plain number")
        self.format = f"<{_SCALARS[code]}"

    def set_state(self, state: object) -> None:
        """Version, byte order, and six things that plain numbers do not have."""
        if not isinstance(state, tuple) or len(state) != 8 or state[1] not in ("<", "|") or state[2:5] != (None,) * 3:
            raise RefusedError("it has a numpy type that is no plain number")

    def value(self, raw: object) -> float | int | bool:
        """The number that the bytes are."""
        if not isinstance(raw, bytes):
            raise RefusedError("it has a numpy value without bytes")
        try:
            number: float | int | bool = struct.unpack(self.format, raw)[0]
        except struct.error as error:
            raise RefusedError("it has a numpy value of another size than its type") from error
        return number


def _record(meta: object) -> Record:
    if not isinstance(meta, dict) or not set(meta) >= _RECORD_ENTRIES:
        raise RefusedError("it describes a module without the entries that a module has")
    if meta["type"] != "class" or meta["version"] != _RECORD_VERSION:
        raise RefusedError(f"it describes modules in another form than version {_RECORD_VERSION}, the only one known")
    name, state = meta["class_name"], meta["state"]
    if not isinstance(name, str) or not isinstance(state, dict):
        raise RefusedError("it describes a module without a class or attributes")
    return Record(name[:100], state)


def _scalar(kind: object, raw: object) -> float | int | bool:
    if not isinstance(kind, _ScalarType):
        raise RefusedError("it has a numpy value without a type")
    return kind.value(raw)


def _parameter(tensor: object, requires_grad: object, hooks: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise RefusedError("it has a parameter that is no tensor")
    return tensor


def _mapping() -> dict[Any, Any]:
    return {}


def _set(items: object) -> set[Any]:
    if not isinstance(items, list) or len(items) > _LARGEST_SET:
        raise RefusedError("it has a set that cannot be")
    return set(map(check_key, items))


def _tensorflow(*arguments: object) -> None:
    raise RefusedError("it is of the TensorFlow releases; convert it with legacy.py of stylegan2-ada-pytorch first")


class _Memory:
    """Reads storages, and refuses to read more of them than the file has bytes, however often it names one."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, blob: object) -> Tensor:
        self.left -= len(blob) if isinstance(blob, bytes) else 0
        if self.left < 0:
            raise RefusedError("it uses the same bytes for many tensors")
        return read_storage(blob)


def _table(size: int) -> dict[str, Builder]:
    """What a file of that many bytes may call."""
    known: dict[str, Callable[..., Any]] = {
        "torch_utils.persistence _reconstruct_persistent_obj": _record,
        "dnnlib.util EasyDict": _mapping,
        "collections OrderedDict": _mapping,
        "torch._utils _rebuild_tensor_v2": strided,
        "torch._utils _rebuild_parameter": _parameter,
        "torch.storage _load_from_bytes": _Memory(size).read,
        "numpy.core.multiarray scalar": _scalar,
        "numpy._core.multiarray scalar": _scalar,
        "numpy dtype": _ScalarType,
        # Protocol 3 has no opcode for a set, and every torch module has one.
        "builtins set": _set,
        "dnnlib.tflib.network Network": _tensorflow,
    }
    return {name: Builder(name.replace(" ", "."), build) for name, build in known.items()}


def read_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The dictionary in an official file; modules are :class:`Record`, tensors are on the CPU.

    Args:
        path: the file.
        max_bytes: largest file that is read.

    Raises:
        PackageError: the file is missing, too large, damaged, or names or does anything that official files do not.
    """
    try:
        size = path.stat().st_size
        if not 0 < size <= max_bytes:
            raise PackageError(f"{path} has {size:,} bytes; files of 1 to {max_bytes:,} bytes are read.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as source:
            content = run(cast("IO[bytes]", source), _table(size))
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except RefusedError as reason:
        raise PackageError(f"{path} is no official PyTorch pickle of StyleGAN2: {reason}.") from reason
    if not isinstance(content, dict):
        raise PackageError(f"{path} is no official PyTorch pickle of StyleGAN2: it holds a {type(content).__name__}.")
    return content
