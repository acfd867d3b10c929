"""The FastAPI app: what its routes share. Each module with routes has a `router`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from faceweb import middleware

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def create_app(*routers: APIRouter, lifespan: Lifespan) -> ASGIApp:
    """The app. `lifespan` is entered when the server starts, on its event loop, and left when it ends."""
    app = FastAPI(
        title="Elastic Face",
        version="1",
        description="POST a photograph, get the person's name.",
        # Swagger UI comes from faceweb.pages, which loads nothing from another host.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _app: lifespan(),
        exception_handlers={HTTPException: middleware.unrouted, Exception: middleware.fault},
    )
    for router in routers:
        app.include_router(router)
    return middleware.RequestMiddleware(app)
