"""The web server of the page: addresses, limits, and headers that keep the page to itself."""

from __future__ import annotations

import contextlib
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisp.app.layers import Layer, Window
from revisp.app.pairs import PairSets
from revisp.app.photos import Photos
from revisp.app.prediction import Download, Engines, Wish
from revisp.app.uploads import UPLOAD_LIMIT, Uploads
from revisp.app.work import Worker
from revisp.camera.cameras import known_cameras
from revisp.camera.profile import camera_name
from revisp.data.embedded import Photograph
from revisp.errors import ConfigError, DataError, ImageError, RevispError
from revisp.io.file_names import PHOTO_ENDINGS
from revisp.schema import parse

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["LOCAL_HOSTS", "Offer", "create_app"]

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")

EXAMPLE = Photograph("skimage", "data/rocket.jpg")
"""A photo for users who have none at hand: a rocket at dusk whose lamps are overexposed (SpaceX, CC0)."""

MOST_JSON = 10_000
"""Bytes of settings that the page sends."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The browser then loads nothing from any other host, and shows the page in no other page."""


@dataclass(frozen=True)
class Offer:
    """What a server offers.

    Attributes:
        models: model folders to choose from; the first is the default.
        sources: data sets and run folders to choose from.
        any_folder: whether users may also name other folders of this machine.
        device: as for `revisp.convert.load_engine`.
        upload_limit: most bytes of a photo.
        hosts: names by which the server may be called; others are refused, so that no page of the web can reach it
            by a name of its own.

    Example:
        >>> Offer().models
        ('default',)
    """

    models: Sequence[str] = ("default",)
    sources: Sequence[str] = ()
    any_folder: bool = True
    device: str = "auto"
    upload_limit: int = UPLOAD_LIMIT
    hosts: Sequence[str] = field(default=LOCAL_HOSTS)

    def check(self, name: str, offered: Sequence[str], what: str) -> None:
        """Require that a folder is offered.

        Raises:
            ConfigError: it is not, and users may not name others.
        """
        if not self.any_folder and name not in offered:
            raise ConfigError(f"this server does not offer the {what} {name!r}")


def create_app(offer: Offer | None = None) -> Starlette:
    """Return the page as an ASGI application.

    Uploads are removed when it ends.

    Args:
        offer: what the server offers.

    Raises:
        ModuleNotFoundError: Starlette is not installed (extra ``app``).

    Example:
        >>> from revisp.app.server import create_app
        >>> create_app().routes[0].path  # doctest: +SKIP
        '/'
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Route

    pages = _Pages(offer or Offer())
    photo, pair = "/api/photos/{key}", "/api/pairs/{key}"
    routes: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/", pages.index),
        ("GET", "/page/{name}", pages.file),
        ("GET", "/api/offer", pages.offered),
        ("GET", "/api/example", pages.example),
        ("POST", "/api/photos", pages.upload),
        ("GET", photo, pages.photo),
        ("DELETE", photo, pages.remove),
        ("POST", f"{photo}/predict", pages.predict),
        ("GET", f"{photo}/layers/{{layer}}", pages.photo_layer),
        ("POST", f"{photo}/raw", pages.write),
        ("POST", "/api/pairs", pages.open_pairs),
        ("GET", pair, pages.pairs),
        ("GET", f"{pair}/{{index:int}}", pages.pair),
        ("GET", f"{pair}/{{index:int}}/layers/{{layer}}", pages.pair_layer),
    ]
    return Starlette(
        routes=[Route(path, _answered(handler), methods=[method]) for method, path, handler in routes],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*pages.offer.hosts], www_redirect=False)],
        lifespan=pages.lifespan,
    )


def _answered(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Add the headers, refuse requests of other pages, and turn our errors into one sentence."""

    async def answer(request: Request) -> Response:
        from starlette.responses import JSONResponse

        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            found: Response = JSONResponse({"error": "a page of another address asks: refused"}, 403)
        else:
            try:
                found = await handler(request)
            except RevispError as error:
                code = 404 if isinstance(error, DataError) else 400
                found = JSONResponse({"error": " ".join(str(error).split())}, code)
        found.headers.update(_HEADERS)
        return found

    return answer


class _Pages:
    """What answers the requests."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.uploads, self.worker = Uploads(offer.upload_limit), Worker()
        self.photos = Photos(self.uploads, Engines(offer.device), self.worker)
        self.sets = PairSets(self.uploads, self.worker, offer.device)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Remove all uploads at the end."""
        with self.uploads:
            yield
            self.worker.close(cancel=True)

    # The page ----------------------------------------------------------------------------------------------------

    async def index(self, request: Request) -> Response:
        return _page_file("index.html")

    async def file(self, request: Request) -> Response:
        return _page_file(request.path_params["name"])

    async def offered(self, request: Request) -> Response:
        return _json(
            {
                "models": list(self.offer.models),
                "sources": list(self.offer.sources),
                "anyFolder": self.offer.any_folder,
                "cameras": _cameras(),
                "endings": PHOTO_ENDINGS,
                "uploadLimit": self.offer.upload_limit,
            }
        )

    async def example(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        return FileResponse(EXAMPLE.path, filename=EXAMPLE.path.name)

    # Photos ------------------------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        wish = self._wish(_parsed(request.query_params.get("wish", "{}")))
        upload = self.photos.begin(request.query_params.get("name", ""))
        try:
            if int(request.headers.get("content-length", 0)) > self.offer.upload_limit:
                upload.limit = 0  # said before the bytes have come
                upload.write(b"0")
            async for piece in request.stream():
                upload.write(piece)
        except BaseException as error:
            self.photos.drop(upload)
            if isinstance(error, ImageError) or not isinstance(error, Exception):
                raise
            raise ImageError(f"{upload.path.name}: the upload broke off: try again") from error
        return _json(self.photos.add(upload, wish).to_dict())

    async def photo(self, request: Request) -> Response:
        return _json(self.photos.find(request.path_params["key"]).to_dict())

    async def remove(self, request: Request) -> Response:
        self.photos.remove(request.path_params["key"])
        return _json({})

    async def predict(self, request: Request) -> Response:
        photo = self.photos.find(request.path_params["key"])
        self.photos.predict(photo, self._wish(await _body(request)))
        return _json(photo.to_dict())

    async def photo_layer(self, request: Request) -> Response:
        photo = self.photos.find(request.path_params["key"])
        return await _layer(request, self.photos.layer(photo, request.path_params["layer"]))

    async def write(self, request: Request) -> Response:
        from starlette.background import BackgroundTask
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse

        photo = self.photos.find(request.path_params["key"])
        download = Download.from_dict(await _body(request))
        file: Path = await run_in_threadpool(self.photos.write, photo, download)
        done = BackgroundTask(self.uploads.remove, file.parent)
        return FileResponse(file, media_type="application/octet-stream", filename=file.name, background=done)

    def _wish(self, values: Any) -> Wish:
        wish = Wish.from_dict(values)
        self.offer.check(wish.model, self.offer.models, "model")
        if not self.offer.any_folder:
            self.offer.check(wish.camera, ("", *_cameras()), "camera")
        return wish

    # Pairs -------------------------------------------------------------------------------------------------------

    async def open_pairs(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        values = await _body(request)
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ConfigError("settings: give source and model as text")
        source, model = values.get("source", ""), values.get("model", "")
        self.offer.check(source, (*self.offer.sources, "embedded"), "data set")
        self.offer.check(model, ("", *self.offer.models), "model")
        found = await run_in_threadpool(self.sets.add, source, model)
        return _json(found.to_dict())

    async def pairs(self, request: Request) -> Response:
        return _json(self.sets.find(request.path_params["key"]).to_dict())

    async def pair(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        found = self.sets.find(request.path_params["key"])
        pair = await run_in_threadpool(found.open, request.path_params["index"], self.uploads)
        return _json(pair.to_dict())

    async def pair_layer(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        asked = request.path_params
        layer = await run_in_threadpool(self.sets.layer, asked["key"], asked["index"], asked["layer"])
        return await _layer(request, layer)


def _cameras() -> list[str]:
    """Return the names of the cameras whose RAW can be asked for."""
    return sorted(camera_name(camera.make, camera.model) for camera in known_cameras())


def _page_file(name: str) -> Response:
    """Return a file of the page.

    Raises:
        DataError: there is no such file.
    """
    from starlette.responses import Response

    files = {file.name: file for file in resources.files("revisp.app").joinpath("page").iterdir()}
    if name not in files:
        raise DataError(f"the page has no file {name!r}")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(files[name].read_bytes(), media_type="text/javascript" if name.endswith(".js") else kind)


async def _layer(request: Request, layer: Layer) -> Response:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    names = ("top", "left", "height", "width", "rows", "columns")
    texts = [request.query_params.get(name, "") for name in names]
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        raise ConfigError(f"a window needs whole numbers: {', '.join(names)}")
    window = Window(*map(int, texts))
    try:
        found = await run_in_threadpool(layer.read, window)
    except FileNotFoundError as error:  # removed meanwhile
        raise DataError("this picture is no longer here") from error
    return Response(found, media_type="application/octet-stream")


async def _body(request: Request) -> Any:
    """Return the JSON that the page sent.

    Raises:
        ConfigError: it is too long, or not JSON.
    """
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_JSON:
            raise ConfigError(f"settings of more than {MOST_JSON} bytes")
    return _parsed(data)


def _parsed(text: str | bytes) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"settings: {error}") from error


def _json(values: Any) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(values)
