"""`python -m faceworker.import_gallery data.pt`: makes a gallery of the list that facenet-pytorch projects save."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from facecore import logs
from facecore.errors import FaceError, SettingsError
from facecore.settings import AwsSettings

from faceworker import gallery_output
from faceworker.gallery_output import tell
from faceworker.recogniser.gallery import Gallery
from faceworker.recogniser.models import FACENET
from faceworker.recogniser.torch_gallery import read


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Imports a file. Exit status: 0 imported, 1 a failure, 2 wrong usage."""
    arguments = _arguments(argv)
    try:
        settings = gallery_output.load_settings(AwsSettings, environ, upload=arguments.upload)
        logs.configure("import_gallery", settings.log_level)
        gallery = _gallery(arguments)
        tell(f"imported {len(gallery.names)} embeddings of {gallery.subjects} subjects of {FACENET}")
        gallery_output.deliver(gallery, arguments, settings)
    except FaceError as error:
        sys.stderr.write(f"import_gallery: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="import_gallery",
        description=f"Makes a gallery of a file that torch.save([embeddings, names]) wrote, for {FACENET}.",
    )
    parser.add_argument("file", type=Path, help="data.pt")
    parser.add_argument("--crop-px", type=int, default=240, help="side of the crops it was made of (default: 240)")
    parser.add_argument("--margin-px", type=int, default=0, help="margin in those crops (default: 0)")
    parser.add_argument(
        "--threshold", type=float, help="distance above which a face is unknown (default: the nearest always matches)"
    )
    gallery_output.add_arguments(parser)
    arguments = parser.parse_args(argv)
    gallery_output.check_arguments(parser, arguments)
    return arguments


def _gallery(arguments: argparse.Namespace) -> Gallery:
    embeddings, names = read(arguments.file)
    return Gallery(
        embeddings=embeddings,
        names=names,
        model=FACENET,
        crop_px=arguments.crop_px,
        margin_px=arguments.margin_px,
        threshold=arguments.threshold,
        created_at=datetime.now(UTC),
    )


if __name__ == "__main__":
    sys.exit(main())
