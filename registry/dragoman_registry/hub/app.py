"""All addresses of the server."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragoman_registry.hub import account, info, lfs, listing, multipart, pages, publishing, resolving, tree, xet
from dragoman_registry.hub.call import Handler, endpoint
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.refusal import RequestError
from dragoman_registry.hub.repositories import TYPES

__all__ = ["application"]

#: Method, what follows ``/api/models/namespace/name``, and what answers.
_OF_REPOSITORY: list[tuple[str, str, Handler]] = [
    ("GET", "", info.repository_info),
    ("GET", "/revision/{revision}", info.repository_info),
    ("GET", "/refs", info.list_refs),
    ("GET", "/commits/{revision}", info.list_commits),
    ("GET", "/tree/{revision}", tree.list_tree),
    ("GET", "/tree/{revision}/{path:path}", tree.list_tree),
    ("POST", "/paths-info/{revision}", tree.paths_info),
    ("GET", "/auth-check", account.auth_check),
    ("GET", "/auth-check/{right}", account.auth_check),
    ("PUT", "/settings", account.settings),
    ("POST", "/preupload/{revision}", publishing.preupload),
    ("POST", "/branch/{branch}", publishing.create_branch),
    ("DELETE", "/branch/{branch}", publishing.delete_branch),
    ("POST", "/tag/{revision}", publishing.create_tag),
    ("DELETE", "/tag/{revision}", publishing.delete_tag),
    ("POST", "/super-squash/{branch}", publishing.super_squash),
    ("GET", "/xet-write-token/{revision}", xet.write_token),
]
_OF_SERVER: list[tuple[str, str, Handler]] = [
    ("GET", "/healthz", pages.health),
    ("GET", "/style.css", pages.style),
    ("GET", "/api/whoami-v2", account.whoami),
    ("POST", "/api/repos/create", account.create_repository),
    ("DELETE", "/api/repos/delete", account.delete_repository),
    ("POST", "/api/repos/move", account.move_repository),
    ("POST", "/api/validate-yaml", account.validate_yaml),
]
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; img-src 'self'; style-src 'self';"
        b" frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def application(hub: Hub) -> ASGIApp:
    """The server of a Hub.

    Args:
        hub: what is served.
    """
    routes = [Route(path, endpoint(hub, handler), methods=[method]) for method, path, handler in _OF_SERVER]
    routes += [
        Route("/_lfs/put/{signed}", lfs.put(hub), methods=["PUT"]),
        Route("/_lfs/part/{signed}", multipart.put_part(hub), methods=["PUT"]),
        Route("/_lfs/join/{signed}", multipart.complete(hub), methods=["POST"]),
        *xet.routes(hub),
    ]
    for kind, prefix in sorted(TYPES.items(), key=lambda entry: -len(entry[1])):  # models, which have no prefix, last
        routes += _routes(hub, kind, prefix)
    app = Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere, 500: _defect})
    app.router.redirect_slashes = False  # it would redirect to wherever the client's Host header says
    return _as_sent(app)


def _routes(hub: Hub, kind: str, prefix: str) -> list[Route]:
    api, repository = f"/api/{kind}s", "{namespace}/{name}"
    routes = [Route(api, endpoint(hub, listing.list_repositories, kind), methods=["GET"])]
    for method, path, handler in _OF_REPOSITORY:
        routes.append(Route(f"{api}/{repository}{path}", endpoint(hub, handler, kind), methods=[method]))
    commit = endpoint(hub, publishing.commit, kind, limit=publishing.MAX_COMMIT)
    resolve = endpoint(hub, resolving.resolve_file, kind)
    return [
        *routes,
        Route(f"{api}/{repository}/commit/{{revision}}", commit, methods=["POST"]),
        Route(f"/{prefix}{repository}.git/info/lfs/objects/batch", endpoint(hub, lfs.batch, kind), methods=["POST"]),
        Route(f"/{prefix}{repository}/resolve/{{revision}}/{{path:path}}", resolve, methods=["GET"]),
        Route(f"/{prefix}{repository}", endpoint(hub, pages.repository_page, kind), methods=["GET"]),
    ]


def _as_sent(app: ASGIApp) -> ASGIApp:
    """Route addresses as they were sent: ``%2F`` in a revision is no slash. Every answer gets the headers of safety."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
            await app(scope, receive, send_safely)
        else:
            await app(scope, receive, send)

    return wrapped


async def _nowhere(_request: object, error: Exception) -> Response:
    return RequestError(getattr(error, "status_code", 404), "This server has nothing at this address.").response()


async def _defect(_request: object, _error: Exception) -> Response:
    return JSONResponse({"error": "The server has a defect; its log tells more."}, 500)
