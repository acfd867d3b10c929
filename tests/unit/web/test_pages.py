"""The pages for people need nothing from elsewhere."""

import re
from html.parser import HTMLParser

import pytest
from support.fakes.web import World


class Elements(HTMLParser):
    """Collects a page's elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_another_host(path: str) -> None:
    page = World().request("GET", path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = [a.get("src") or a.get("href") or a.get("action") for _, a in Elements(page.text).found]
    assert all(link.startswith(("/", "data:")) for link in links if link)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_form_can_be_used_with_a_keyboard_and_a_screen_reader_and_without_scripts() -> None:
    page = Elements(World().request("GET", "/").text)
    assert page.of("label")[0]["for"] == page.of("input")[0]["id"]
    assert page.of("form")[0] == {"id": "form", "method": "post", "action": "/", "enctype": "multipart/form-data"}
    assert page.of("input")[0]["name"] == "inputFile"
    assert any(attributes.get("aria-live") for attributes in page.of("p"))


def test_the_form_s_policy_names_its_script_and_style_by_hash() -> None:
    policy = World().request("GET", "/").headers["content-security-policy"]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='; style-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert "unsafe" not in policy


def test_every_file_that_the_docs_need_is_served() -> None:
    world = World()
    page = Elements(world.request("GET", "/docs").text)
    paths = [a["src"] for a in page.of("script")] + [a["href"] for a in page.of("link") if a["rel"] == "stylesheet"]
    assert len(paths) == 3
    for path in paths:
        asset = world.request("GET", path or "")
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(("text/css", "text/javascript", "application/javascript"))


@pytest.mark.parametrize("name", ["nope.js", "index.html", "..%2fapp.py", "%2e%2e/app.py", "docs.js%00"])
def test_no_other_file_is_served(name: str) -> None:
    assert World().request("GET", f"/docs/{name}").status_code == 404
