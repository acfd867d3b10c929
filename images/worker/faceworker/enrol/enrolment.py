"""A gallery from a folder of photographs, and a report of every file that is not in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from facecore.errors import GalleryError, InputError
from numpy.typing import NDArray

from faceworker.recogniser.gallery import MAX_EMBEDDINGS, Gallery, check_name
from faceworker.recogniser.models import Crop, spec
from faceworker.recogniser.pipeline import Extractor, Face

SUFFIXES = frozenset(".jpg .jpeg .jpe .png .webp .tif .tiff .gif .bmp .mpo".split())
MAX_PICTURE_BYTES = 64 * 1024 * 1024
# Part of the largest face's area from which a second face is a second person; people behind are smaller.
RIVAL_AREA = 0.25
# Least probability of such a face: on 15 photographs MTCNN's false finds had 0.70 to 0.92, faces 0.96 and more.
RIVAL_PROBABILITY = 0.95


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that is not in the gallery, and why."""

    path: Path
    """Relative to the enrolled folder."""
    reason: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The result of enrolling a folder."""

    gallery: Gallery | None
    """None if no picture could be enrolled."""
    skipped: tuple[Skipped, ...]


class _SkipError(Exception):
    """Why a file is skipped."""


def enrol(
    folder: Path,
    extractor: Extractor,
    *,
    created_at: datetime,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> Enrolment:
    """The gallery of `folder`, which holds a folder of pictures for each subject: `<subject>/*.jpg`.

    `progress` hands the files on one by one, so that it can show how far they are. Raises GalleryError if the folder
    cannot be read or holds too many pictures, and nothing for a single picture.
    """
    files, skipped = _files(folder)
    if len(files) > MAX_EMBEDDINGS:
        raise GalleryError(f"{folder} holds {len(files)} pictures; a gallery takes {MAX_EMBEDDINGS}")
    row = spec(extractor.model)
    crop = Crop(row.crop_px)
    names: list[str] = []
    embeddings: list[NDArray[np.float32]] = []
    for file in progress(files):
        try:
            embeddings.append(_embedding(file, extractor, crop))
            names.append(_subject(file.parent))
        except (_SkipError, InputError, OSError) as error:
            skipped.append(Skipped(file.relative_to(folder), str(error)))
    gallery = None
    if names:
        gallery = Gallery(
            embeddings=np.stack(embeddings),
            names=tuple(names),
            model=extractor.model,
            crop_px=crop.side_px,
            margin_px=crop.margin_px,
            threshold=row.threshold,
            created_at=created_at,
        )
    return Enrolment(gallery, tuple(sorted(skipped, key=lambda entry: entry.path)))


def _files(folder: Path) -> tuple[list[Path], list[Skipped]]:
    """The pictures of all subjects, sorted, and what is skipped for its place or name; hidden files do not count."""
    files: list[Path] = []
    skipped: list[Skipped] = []
    for entry in _visible(folder):
        reason = None
        if not entry.is_dir():
            reason = "lies outside of the subjects' folders"
        elif not _visible(entry):
            reason = "holds no picture"
        else:
            try:
                check_name(_subject(entry))
            except GalleryError as error:
                reason = f"cannot be a subject: {error}"
        if reason is not None:
            skipped.append(Skipped(entry.relative_to(folder), reason))
            continue
        for file in _visible(entry):
            if file.is_file() and file.suffix.lower() in SUFFIXES:
                files.append(file)
            else:
                skipped.append(Skipped(file.relative_to(folder), "is not a picture by its name"))
    return files, skipped


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise GalleryError(f"the folder cannot be read: {error}") from error


def _subject(folder: Path) -> str:
    # macOS gives names decomposed, Linux as they were written: one person must not become two subjects.
    return unicodedata.normalize("NFC", folder.name)


def _embedding(file: Path, extractor: Extractor, crop: Crop) -> NDArray[np.float32]:
    if file.stat().st_size > MAX_PICTURE_BYTES:
        raise _SkipError(f"is over {MAX_PICTURE_BYTES} bytes")
    picture = extractor.decode(file.read_bytes())
    faces = extractor.faces(picture)
    if people := rivals(faces):
        raise _SkipError(f"shows {people + 1} people; a subject's picture must show one")
    return extractor.embed(picture, faces[0], crop)


def rivals(faces: list[Face]) -> int:
    """How many of `faces`, largest first, are so large and so certain that the first may be the wrong person."""
    return sum(face.area >= RIVAL_AREA * faces[0].area and face.probability >= RIVAL_PROBABILITY for face in faces[1:])
