"""The files and folders that CONTRIBUTING.md names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TABLE_ROW = re.compile(r"^\|[^|]*\| `([\w/.-]+/)`: (.*) \|$", re.MULTILINE)
PATH = re.compile(r"`([\w.-]+(?:/[\w.*-]+)+/?)`")
MODULE = re.compile(r"`(\w+\.py)`")


def test_every_path_of_the_page_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = PATH.findall(page)
    assert paths
    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def test_every_module_is_in_the_folder_of_its_row() -> None:
    rows = TABLE_ROW.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    modules = [folder + module for folder, text in rows for module in MODULE.findall(text)]
    assert modules
    assert [path for path in modules if not (ROOT / path).is_file()] == []
