"""The pages for people: the form at `/`, and Swagger UI at `/docs` with nothing loaded from elsewhere."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

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

    def form(self) -> Response:
        """A form to send a photograph with, and the answer below it."""
        return HTMLResponse(self._form, headers={"Content-Security-Policy": self._form_policy})

    def docs(self) -> Response:
        """Swagger UI."""
        return HTMLResponse(self._docs, headers={"Content-Security-Policy": _DOCS_POLICY})

    def asset(self, name: str) -> Response | None:
        """One of the files that Swagger UI is made of; None for any other name."""
        if not (path := self._assets.get(name)):
            return None
        return FileResponse(path, headers={"Cache-Control": "public, max-age=3600"})


def _policy(page: str) -> str:
    """A policy that lets nothing run but the page's own inline script and style, named by their hashes."""
    script, style = (_hash(page, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; img-src blob: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(page: str, tag: str) -> str:
    content = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0]
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
