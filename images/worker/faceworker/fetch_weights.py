"""`python -m faceworker.fetch_weights` puts a model's weights into the cache, when an image is built, say."""

import os
import sys
from collections.abc import Mapping

from facecore.errors import SettingsError, WeightsError
from facecore.settings import load

from faceworker.recogniser.models import AUTO, FACENET
from faceworker.recogniser.settings import RecogniserSettings


def main(environ: Mapping[str, str]) -> int:
    """Fetches and checks what EFACE_MODEL needs, and returns the exit status.

    With `auto`, weights that cannot be had are no failure: one line says so.
    """
    try:
        # A model's weights do not depend on the deployment.
        settings = load(RecogniserSettings, {"EFACE_ID": "any", **environ})
    except SettingsError as error:
        sys.stderr.write(f"fetch_weights: {error}\n")
        return 2
    if settings.model not in (AUTO, FACENET):
        sys.stdout.write(f"fetch_weights: {settings.model} needs no weights beyond its package's\n")
        return 0
    from faceworker.recogniser.weights import WeightsSource

    options = settings.options
    try:
        WeightsSource(options.weights_url, options.weights_sha256, options.cache_dir).state()
    except WeightsError as error:
        sys.stderr.write(f"fetch_weights: {FACENET} IS NOT IN THIS IMAGE: {error}\n")
        return 0 if settings.model == AUTO else 1
    sys.stdout.write(f"fetch_weights: {FACENET} is in {options.cache_dir}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
