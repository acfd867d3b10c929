"""A commit is checked by the linters of `make lint`, and by no other."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]


def test_the_hooks_of_a_commit_run_the_linters_of_make_lint() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    linters = re.findall(r"^\t@(?:\$\(BIN\)/)?(\S+)(?: (check|format))?", recipe[1], re.MULTILINE)
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    hooks = [re.match(r"(?:\.venv/bin/)?(\S+)(?: (check|format))?", entry) for entry in entries]
    assert sorted(hook.groups("") for hook in hooks if hook) == sorted(linters)
    assert len(linters) == len(entries)
