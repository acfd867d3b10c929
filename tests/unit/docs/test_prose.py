"""The words that the house style does not use are in no comment, docstring, log line, error or page."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
BANNED = (
    "nobody",
    "whoever",
    "be had",
    "anew",
    "for want of",
    "left alone",
    "in vain",
    "put right",
    "is taken for",
)
# A phrase may go on in the next line, after the mark of a comment.
_GAP = r"\s+(?:(?:#|//)\s+)?"
PHRASE = re.compile(rf"\b(?:{'|'.join(phrase.replace(' ', _GAP) for phrase in BANNED)})\b", re.IGNORECASE)


def _texts() -> list[Path]:
    """Every tracked file that is text, but for this one."""
    command = ["git", "grep", "--cached", "-zlI", "", "--", ".", f":!{Path(__file__).relative_to(ROOT)}", ":!LICENSE"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_has_a_word_that_the_house_style_does_not_use() -> None:
    found = []
    for file in _texts():
        text = file.read_text(encoding="utf-8")
        for match in PHRASE.finditer(text):
            found.append(f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}")
    assert found == []


def test_a_phrase_is_found_across_lines_and_in_capitals() -> None:
    assert PHRASE.search("# It is left\n# alone.")
    assert PHRASE.search("Nobody waits")
    assert not PHRASE.search("put rights, somebody, anewer")
