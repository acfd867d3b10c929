"""`python -m faceworker.enroll FOLDER`: makes a gallery of `<subject>/*.jpg` and reports what was skipped and why."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from facecore import logs
from facecore.errors import FaceError, GalleryError, SettingsError, WeightsError
from pydantic import Field
from tqdm import tqdm

from faceworker import gallery_output
from faceworker.enrolment import Enrolment, enrol
from faceworker.gallery_output import tell
from faceworker.recogniser.extraction import Extractor
from faceworker.recogniser.factory import RecogniserOptions, build_extractor
from faceworker.recogniser.models import AUTO, DLIB, FACENET, NOOP
from faceworker.recogniser.settings import RecogniserSettings


class EnrollSettings(RecogniserSettings):
    """What enrolment reads from the environment; `EFACE_ID` is only needed for an upload."""

    log_level: str = Field("warning", pattern=r"^(debug|info|warning|error)$")
    """Least severe level that is logged."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Enrols a folder. Exit status: 0 enrolled at least one picture, 1 none or a failure, 2 wrong usage."""
    arguments = _arguments(argv)
    try:
        settings = gallery_output.load_settings(EnrollSettings, environ, upload=arguments.upload)
        logs.configure("enroll", settings.log_level)
        model = arguments.model or settings.model
        if model == NOOP:
            sys.stdout.write(f"enroll: {NOOP} looks nobody up and needs no gallery\n")
            return 0
        extractor = _extractor(model, settings.options)
        enrolment = enrol(arguments.folder, extractor, created_at=datetime.now(UTC), progress=_bar)
        _report(enrolment, extractor.model)
        if enrolment.gallery is None:
            raise GalleryError(f"no picture in {arguments.folder} could be enrolled, so there is no gallery")
        gallery_output.deliver(enrolment.gallery, arguments, settings)
    except FaceError as error:
        sys.stderr.write(f"enroll: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="enroll", description="Makes a gallery of a folder of photographs.")
    parser.add_argument("folder", type=Path, help="holds a folder of pictures for each subject: <subject>/*.jpg")
    parser.add_argument(
        "--model",
        choices=(AUTO, FACENET, DLIB, NOOP),
        help=f"embedder; {AUTO}: {FACENET} if its weights can be had, else {DLIB} (default: EFACE_MODEL or {AUTO}); "
        f"{NOOP} needs no gallery, so there is nothing to do",
    )
    gallery_output.add_arguments(parser)
    arguments = parser.parse_args(argv)
    gallery_output.check_arguments(parser, arguments)
    return arguments


def _extractor(model: str, options: RecogniserOptions) -> Extractor:
    if model != AUTO:
        return build_extractor(model, options)
    try:
        return build_extractor(FACENET, options)
    except WeightsError as error:
        sys.stderr.write(f"enroll: USING {DLIB} INSTEAD OF {FACENET}: {error}\n")
        return build_extractor(DLIB, options)


def _bar(files: list[Path]) -> Iterable[Path]:
    return tqdm(files, desc="enrolling", unit="picture", file=sys.stderr)


def _report(enrolment: Enrolment, model: str) -> None:
    if enrolment.gallery is not None:
        pictures, subjects = len(enrolment.gallery.names), enrolment.gallery.subjects
        tell(f"enrolled {pictures} pictures of {subjects} subjects with {model}")
    for entry in enrolment.skipped:
        tell(f"skipped {entry.path}: {entry.reason}")


if __name__ == "__main__":
    sys.exit(main())
