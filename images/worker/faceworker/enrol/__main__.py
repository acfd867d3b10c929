"""`python -m faceworker.enrol FOLDER`: makes a gallery of `<subject>/*.jpg` and reports what was skipped and why."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from facecore import logs
from facecore.errors import FaceError, GalleryError, SettingsError, WeightsError
from facecore.settings import Model
from pydantic import Field
from tqdm import tqdm

from faceworker import build
from faceworker.enrol import deliver, load_settings, parsed, tell
from faceworker.enrol.enrolment import enrol
from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.pipeline import Extractor
from faceworker.settings import RecogniserSettings


class EnrolSettings(RecogniserSettings):
    """What enrolment reads from the environment; `EFACE_ID` is only needed for an upload."""

    log_level: str = Field("warning", pattern=r"^(debug|info|warning|error)$")
    """Least severe level that is logged."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Enrols a folder. Exit status: 0 enrolled at least one picture, 1 none or a failure, 2 wrong usage."""
    arguments = _arguments(argv)
    try:
        settings = load_settings(EnrolSettings, environ, upload=arguments.upload)
        logs.configure("enrol", settings.log_level)
        model = Model(arguments.model or settings.model)
        if model is Model.NOOP:
            sys.stdout.write(f"enrol: {model} matches against no gallery and needs none\n")
            return 0
        extractor = _extractor(model, settings.options)
        bar = functools.partial(tqdm, desc="enrolling", unit="picture", file=sys.stderr)
        enrolment = enrol(arguments.folder, extractor, created_at=datetime.now(UTC), progress=bar)
        if (gallery := enrolment.gallery) is not None:
            tell(f"enrolled {len(gallery.names)} pictures of {gallery.subjects} subjects with {gallery.model}")
        for entry in enrolment.skipped:
            tell(f"skipped {entry.path}: {entry.reason}")
        if gallery is None:
            raise GalleryError(f"no picture in {arguments.folder} could be enrolled, so there is no gallery")
        deliver(gallery, arguments, settings)
    except FaceError as error:
        sys.stderr.write(f"enrol: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="enrol", description="Makes a gallery of a folder of photographs.")
    parser.add_argument("folder", type=Path, help="holds a folder of pictures for each subject: <subject>/*.jpg")
    parser.add_argument(
        "--model",
        choices=[model.value for model in Model],
        help=f"embedder; {Model.AUTO}: {Model.FACENET} if its network is there, else {Model.DLIB} "
        f"(default: EFACE_MODEL or {Model.AUTO}); {Model.NOOP} needs no gallery, so there is nothing to do",
    )
    return parsed(parser, argv)


def _extractor(model: Model, options: RecogniserOptions) -> Extractor:
    if model is not Model.AUTO:
        return build.extractor(model, options)
    try:
        return build.extractor(Model.FACENET, options)
    except WeightsError as error:
        sys.stderr.write(f"enrol: USING {Model.DLIB} INSTEAD OF {Model.FACENET}: {error}\n")
        return build.extractor(Model.DLIB, options)


if __name__ == "__main__":
    sys.exit(main())
