"""What a package on the Hub is, without bringing its weights: the manifest, and the header by two range requests."""

from __future__ import annotations

from typing import Any

from dragoman.errors import PackageError
from dragoman_registry.addresses import HubAddress
from dragoman_registry.bringing import bring
from dragoman_registry.client import at_the_hub, chosen_token, is_unreachable
from dragoman_registry.format import description
from dragoman_registry.header import TensorEntry, parse_header, read_header
from dragoman_registry.lock import Lock, read_lock
from dragoman_registry.manifest import MANIFEST, WEIGHTS, Manifest, read_manifest
from dragoman_registry.pins import pinned
from dragoman_registry.remote import Snapshot, look_up
from dragoman_registry.strict import MAX_BYTES

__all__ = ["describe", "manifest_at"]


def describe(address: HubAddress) -> dict[str, Any]:
    """Manifest, sizes and tensors; of what was pulled, where the Hub cannot be reached.

    Raises:
        PackageError: there is no package, it is damaged, or the Hub cannot be reached.
    """
    try:
        snapshot = look_up(address)
        manifest, tensors = manifest_at(snapshot), _tensors(snapshot)
        repo, commit = snapshot.repo, snapshot.commit
    except PackageError as error:
        lock = _pulled(address) if error.__cause__ is not None and is_unreachable(error.__cause__) else None
        if lock is None:
            raise
        manifest, tensors = read_manifest(lock.folder), read_header(lock.folder / WEIGHTS)
        repo, commit = lock.repo, lock.commit
    return {"address": repo, "revision": commit} | description(manifest, tensors)


def manifest_at(snapshot: Snapshot) -> Manifest:
    """The manifest of a package on the Hub, verified against its commit.

    Raises:
        PackageError: the repository holds no package, or the manifest is not what the commit says.
    """
    where = f"{snapshot.repo}/{MANIFEST}"
    listed = snapshot.files.get(MANIFEST)
    if listed is None or WEIGHTS not in snapshot.files:
        raise PackageError(f"{snapshot.repo} is no model package: it has no {MANIFEST} and {WEIGHTS}.")
    if listed.size > MAX_BYTES:
        raise PackageError(f"{where} has {listed.size:,} bytes; at most {MAX_BYTES:,} are read.")
    with at_the_hub(snapshot.repo):
        path = bring(snapshot, MANIFEST)
        if not listed.fits(path):
            raise PackageError(f"{where} is not the file of the commit {snapshot.commit}; pull it to fetch it again.")
        return Manifest.from_bytes(path.read_bytes(), where)


def _tensors(snapshot: Snapshot) -> dict[str, TensorEntry]:
    from huggingface_hub import hf_hub_url

    from dragoman_registry.client import endpoint

    url = hf_hub_url(snapshot.repo, WEIGHTS, revision=snapshot.commit, endpoint=endpoint())
    with at_the_hub(snapshot.repo):
        return parse_header(
            lambda start, end: _bytes(url, start, end), snapshot.files[WEIGHTS].size, f"{snapshot.repo}/{WEIGHTS}"
        )


def _bytes(url: str, start: int, end: int) -> bytes:
    """Bytes ``[start, end)`` of a file; a server that sends more is not listened to."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    headers = {**build_hf_headers(token=chosen_token(), library_name="dragoman"), "Range": f"bytes={start}-{end - 1}"}
    taken = bytearray()
    with get_session().stream("GET", url, headers={**headers, "Accept-Encoding": "identity"}) as response:
        hf_raise_for_status(response)
        if response.status_code != 206:
            raise PackageError(f"The Hub sends {url} as a whole only, so it cannot be shown without downloading it.")
        for chunk in response.iter_bytes():
            taken += chunk
            if len(taken) >= end - start:
                break
    return bytes(taken[: end - start])


def _pulled(address: HubAddress) -> Lock | None:
    commit = address.revision if len(address.revision) == 40 else pinned(address)
    lock = read_lock(address.repo, commit) if commit else None
    return lock if lock is not None and not {MANIFEST, WEIGHTS} & set(lock.missing()) else None
