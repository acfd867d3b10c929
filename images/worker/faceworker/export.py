"""`python -m faceworker.export` makes the networks of the ONNX engine, once: at an image's build, and at `make up`.

The networks lie in the cache folder. What is there already, of the same weights and the same export, is left as it is.
"""

import os
import sys
from collections.abc import Mapping

from facecore import logs
from facecore.errors import FaceError, SettingsError, WeightsError
from facecore.settings import load

from faceworker.recogniser.factory import TORCH
from faceworker.recogniser.models import AUTO, DLIB, FACENET, NOOP
from faceworker.recogniser.settings import RecogniserSettings


def main(environ: Mapping[str, str]) -> int:
    """Exports what EFACE_MODEL needs, and returns the exit status: 0 done, 1 a failure, 2 wrong settings.

    With `auto`, FaceNet's weights that cannot be had are no failure: one line says so.
    """
    try:
        # A network does not depend on the deployment.
        settings = load(RecogniserSettings, {"EFACE_ID": "any", **environ})
        logs.configure("export", "warning")
        _export(settings)
    except FaceError as error:
        sys.stderr.write(f"export: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def _export(settings: RecogniserSettings) -> None:
    if settings.model == NOOP or settings.engine == TORCH:
        sys.stdout.write(f"export: {settings.model} needs none with the engine {settings.engine}\n")
        return
    from faceworker.recogniser.exporter import Exporter

    exporter = Exporter(settings.options)
    exporter.detector()
    if settings.model in (AUTO, DLIB):
        exporter.dlib()
    if settings.model in (AUTO, FACENET):
        try:
            exporter.facenet()
        except WeightsError as error:
            if settings.model != AUTO:
                raise
            sys.stderr.write(f"export: {FACENET} IS NOT AMONG THE NETWORKS: {error}\n")
    made = ", ".join(exporter.made) or "nothing new"
    sys.stdout.write(f"export: {made} in {settings.options.cache_dir}\n")


if __name__ == "__main__":
    sys.exit(main(os.environ))
