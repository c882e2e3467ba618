"""A small machine for the opcodes of pickles: it builds plain values, and calls nothing but the functions it is given.

Python's own unpickler imports whatever a file names and calls it. Here a name is looked up in a table; what is not
there is refused, and so is every opcode that the official files have no use for.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import IO, Any

__all__ = ["Buildable", "Builder", "RefusedError", "check_key", "run"]

#: Official files have some ten thousand operations.
_MOST_OPERATIONS = 250_000


class RefusedError(Exception):
    """The bytes are no pickle, or do what no official file does; the message says what."""


class Builder:
    """What a pickle may call.

    Args:
        name: ``"module name"``, as pickles write it.
        build: takes the arguments, refuses what no official file holds, and returns the value.
    """

    def __init__(self, name: str, build: Callable[..., Any]) -> None:
        self.name, self.build = name, build

    def __call__(self, arguments: object) -> Any:
        """Build a value.

        Raises:
            RefusedError: the arguments are of another number or kind.
        """
        if not isinstance(arguments, tuple):
            raise RefusedError(f"it calls {self.name} without a tuple of arguments")
        try:
            return self.build(*arguments)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise RefusedError(f"it calls {self.name} with arguments that cannot be ({error})") from error


class Buildable:
    """A value whose state a pickle may set after it was made; no other has any."""

    def set_state(self, state: object) -> None:
        """Take the state.

        Raises:
            RefusedError: it cannot be.
        """
        raise NotImplementedError


class _Mark:
    """Where a tuple, list or dictionary begins on the stack."""


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def run(source: IO[bytes], table: Mapping[str, Builder], persistent: Callable[[object], Any] | None = None) -> Any:
    """The value of the pickle that begins where ``source`` stands; ``source`` then stands behind it.

    Args:
        source: the bytes; ``read`` has to return what is left where that is less than asked for.
        table: what may be called, by ``"module name"``.
        persistent: what a reference to a value outside of the pickle means; without it there may be none.

    Raises:
        RefusedError: the pickle is damaged, or does what it should not.
    """
    machine = _Machine(table, persistent)
    for operation, argument in _operations(source):
        if operation == "STOP":
            return machine.result()
        try:
            machine.step(operation, argument)
        except (IndexError, TypeError, KeyError, ValueError) as error:
            raise RefusedError(f"it is damaged ({operation}: {type(error).__name__})") from error
    raise RefusedError("it is truncated")


def _operations(source: IO[bytes]) -> Iterator[tuple[str, Any]]:
    operations = pickletools.genops(source)
    for _ in range(_MOST_OPERATIONS):
        try:
            opcode, argument, _position = next(operations)
        except StopIteration:
            return
        except Exception as error:  # what the reader raises depends on the byte that is wrong
            raise RefusedError(f"it is truncated or no pickle ({' '.join(str(error).split())[:80]})") from error
        yield opcode.name, argument
    raise RefusedError(f"it has more than {_MOST_OPERATIONS:,} operations")


class _Machine:
    def __init__(self, table: Mapping[str, Builder], persistent: Callable[[object], Any] | None) -> None:
        self.table, self.persistent = table, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise RefusedError("it is damaged (STOP)")
        return self.stack[0]

    def step(self, operation: str, argument: Any) -> None:
        if operation in _LITERALS:
            self.stack.append(argument)
        elif operation in _CONSTANTS:
            self.stack.append(_CONSTANTS[operation]())
        elif operation in _SHORT_TUPLES:
            count = _SHORT_TUPLES[operation]
            self._replace(count, tuple(self.stack[-count:]))
        else:
            handler = getattr(self, f"_{operation.lower()}", None)
            if handler is None:
                raise RefusedError(f"it has the operation {operation}, which no official file has")
            handler(argument)

    def _replace(self, count: int, value: Any) -> None:
        if len(self.stack) < count or any(isinstance(item, _Mark) for item in self.stack[-count:]):
            raise IndexError
        del self.stack[-count:]
        self.stack.append(value)

    def _since_mark(self) -> list[Any]:
        marks = (index for index in range(len(self.stack) - 1, -1, -1) if isinstance(self.stack[index], _Mark))
        mark = next(marks, None)
        if mark is None:
            raise IndexError
        items = self.stack[mark + 1 :]
        del self.stack[mark:]
        return items

    def _proto(self, argument: int) -> None:
        if argument > 5:
            raise RefusedError(f"it has protocol {argument}")

    def _frame(self, argument: int) -> None:
        """Frames are a hint for buffering."""

    def _mark(self, argument: None) -> None:
        self.stack.append(_Mark())

    def _pop(self, argument: None) -> None:
        self.stack.pop()

    def _tuple(self, argument: None) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _list(self, argument: None) -> None:
        self.stack.append(self._since_mark())

    def _append(self, argument: None) -> None:
        item = self.stack.pop()
        _expect(self.stack[-1], list).append(item)

    def _appends(self, argument: None) -> None:
        items = self._since_mark()
        _expect(self.stack[-1], list).extend(items)

    def _additems(self, argument: None) -> None:
        items = self._since_mark()
        _expect(self.stack[-1], set).update(map(check_key, items))

    def _setitem(self, argument: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _expect(self.stack[-1], dict)[check_key(key)] = value

    def _setitems(self, argument: None) -> None:
        items = self._since_mark()
        _expect(self.stack[-1], dict).update(zip(map(check_key, items[::2]), items[1::2], strict=True))

    def _memoize(self, argument: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _binput(self, argument: int) -> None:
        self.memo[argument] = self.stack[-1]

    _long_binput = _binput

    def _binget(self, argument: int) -> None:
        self.stack.append(self.memo[argument])

    _long_binget = _binget

    def _global(self, argument: str) -> None:
        self.stack.append(self._find(argument))

    def _stack_global(self, argument: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._find(f"{_expect(module, str)} {_expect(name, str)}"))

    def _find(self, name: str) -> Builder:
        if name not in self.table:
            raise RefusedError(f"it names {name.replace(' ', '.', 1)[:100]}, which no official file does")
        return self.table[name]

    def _reduce(self, argument: None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(_expect(function, Builder)(arguments))

    # An object without state of its own is made by calling its class, as by REDUCE.
    _newobj = _reduce

    def _build(self, argument: None) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Buildable):
            target.set_state(state)
        elif not (isinstance(target, dict) and state == {}):  # of an empty __dict__, which is no state
            raise RefusedError(f"it sets the state of a {type(target).__name__}")

    def _binpersid(self, argument: None) -> None:
        if self.persistent is None:
            raise RefusedError("it refers to something outside of itself")
        self.stack.append(self.persistent(self.stack.pop()))


def check_key(value: Any) -> Any:
    """The value, if it is what dictionaries and sets of official files hold.

    Nothing else is ever hashed: the hash of tuples nested a million times overflows the stack of the process.
    """
    return _expect(value, (str, int, float, NoneType))


def _expect(value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind):
        raise RefusedError(f"it is damaged (a {type(value).__name__} where it cannot be)")
    return value
