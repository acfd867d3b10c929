"""The query photographs as they are sent, and the answer that each must get."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.ground import FACES, QUERIES


@dataclass(frozen=True)
class Upload:
    """A photograph under the name it is sent with."""

    name: str
    content: bytes


@functools.cache
def expected() -> Mapping[str, str]:
    """The prediction for each query photograph, by its name."""
    return dict(json.loads((FACES / "expected.json").read_text()))


def photograph(name: str) -> bytes:
    """One of the query photographs."""
    return (QUERIES / name).read_bytes()


def photographs(count: int, prefix: str) -> list[tuple[Upload, str]]:
    """`count` uploads of the query photographs under different names, with the answer each must get."""
    names = sorted(expected())
    made = []
    for i in range(count):
        source = names[i % len(names)]
        upload = Upload(f"{prefix}-{i:03}{Path(source).suffix}", photograph(source))
        made.append((upload, f"{upload.name}:{expected()[source]}"))
    return made
