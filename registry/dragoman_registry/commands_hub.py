"""``dragoman push | pull | search | verify``: models to and from the Hub. They import nothing heavy until they run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dragoman.errors import InputError

if TYPE_CHECKING:
    from dragoman_registry.pulling import Plan

__all__ = ["pull", "push", "search", "verify"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repo", metavar="NAMESPACE/NAME")
@click.option("--private/--public", default=None, help="Who may see a new repository.  [default: the Hub's own]")
@click.option("--pr", is_flag=True, help="Make a pull request instead of changing the repository.")
@click.option("--tag", default="", help="Name this version, such as v1; a tag never moves.")
@click.option("--message", help="First line of the commit.")
@click.option("--licence", "licences", multiple=True, metavar="ROLE=ID", help="Licence of an expert, as source=mit.")
@click.option("--with-experts", default="", metavar="NAMESPACE", help="Publish experts that are on this machine only.")
@click.option("--overwrite-card", is_flag=True, help="Prefer the words of the local card over those at the Hub.")
def push(folder: Path, repo: str, private: bool | None, pr: bool, message: str | None, **options: Any) -> None:
    """Publish the package in FOLDER on the Hub, as one commit.

    A fusion goes up by reference: its own few megabytes, and where its experts are. What has not changed is not sent.

    \b
    dragoman push runs/mine/model me/mine --tag v1
    dragoman push runs/mine/model me/mine --with-experts me --licence target=mit
    """
    from dragoman_registry.publishing import Request, publish
    from dragoman_registry.uploading import Upload

    licences = dict(_pair(text) for text in options.pop("licences"))
    how = Upload(private=private, create_pr=pr, commit_message=message)
    done = publish(folder, repo, Request(how, licences=licences, **options))
    for note in done.notes:
        click.echo(note, err=True)
    click.echo(f"{len(done.sent)} files sent" if done.sent else "Nothing has changed; no commit was made.", err=True)
    click.echo(done.url)


@click.command()
@click.argument("repo", metavar="NAMESPACE/NAME[@REVISION]")
@click.option("--dry-run", is_flag=True, help="Say what would be downloaded, and download nothing.")
@click.option("--with-experts", is_flag=True, help="Also bring the experts, which otherwise come when they are used.")
@click.option("--accept-moved", is_flag=True, help="Take a tag that was moved for what it is now.")
def pull(repo: str, dry_run: bool, with_experts: bool, accept_moved: bool) -> None:
    """Bring a model to this machine, verify every file, and lock it.

    The files are in the Hub's own cache. What is there already is not downloaded again; what was altered is.
    """
    from dragoman_registry.addresses import parse_hub_address
    from dragoman_registry.pulling import fetch, plan

    address = parse_hub_address(repo)
    if dry_run:
        _echo_plan(plan(address))
        return
    location = fetch(address, repair=True, accept_moved=accept_moved)
    click.echo(f"{location.address}@{location.revision}", err=True)
    if with_experts:
        for expert in _experts(location.folder):
            click.echo(expert, err=True)
    click.echo(location.folder)


@click.command()
@click.argument("text", default="")
@click.option("--from", "source", default="", metavar="EXPERT", help="Expert that reads the prompt, such as bert.")
@click.option("--to", "target", default="", metavar="EXPERT", help="Expert that renders, such as biggan.")
@click.option("--translator", default="", help="Translator between them, such as cinn.")
@click.option("--kind", type=click.Choice(["fusion", "expert", "translator", "critic"]), default=None)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Write the names alone, one a line.")
def search(text: str, kind: str | None, limit: int, as_json: bool, quiet: bool, **parts: str) -> None:
    """Find models on the Hub whose name has TEXT in it."""
    from dataclasses import asdict

    from dragoman.cli.listing import echo_json
    from dragoman.cli.table import table
    from dragoman_registry.search import Query
    from dragoman_registry.search import search as find

    found = list(find(Query(text=text, kind=kind or "", **parts), limit=limit))
    if as_json:
        echo_json([asdict(entry) for entry in found])
    elif quiet:
        click.echo("".join(f"{entry.repo}\n" for entry in found), nl=False)
    elif found:
        columns = ("repo", "kind", "source", "translator", "target", "licence", "downloads", "modified")
        rows = [[str(getattr(entry, column)) or "-" for column in columns] for entry in found]
        click.echo("\n".join(table(("model", "kind", "from", "translator", "to", *columns[5:]), rows)))
    else:
        click.echo("Nothing found.", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_context
def verify(context: click.Context, as_json: bool) -> None:
    """Compare everything in the local cache with its lock: is it what it was when it was pulled?

    The exit code is 1 if anything was altered. What is no longer in the cache is no fault.
    """
    from dragoman.cli.listing import echo_json
    from dragoman_registry.lock import all_locks

    states = [
        {"model": lock.repo, "commit": lock.commit, "altered": lock.altered(), "missing": lock.missing()}
        for lock in all_locks()
    ]
    if as_json:
        echo_json(states)
    else:
        click.echo("\n".join(_verdicts(states)) or "Nothing is locked; `dragoman pull` locks what it brings.")
    context.exit(1 if any(state["altered"] for state in states) else 0)


def _verdicts(states: Iterable[dict[str, Any]]) -> Iterable[str]:
    for state in states:
        name = f"{state['model']}@{state['commit']}"
        if state["altered"]:
            yield f"{name}: altered: {', '.join(state['altered'])}; fetch it again with: dragoman pull {name}"
        elif state["missing"]:
            yield f"{name}: {len(state['missing'])} files are no longer in the cache; the others are what they were"
        else:
            yield f"{name}: intact"


def _pair(text: str) -> tuple[str, str]:
    role, equals, licence = text.partition("=")
    if not equals:
        raise InputError(f"{text!r} does not say whose licence it is; write ROLE=ID, such as source=mit.")
    return role, licence


def _echo_plan(found: Plan) -> None:
    from dragoman.cli.table import table

    rows = [
        [path, f"{file.size:,}", "in the cache" if path in found.cached else "to download"]
        for path, file in sorted(found.files.items())
    ]
    click.echo("\n".join(table(("file", "bytes", "state"), rows)))
    click.echo(f"{found.snapshot.repo}@{found.snapshot.commit}: {found.to_download:,} bytes to download", err=True)


def _experts(folder: Path) -> Iterable[str]:
    from dragoman.stores import locate
    from dragoman_registry.manifest import read_manifest

    for part in read_manifest(folder).components.values():
        if part.repo:
            location = locate(part.repo, part.revision or None)
            yield f"{part.name}: {location.address}{'@' if location.revision else ''}{location.revision}"
