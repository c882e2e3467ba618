"""One server for the tests of a file, its users, and requests that no client would send."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils.tqdm import disable_progress_bars

from dragoman_registry.hub.serving import Running, running
from dragoman_registry.hub.tokens import create_token


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]
Login = Callable[..., HfApi]


@pytest.fixture(scope="session", autouse=True)
def quiet_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_XET_CACHE", str(tmp_path_factory.mktemp("xet")))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            patch.delenv(name, raising=False)
        disable_progress_bars()
        yield


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture(scope="module")
def login(hub: Running) -> Login:
    """The client of a user with a token of a scope."""

    def client(user: str, scope: str = "write", organizations: tuple[str, ...] = ()) -> HfApi:
        with hub.hub.database.writing() as db:
            token = create_token(db, user, scope, organizations=organizations)
        return HfApi(endpoint=hub.url, token=token)

    return client


@pytest.fixture(scope="module")
def alice(login: Login) -> HfApi:
    return login("alice")


@pytest.fixture(scope="module")
def bob(login: Login) -> HfApi:
    return login("bob")


@pytest.fixture(scope="module")
def anonymous(hub: Running) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


@pytest.fixture
def repo(alice: HfApi, request: pytest.FixtureRequest) -> str:
    """A new public repository of alice's, named after the test."""
    name = "".join(c for c in request.node.name if c.isalnum())[:60] + os.urandom(3).hex()
    return alice.create_repo(f"alice/{name}").repo_id


@pytest.fixture(scope="module")
def ask(hub: Running) -> Ask:
    """Send a request exactly as it is given; ``api`` is whose token goes along."""

    def send(
        method: str,
        path: str,
        body: Any = None,
        *,
        api: HfApi | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=30)
        sent = dict(headers or {})
        if api is not None:
            sent["Authorization"] = f"Bearer {api.token}"
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path.removeprefix(hub.url), content, sent)
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return answer

    return send


@pytest.fixture
def commit(ask: Ask, alice: HfApi) -> Callable[..., Answer]:
    """Send alice's commit of raw operations, ``(key, value)``."""

    def send(repo: str, *operations: tuple[str, Any], api: HfApi = alice, **header: Any) -> Answer:
        lines = [("header", {"summary": "raw", **header}), *operations]
        body = b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in lines)
        return ask("POST", f"/api/models/{repo}/commit/main", body, api=api)

    return send


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
