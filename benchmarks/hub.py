"""The embedded Hub against what it cannot beat: a copy that is hashed and flushed, and a plain static file server.

Measured in one run, both through the stock client where a client is needed: an upload of one GB by LFS and by xet, its
download, 64 writers at once, the list of 10,000 repositories, and the largest memory of the server's process. The size
in MiB is taken from ``BENCH_HUB_MIB`` when it is set.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

MIB = int(os.environ.get("BENCH_HUB_MIB", "1024"))
DOWNLOADS = 5
COPIES = 3
WRITERS = 64
REPOSITORIES = 10_000
REPO = "bench/model"
_SERVE = "import sys; from pathlib import Path; from dragoman_registry.hub.serving import serve;"


def run() -> dict[str, Any]:
    os.environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["HF_XET_CACHE"] = str(folder / "xet")
        token = prepare(folder / "hub")
        with server(folder / "hub") as (url, pid):
            results = transfers(folder, url, token)
            results |= {"server_peak_mb": peak(pid), **writers(url, token), **listing(url, token)}
    return results


def prepare(root: Path) -> str:
    """A Hub with many repositories, and a token for it."""
    from dragoman_registry.hub.history import start
    from dragoman_registry.hub.hub import Hub
    from dragoman_registry.hub.repositories import create
    from dragoman_registry.hub.tokens import Caller, create_token

    hub, admin = Hub(root), Caller("bench", "admin")
    with hub.database.writing() as db:
        for number in range(REPOSITORIES):
            repository = create(db, admin, "model", f"user{number % 100}", f"model-{number}", private=number % 10 == 0)
            start(db, admin, repository)
            tags = ["fusion", f"from:{number % 7}"]
            db.execute("UPDATE repositories SET tags = ? WHERE id = ?", (json.dumps(tags), repository.id))
            db.executemany("INSERT INTO tags VALUES (?, ?)", [(tag, repository.id) for tag in tags])
        token = create_token(db, "bench", "admin")
    hub.close()
    return token


@contextmanager
def server(root: Path) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-c", f"{_SERVE} serve(Path(sys.argv[1]), '127.0.0.1', 0)", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process.pid
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def static(folder: Path) -> Iterator[str]:
    """Python's own file server, in a process of its own."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().partition('port ')[2].split()[0]}"
    finally:
        process.terminate()
        process.communicate()


def transfers(folder: Path, url: str, token: str) -> dict[str, Any]:
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    api, path = HfApi(endpoint=url, token=token), folder / "served" / "model.safetensors"
    api.create_repo(REPO)
    fill(path)
    # The first copy also waits for the pages of the file that was just written; it is not what a copy costs.
    copied = min(seconds(lambda: copy(path, folder / "copy")) for _ in range(COPIES))
    lfs = seconds(lambda: upload(api, path))
    (folder / "copy").unlink()
    fetched, reference = downloads(api, path, folder)
    fill(path)  # other bytes, so that all chunks are new
    xet = seconds(lambda: api.upload_file(path_or_fileobj=path, path_in_repo="xet.safetensors", repo_id=REPO))
    again = seconds(lambda: api.upload_file(path_or_fileobj=path, path_in_repo="xet.safetensors", repo_id=REPO))
    return {
        "mib": MIB,
        "copy_sha256_fsync_seconds": round(copied, 2),
        "upload_lfs_over_copy": round(copied / lfs, 3),
        "upload_xet_over_copy": round(copied / xet, 3),
        "upload_unchanged_seconds": round(again, 2),
        "download_over_static": round(reference / fetched, 3),
        "download_mb_per_second": round(MIB * 1.048576 / fetched),
    }


def fill(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        for _ in range(MIB):
            file.write(os.urandom(1 << 20))


def copy(source: Path, target: Path) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as write:
        while piece := read.read(1 << 20):
            digest.update(piece)
            write.write(piece)
        write.flush()
        os.fsync(write.fileno())


def upload(api: Any, path: Path) -> None:
    with path.open("rb") as file:  # the client sends file objects by LFS
        api.upload_file(path_or_fileobj=file, path_in_repo="model.safetensors", repo_id=REPO)


def downloads(api: Any, path: Path, folder: Path) -> tuple[float, float]:
    """Median seconds of the client's download function, from us and from the static server, taken in turns."""
    from huggingface_hub.file_download import http_get

    def get(url: str) -> float:
        os.sync()  # or the disk would still be busy with what the download before wrote
        with (folder / "got").open("wb") as file:
            return seconds(lambda: http_get(url, file))

    times: tuple[list[float], list[float]] = ([], [])
    with static(path.parent) as other:
        for _ in range(DOWNLOADS):
            times[0].append(get(f"{api.endpoint}/{REPO}/resolve/main/{path.name}"))
            times[1].append(get(f"{other}/{path.name}"))
    (folder / "got").unlink()
    return statistics.median(times[0]), statistics.median(times[1])


def writers(url: str, token: str) -> dict[str, Any]:
    """As many commits at once as there are writers; all must be there afterwards."""

    def write(number: int) -> None:
        lines: list[dict[str, Any]] = [
            {"key": "header", "value": {"summary": "w"}},
            {"key": "file", "value": {"path": f"{number}", "content": str(number), "encoding": "utf-8"}},
        ]
        body = "\n".join(map(json.dumps, lines))
        assert ask(url, token, "POST", f"/api/models/{REPO}/commit/main", body)["success"]

    with ThreadPoolExecutor(WRITERS) as pool:
        took = seconds(lambda: list(pool.map(write, range(WRITERS))))
    files = {entry["path"] for entry in ask(url, token, "GET", f"/api/models/{REPO}/tree/main")}
    lost = sum(str(number) not in files for number in range(WRITERS))
    return {"writers": WRITERS, "writers_seconds": round(took, 2), "commits_lost": lost}


def listing(url: str, token: str) -> dict[str, Any]:
    """Milliseconds of the client's search among all repositories, and of listing them all.

    Listing all of them is ten pages; what the client makes of them takes longer than the server needs, so that the
    pages as bytes are measured too.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=url, token=token)
    searches: dict[str, dict[str, Any]] = {
        "list_first_100_ms": {"limit": 100},
        "list_by_tags_ms": {"filter": ["fusion", "from:3"], "limit": 100},
        "list_by_text_ms": {"search": "model-9999"},
        "list_all_ms": {},
    }
    works: dict[str, Callable[[], None]] = {name: partial(_list, api, how) for name, how in searches.items()}
    works["list_all_as_bytes_ms"] = partial(_pages, url, token)
    return {name: round(1000 * min(seconds(work) for _ in range(5)), 1) for name, work in works.items()}


def _list(api: Any, arguments: dict[str, Any]) -> None:
    list(api.list_models(**arguments))


def _pages(url: str, token: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    path, count = "/api/models", 0
    while path:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        count += len(response.read()) > 2
        path = (response.getheader("Link") or "").partition(">")[0].removeprefix(f"<{url}")
    connection.close()
    assert count == REPOSITORIES // 1000 + 1  # the repository of the transfers is another one


def ask(url: str, token: str, method: str, path: str, body: str | None = None) -> Any:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def peak(pid: int) -> float:
    """Largest resident memory of a process so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1000, 1)


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
