"""Publishing a package: everything is checked here first, and then becomes one commit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dragoman.errors import InputError, PackageError
from dragoman_registry.addresses import HubAddress, parse_hub_address
from dragoman_registry.bringing import bring
from dragoman_registry.card import CARD, own_words, render_card
from dragoman_registry.client import at_the_hub, is_missing, make_client
from dragoman_registry.expert_publishing import check_installed, check_published, publish_experts
from dragoman_registry.licences import check_known, complete, forbids_commerce
from dragoman_registry.manifest import MANIFEST, SAMPLES, Manifest, read_manifest
from dragoman_registry.parts import Component
from dragoman_registry.patterns import is_hub_id
from dragoman_registry.remote import Snapshot, look_up
from dragoman_registry.uploading import Content, Upload, find, refuse_links, upload
from dragoman_registry.verify import verify_files

__all__ = ["Publication", "Request", "publish"]

_LARGEST_CARD = 2**20


@dataclass(frozen=True)
class Publication:
    """What was published.

    Attributes:
        url: of the commit, or of the pull request.
        commit: 40 hexadecimal digits.
        sent: paths of the files that had changed; empty if nothing had, and then no commit was made.
        notes: sentences that the person should read.
    """

    url: str
    commit: str
    sent: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What is to be published besides the files.

    Attributes:
        how: the commit.
        tag: name of a tag for the commit, or ``""``.
        licences: of experts whose licence is not known otherwise, by role.
        with_experts: namespace to publish local experts in, or ``""`` to refuse them.
        overwrite_card: prefer the local card where both have words of a person.
    """

    how: Upload = field(default_factory=Upload)
    tag: str = ""
    licences: Mapping[str, str] = field(default_factory=dict)
    with_experts: str = ""
    overwrite_card: bool = False


def publish(folder: Path, address: str, request: Request | None = None) -> Publication:
    """Publish the package in a folder: its own few megabytes; its experts by reference.

    Only the files of the package go up, whatever else is in the folder.

    Raises:
        InputError: the address cannot be one, an expert is local or its licence unknown, or a file is a link.
        PackageError: the package is damaged, the repository holds another model, or the Hub refuses.
    """
    request = request or Request()
    repo = _repo(address, request)
    manifest = read_manifest(folder)
    refuse_links(folder, [MANIFEST, *([CARD] if os.path.lexists(folder / CARD) else []), *manifest.files])
    verify_files(folder, manifest)
    manifest, notes = _with_parts(manifest, repo, request)
    there = find(repo, request.how)
    card, said = _card(folder, manifest, repo, there, request)
    files: dict[str, Content] = {path: folder / path for path in manifest.files}
    files |= {MANIFEST: manifest.to_bytes(), CARD: card.encode()}
    url, commit, sent = upload(repo, files, there, request.how, obsolete=_obsolete(there, files))
    if request.tag:
        _tag(repo, commit, request)
    return Publication(url, commit, sent, (*notes, *said, *_left_out(folder, files)))


def _repo(address: str, request: Request) -> str:
    parsed = parse_hub_address(address)
    if parsed.revision:
        raise InputError(f"Publish to {parsed.repo} without @{parsed.revision}; name a version with --tag.")
    if request.tag and request.how.create_pr:
        raise InputError("A pull request has no commit to tag yet; leave out the tag.")
    return parsed.repo


def _with_parts(manifest: Manifest, repo: str, request: Request) -> tuple[Manifest, list[str]]:
    """The manifest with every expert published and every licence known, and what is to be said of them."""
    components = complete(manifest.components, request.licences, request.how.token)
    if not request.with_experts:
        check_published(components, repo)
    check_known(components, repo)
    check_installed(components)
    if request.with_experts:
        components = publish_experts(components, request.with_experts, request.how)
    notes = [
        f"{part.name!r} is licensed under {part.licence}: neither it nor this fusion may be used commercially."
        for part in components.values()
        if forbids_commerce(part.licence)
    ]
    return replace(manifest, components=components), notes + _unreachable(components, repo, request)


def _unreachable(components: Mapping[str, Component], repo: str, request: Request) -> list[str]:
    notes = []
    for part in components.values():
        if part.revision and is_hub_id(part.repo):
            try:
                private = look_up(HubAddress(part.repo, part.revision), request.how.token).private
            except PackageError as error:
                if not is_missing(error.__cause__):
                    raise
                notes.append(f"{part.repo}@{part.revision} cannot be found at this Hub; {repo} will not load without.")
                continue
            if private and not request.how.private:
                notes.append(f"{part.repo} is private; only who may see it can load {repo}.")
    return notes


def _card(
    folder: Path, manifest: Manifest, repo: str, there: Snapshot | None, request: Request
) -> tuple[str, list[str]]:
    local = (folder / CARD).read_text(encoding="utf-8", errors="replace") if (folder / CARD).is_file() else ""
    remote = _remote_card(there, request)
    if there is not None and MANIFEST in there.files and there.card.get("library_name") != "dragoman":
        raise PackageError(f"{repo} exists and holds another model; choose another name.")
    mine, theirs = own_words(local), own_words(remote)
    if not theirs or (mine and request.overwrite_card):
        return render_card(manifest, repo, local or remote), []
    kept = f"The card at {repo} has words of its own, which were kept; those in {folder / CARD} were not published."
    return render_card(manifest, repo, remote), [kept] if mine not in ("", theirs) else []


def _remote_card(there: Snapshot | None, request: Request) -> str:
    if there is None or CARD not in there.files or there.files[CARD].size > _LARGEST_CARD:
        return ""
    with at_the_hub(there.repo):
        return bring(there, CARD, token=request.how.token).read_text(encoding="utf-8", errors="replace")


def _obsolete(there: Snapshot | None, files: Mapping[str, Content]) -> tuple[str, ...]:
    """Files of an earlier version of the package."""
    present = there.files if there is not None else {}
    ours = [path for path in present if path.startswith("test/") or path == SAMPLES]
    return tuple(path for path in ours if path not in files)


def _tag(repo: str, commit: str, request: Request) -> None:
    with at_the_hub(repo, sending=True):
        client = make_client(request.how.token)
        existing = {tag.name: tag.target_commit for tag in client.list_repo_refs(repo).tags}
        if existing.get(request.tag, commit) != commit:
            raise InputError(
                f"The tag {request.tag!r} of {repo} is the commit {existing[request.tag]} and stays there, for others"
                f" rely on it; {commit} is published, give it another tag."
            )
        if request.tag not in existing:
            client.create_tag(repo, tag=request.tag, revision=commit)


def _left_out(folder: Path, files: Mapping[str, Content]) -> list[str]:
    left = sorted({path.name for path in folder.iterdir()} - {path.partition("/")[0] for path in files})
    return [f"Not part of the package, and not published: {', '.join(left)}."] if left else []
