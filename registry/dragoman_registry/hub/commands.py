"""The command ``dragoman hub``. It imports nothing of the server until a part of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dragoman.errors import InputError, PluginError

if TYPE_CHECKING:
    from dragoman_registry.hub.hub import Hub

__all__ = ["hub"]

#: What the extra installs.
_NEEDED = ("starlette", "uvicorn", "lz4", "yaml")

_root = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder that holds everything.",
)


@click.group()
def hub() -> None:
    """Serve models to the stock Hugging Face client, from this machine."""


@hub.command()
@_root
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any free one.")
@click.option("--url", help="Where clients reach the server, when a proxy stands before it.")
def serve(root: Path, host: str, port: int, url: str | None) -> None:
    """Serve until interrupted.

    Clients need HF_ENDPOINT set to the printed address, and a token of `dragoman hub token create` to write.
    """
    _check_installed()
    from dragoman_registry.hub.serving import serve as run

    run(root, host, port, url)


@hub.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command("create")
@_root
@click.option("--user", required=True, help="Whose token it is; the user's namespace has the same name.")
@click.option("--scope", type=click.Choice(["read", "write", "admin"]), default="write", show_default=True)
@click.option("--org", "organizations", multiple=True, metavar="NAME", help="Organisation that the user belongs to.")
@click.option("--label", default="token", show_default=True, help="By which you tell tokens apart.")
@click.option("--days", type=click.FloatRange(min=0), help="Until it expires (default: never).")
def create(root: Path, user: str, scope: str, organizations: tuple[str, ...], label: str, days: float | None) -> None:
    """Print a new token. It is shown this once; only its hash is kept."""
    with _opened(root, new=True) as opened, opened.database.writing() as db:
        from dragoman_registry.hub.tokens import create_token

        secret = create_token(db, user, scope, label=label, organizations=organizations, days=days)
    click.echo(secret)


@token.command("list")
@_root
def list_(root: Path) -> None:
    """List tokens, without their secrets."""
    with _opened(root) as opened, opened.database.reading() as db:
        from dragoman_registry.hub.dates import iso
        from dragoman_registry.hub.tokens import list_tokens

        for row in list_tokens(db):
            ends = "revoked" if row["revoked"] else f"until {iso(row['expires'])}" if row["expires"] else "for good"
            click.echo(f"{row['id']}\t{row['user']}\t{row['scope']}\t{ends}\t{row['label']}")


@token.command()
@_root
@click.argument("number", type=int)
def revoke(root: Path, number: int) -> None:
    """Revoke the token that `token list` shows as NUMBER."""
    with _opened(root) as opened, opened.database.writing() as db:
        from dragoman_registry.hub.tokens import revoke_token

        revoke_token(db, number)


@hub.command()
@_root
@click.option("--grace-hours", type=click.FloatRange(min=0), default=24, show_default=True, help="Younger things stay.")
def gc(root: Path, grace_hours: float) -> None:
    """Remove commits and files that no branch or tag leads to. The server may run."""
    with _opened(root) as opened:
        from dragoman_registry.hub.collecting import collect

        found = collect(opened, grace_hours * 3600)
    click.echo(f"Removed {found.commits} commits and {found.blobs} files, {found.bytes} bytes in all.")


@hub.command()
@_root
@click.option("--to", "target", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR")
def backup(root: Path, target: Path) -> None:
    """Make or update a copy in a folder, which can be served itself. The server may run."""
    with _opened(root) as opened:
        from dragoman_registry.hub.backup import back_up

        copied = back_up(opened, target)
    click.echo(f"Copied {copied} files to {target}.")


@contextmanager
def _opened(root: Path, *, new: bool = False) -> Iterator[Hub]:
    """The Hub of a folder, which must be there unless a ``new`` one may be made."""
    _check_installed()
    if not new and not (root / "hub.sqlite").is_file():
        raise InputError(f"{root} is not the folder of a Hub: it has no hub.sqlite.")
    from dragoman_registry.hub.hub import Hub

    opened = Hub(root)
    try:
        yield opened
    finally:
        opened.close()


def _check_installed() -> None:
    from importlib.util import find_spec

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise PluginError(f"The embedded Hub needs {', '.join(missing)}; install it with: pip install 'dragoman[hub]'.")
