"""Tokens: shown once, kept as a hash. One belongs to a user, and reads, writes, or administers."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from dragoman_registry.hub import audit
from dragoman_registry.hub.names import check_user, fold
from dragoman_registry.hub.refusal import INVALID_TOKEN, RequestError, bad

__all__ = ["ANONYMOUS", "SCOPES", "Caller", "authenticate", "create_token", "list_tokens", "revoke_token"]

#: What a token may do. ``admin`` reads and writes in every namespace.
SCOPES = ("read", "write", "admin")


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        user: name; empty when nobody is known.
        scope: of :data:`SCOPES`; empty when nobody is known.
        label: of the token.
        organizations: that the user belongs to.
    """

    user: str = ""
    scope: str = ""
    label: str = ""
    organizations: tuple[str, ...] = ()

    @property
    def anonymous(self) -> bool:
        """Whether no token was sent."""
        return not self.scope

    @property
    def admin(self) -> bool:
        """Whether everything is allowed."""
        return self.scope == "admin"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """What the user owns, as :func:`fold` spells it."""
        return (fold(self.user), *map(fold, self.organizations)) if self.user else ()

    def owns(self, namespace: str) -> bool:
        """Whether the namespace is the user's own, an organisation's of theirs, or any for an admin."""
        return self.admin or fold(namespace) in self.namespaces

    def writes(self, namespace: str) -> bool:
        """Whether the token may change what is in the namespace."""
        return self.scope in ("write", "admin") and self.owns(namespace)


ANONYMOUS = Caller()


def create_token(
    db: sqlite3.Connection,
    user: str,
    scope: str = "write",
    *,
    label: str = "token",
    organizations: Iterable[str] = (),
    days: float | None = None,
) -> str:
    """A new token; only its hash is kept.

    Args:
        db: a writing connection.
        user: whose it is.
        scope: of :data:`SCOPES`.
        label: by which people tell tokens apart.
        organizations: that the user belongs to from now on.
        days: until it expires; None is never.

    Raises:
        RequestError: a name is not possible, or differs only in case from a user that exists.
    """
    if scope not in SCOPES:
        raise bad(f"A token's scope is one of {', '.join(SCOPES)}, not {scope!r}.")
    _check_spelling(db, check_user(user))
    secret, now = f"hf_{secrets.token_urlsafe(32)}", time.time()
    expires = None if days is None else now + days * 86400
    db.execute(
        "INSERT INTO tokens (digest, user, scope, label, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
        (_digest(secret), user, scope, label, now, expires),
    )
    for organization in organizations:
        db.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (check_user(organization), user))
    audit.record(db, "", "token.create", user, scope=scope, label=label, organizations=list(organizations))
    return secret


def _check_spelling(db: sqlite3.Connection, user: str) -> None:
    for (other,) in db.execute("SELECT DISTINCT user FROM tokens"):
        if fold(other) == fold(user) and other != user:
            raise bad(f"There is a user {other!r} already; {user!r} differs from it only in case.")


def list_tokens(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """All tokens, without their secrets."""
    return db.execute("SELECT id, user, scope, label, created, expires, revoked FROM tokens ORDER BY id").fetchall()


def revoke_token(db: sqlite3.Connection, number: int) -> None:
    """From now on the token is not known.

    Raises:
        RequestError: there is no such token.
    """
    changed = db.execute("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (time.time(), number))
    if not changed.rowcount:
        raise bad(f"There is no token {number} that is not revoked; 'token list' shows them.")
    audit.record(db, "", "token.revoke", str(number))


def authenticate(db: sqlite3.Connection, authorization: str | None) -> Caller:
    """Who sent the ``Authorization`` header.

    Raises:
        RequestError: 401; a header was sent and holds no token that is known and valid now.
    """
    if not authorization:
        return ANONYMOUS
    kind, _, secret = authorization.partition(" ")
    query = "SELECT user, scope, label, expires, revoked FROM tokens WHERE digest = ?"
    row = db.execute(query, (_digest(secret.strip()),)).fetchone() if kind.lower() == "bearer" else None
    if row is None or row["revoked"] or (row["expires"] is not None and row["expires"] < time.time()):
        raise RequestError(401, INVALID_TOKEN)
    members = db.execute("SELECT organization FROM members WHERE user = ?", (row["user"],))
    return Caller(row["user"], row["scope"], row["label"], tuple(name for (name,) in members))


def _digest(secret: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
