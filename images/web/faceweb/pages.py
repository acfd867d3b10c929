"""The pages for people: the form at `/`, and Swagger UI at `/docs` with nothing loaded from elsewhere."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

_STATIC = Path(__file__).parent / "static"
# Swagger UI as the package fastapi-offline ships it, so that /docs works without a network.
_SWAGGER_PACKAGE = "fastapi_offline"
_ASSET_FOLDERS = {"swagger-ui.css": "swagger", "swagger-ui-bundle.js": "swagger", "docs.js": "own"}
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Pages:
    """The pages, read once."""

    def __init__(self) -> None:
        self._form = (_STATIC / "index.html").read_text(encoding="utf-8")
        self._form_policy = _policy(self._form)
        self._docs = (_STATIC / "docs.html").read_text(encoding="utf-8")
        swagger = Path(str(files(_SWAGGER_PACKAGE))) / "static"
        self._assets = {
            name: (swagger if folder == "swagger" else _STATIC) / name for name, folder in _ASSET_FOLDERS.items()
        }

    def router(self) -> APIRouter:
        """The routes, which the description of the interface leaves out."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.form)
        router.add_api_route("/docs", self.docs)
        router.add_api_route("/docs/{name}", self.asset)
        return router

    async def form(self) -> Response:
        """A form to send a photograph with, and the answer below it."""
        return HTMLResponse(self._form, headers={"Content-Security-Policy": self._form_policy})

    async def docs(self) -> Response:
        """Swagger UI."""
        return HTMLResponse(self._docs, headers={"Content-Security-Policy": _DOCS_POLICY})

    async def asset(self, name: str) -> Response:
        """One of the files that Swagger UI is made of; raises HTTPException for any other name."""
        if not (path := self._assets.get(name)):
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": "public, max-age=3600"})


def _policy(page: str) -> str:
    """A policy that lets nothing run but the page's own inline script and style, named by their hashes."""
    contents = [re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0] for tag in ("script", "style")]
    script, style = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents)
    return (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src blob: data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
