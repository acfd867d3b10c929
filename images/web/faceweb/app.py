"""The FastAPI app: routes, and nothing that a route does not need to know."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from faceweb import answers, openapi
from faceweb.answers import RETRY_AFTER_S, Answer
from faceweb.metrics import Metrics
from faceweb.middleware import Edge
from faceweb.pages import Pages
from faceweb.readiness import Readiness
from faceweb.recognise import Intake
from faceweb.responses import plain

METHOD_NOT_ALLOWED = 405
Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def create_app(*, intake: Intake, readiness: Readiness, metrics: Metrics, pages: Pages, lifespan: Lifespan) -> ASGIApp:
    """The app. `lifespan` is entered when the server starts, on its event loop, and left when it ends."""

    @asynccontextmanager
    async def entered(_app: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            yield

    app = FastAPI(
        title="Elastic Face",
        version="1",
        description="POST a photograph, get the person's name.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=entered,
    )
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _fault)
    _add_recognition(app, intake)
    _add_operation(app, readiness, metrics)
    _add_pages(app, pages)
    return Edge(app)


async def _unrouted(request: Request, error: Exception) -> Response:
    """404, 405 and the like, in the form of all other answers."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    # Starlette names the methods of the first route of the address only.
    allow = {"Allow": ", ".join(_methods(request))} if error.status_code == METHOD_NOT_ALLOWED else {}
    return plain(answers.of_status(error.status_code), headers=allow)


def _methods(request: Request) -> list[str]:
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def _fault(request: Request, _error: Exception) -> Response:
    """500; the error itself is raised on to `Edge`, which logs it."""
    return plain(answers.internal(request.state.request_id))


def _add_recognition(app: FastAPI, intake: Intake) -> None:
    @app.post(
        "/",
        summary="Who is on this photograph?",
        response_class=PlainTextResponse,
        responses=openapi.RESPONSES,
        openapi_extra=openapi.RECOGNISE,
    )
    async def recognise(request: Request) -> Response:
        return await intake.serve(request)


def _add_operation(app: FastAPI, readiness: Readiness, metrics: Metrics) -> None:
    @app.get("/healthz", summary="Does the process live?", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok"

    @app.get(
        "/readyz",
        summary="Do the queues and buckets answer?",
        response_class=PlainTextResponse,
        responses=openapi.READINESS_RESPONSES,
    )
    async def readyz() -> Response:
        if missing := await readiness.missing():
            text = f"not_ready: {', '.join(missing)} not answering; try again in a few seconds"
            return plain(Answer(status=503, body=text, outcome="not_ready", retry_after_s=RETRY_AFTER_S))
        return PlainTextResponse("ready")

    @app.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def figures() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI, pages: Pages) -> None:
    @app.get("/", include_in_schema=False)
    async def form() -> Response:
        return pages.form()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return pages.docs()

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if found := pages.asset(name):
            return found
        raise HTTPException(404)
