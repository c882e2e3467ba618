"""A real embedded Hub for each test that wants one, and the stock client of this process pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, close_session, constants

from dragoman.fusion import Fusion
from dragoman_registry.hub.serving import Running, running
from dragoman_registry.uploading import Content, Upload, upload
from tiny_zoo.build import build_fusion
from tiny_zoo.hub import point_client_at


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A Hub that is empty, with a token that may write everywhere in HF_TOKEN."""
    with running(tmp_path / "served", user="me") as server:
        point_client_at(monkeypatch, server.url, tmp_path / "home")
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server
    close_session()


@pytest.fixture
def api(served: Running) -> HfApi:
    """The stock client."""
    return HfApi(served.url, token=served.token)


@pytest.fixture
def elsewhere(served: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Change to another, empty cache, as on another machine."""
    return lambda name: monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / name / "hub"))


@pytest.fixture
def published_experts(served: Running, experts: Path) -> dict[str, str]:
    """The checkpoints on the Hub, as me/text and me/image, with cards that say their licence."""
    commits = {}
    for name, licence in (("text", "mit"), ("image", "apache-2.0")):
        files: dict[str, Content] = {path.name: path for path in (experts / name).iterdir()}
        card = f"---\nlicense: {licence}\n---\n".encode()
        _, commits[name], _ = upload(f"me/{name}", {**files, "README.md": card}, None, Upload())
    return commits


@pytest.fixture
def shared_fusion(zoo_of_tiny: object, published_experts: dict[str, str]) -> Fusion:
    """A fusion whose experts are on the Hub."""
    return build_fusion("me/text", "me/image")
