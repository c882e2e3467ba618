"""Calls about the caller, and those that make, move, change and delete repositories."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.cards import CardError, front_matter
from dragoman_registry.hub.history import start
from dragoman_registry.hub.reading import field
from dragoman_registry.hub.refusal import INVALID_TOKEN, RequestError, bad
from dragoman_registry.hub.repositories import TYPES, create, delete, move, set_gated, set_private, writable

__all__ = [
    "auth_check",
    "create_repository",
    "delete_repository",
    "move_repository",
    "settings",
    "validate_yaml",
    "whoami",
]


def whoami(call: Call) -> dict[str, Any]:
    """Who the token belongs to."""
    caller = call.caller
    if caller.anonymous:
        raise RequestError(401, INVALID_TOKEN)
    role = "read" if caller.scope == "read" else "write"
    return {
        "type": "user",
        "name": caller.user,
        "fullname": caller.user,
        "orgs": [{"type": "org", "name": name, "fullname": name} for name in caller.organizations],
        "auth": {"type": "access_token", "accessToken": {"displayName": caller.label, "role": role}},
    }


def create_repository(call: Call) -> dict[str, Any]:
    """Make a repository."""
    data = call.json()
    kind, private = _kind(data), _private(data)
    namespace = field(data, "organization", str, call.caller.user) or "-"
    name = field(data, "name", str)
    if "/" in name:
        namespace, _, name = name.partition("/")
    try:
        with call.hub.database.writing() as db:
            repository = create(db, call.caller, kind, namespace, name, private=bool(private))
            start(db, call.caller, repository)
    except RequestError as refusal:
        refusal.extra["url"] = f"{call.hub.url}/{TYPES[kind]}{namespace}/{name}"  # what exist_ok=True answers
        raise
    return {"url": f"{call.hub.url}/{repository.address}", "name": repository.full_name, "id": str(repository.id)}


def delete_repository(call: Call) -> Response:
    """Remove a repository."""
    data = call.json()
    namespace, name = field(data, "organization", str, call.caller.user), field(data, "name", str)
    with call.hub.database.writing() as db:
        delete(db, call.caller, writable(db, call.caller, _kind(data), namespace, name))
    return Response("OK", media_type="text/plain")


def move_repository(call: Call) -> Response:
    """Rename a repository."""
    data = call.json()
    (namespace, name), (to_namespace, to_name) = _halves(data, "fromRepo"), _halves(data, "toRepo")
    with call.hub.database.writing() as db:
        repository = writable(db, call.caller, _kind(data), namespace, name)
        move(db, call.caller, repository, to_namespace, to_name)
    return Response("OK", media_type="text/plain")


def settings(call: Call) -> dict[str, Any]:
    """Hide or show a repository."""
    data = call.json()
    private = _private(data)
    set_gated(data.get("gated"))
    with call.hub.database.writing() as db:
        repository = call.writable(db)
        if private is not None:
            set_private(db, call.caller, repository, private)
    return {"private": private}


def auth_check(call: Call) -> Response:
    """Whether the caller may read the repository, or write it when the address ends so."""
    with call.hub.database.reading() as db:
        if call.params.get("right") == "write":
            call.writable(db)
        else:
            call.find(db)
    return Response("OK", media_type="text/plain")


def validate_yaml(call: Call) -> Response:
    """Whether the YAML of a card can be read."""
    try:
        front_matter(field(call.json(), "content", str, ""))
    except CardError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return JSONResponse({"errors": [], "warnings": []})


def _kind(data: dict[str, Any]) -> str:
    kind = field(data, "type", str, "model")
    if kind not in TYPES:
        raise bad(f"This server has repositories of the types {', '.join(TYPES)}, not {kind!r}.")
    return kind


def _private(data: dict[str, Any]) -> bool | None:
    if data.get("visibility") is not None:
        return field(data, "visibility", str) != "public"
    return field(data, "private", bool) if data.get("private") is not None else None


def _halves(data: dict[str, Any], name: str) -> tuple[str, str]:
    namespace, slash, rest = field(data, name, str).partition("/")
    if not slash:
        raise bad(f"The field {name!r} must be namespace/name.")
    return namespace, rest
