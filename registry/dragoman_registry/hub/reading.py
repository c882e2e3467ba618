"""JSON from strangers, field by field: what is missing or of another type is refused in one sentence."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, TypeVar

from dragoman_registry.hub.refusal import bad

__all__ = ["base64_field", "field", "object_of"]

T = TypeVar("T")


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object that a body holds.

    Raises:
        RequestError: it is no JSON object, too deep, or not UTF-8.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:  # ValueError: syntax, encoding, and integers of absurd length
        raise bad("The request is not valid JSON.") from error
    if not isinstance(data, dict):
        raise bad("The request is not a JSON object.")
    return data


def field(data: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    """One field of an object.

    Args:
        data: the object.
        name: of the field.
        kind: its type.
        default: for a field that is missing or null; without one it must be there.

    Raises:
        RequestError: the field is missing or of another type, or it is text that is not Unicode.
    """
    value = data.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise bad(f"The field {name!r} of the request must be there and be of type {kind.__name__}.")
    if isinstance(value, str):
        _check_unicode(value, name)
    return value


def _check_unicode(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair
        raise bad(f"The field {name!r} of the request is not valid Unicode.") from error


def base64_field(data: dict[str, Any], name: str) -> bytes:
    """Bytes in base64.

    Raises:
        RequestError: the field is missing or not base64.
    """
    try:
        return base64.b64decode(field(data, name, str), validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad(f"The field {name!r} of the request is not base64.") from error
