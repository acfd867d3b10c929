"""The commands that make a gallery, and what they share: where it goes, into a file, the gallery bucket, or both."""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from facecore import settings
from facecore.aws import Aws
from facecore.errors import GalleryError
from facecore.objects import S3Bucket
from facecore.settings import AwsSettings

from faceworker.gallery_source import GALLERY_KEY
from faceworker.recogniser.gallery import Gallery, encode

S = TypeVar("S", bound=AwsSettings)


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments that `parser` takes, with `--output FILE` and `--upload`; ends the program without any of these."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write the gallery to (.npz)")
    parser.add_argument(
        "--upload", action="store_true", help=f"store it as {GALLERY_KEY} in the bucket <EFACE_ID>-gallery-bucket"
    )
    arguments = parser.parse_args(argv)
    if arguments.output is None and not arguments.upload:
        parser.error("give --output FILE, --upload, or both")
    return arguments


def load_settings(cls: type[S], environ: Mapping[str, str], *, upload: bool) -> S:
    """The settings of class `cls`; the deployment's ID is only needed for an upload. Raises SettingsError."""
    placeholder = {} if upload or environ.get("EFACE_ID") else {"EFACE_ID": "none"}
    return settings.load(cls, {**environ, **placeholder})


def deliver(gallery: Gallery, arguments: argparse.Namespace, aws_settings: AwsSettings) -> None:
    """Writes and uploads `gallery` as the arguments say; raises GalleryError and AWS errors."""
    content, target = encode(gallery), arguments.output
    if target is not None:
        try:
            part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
            try:
                part.write_bytes(content)
                # Atomic: a reader sees the old gallery or the new one.
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise GalleryError(f"the gallery cannot be written to {target}: {error}") from error
        tell(f"wrote {target}")
    if arguments.upload:
        bucket = S3Bucket(Aws(aws_settings).client("s3"), aws_settings.gallery_bucket)
        bucket.put(GALLERY_KEY, content)
        tell(f"uploaded {GALLERY_KEY} to the bucket {bucket.name}")


def tell(text: str) -> None:
    """One line for the user; what a terminal would obey or cannot show is escaped."""
    sys.stdout.write(f"{text if text.isprintable() else ascii(text)[1:-1]}\n")
