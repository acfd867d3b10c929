"""The real worker with a recogniser that is slow, hangs, breaks or kills its process where the image says so."""

import os
import sys
import time
from collections.abc import Mapping

from faceworker.main import main
from faceworker.recogniser import NoopRecogniser, Recognition

SLOW_S = 3.0


class CrashingRecogniser(NoopRecogniser):
    """Answers `unknown`, and does what the first bytes of the image say."""

    def recognise(self, image: bytes) -> Recognition:
        if image.startswith(b"SLOW"):
            time.sleep(SLOW_S)
        if image.startswith(b"HANG"):
            time.sleep(3600)
        if image.startswith(b"BUG"):
            raise RuntimeError("a bug in a library")
        if image.startswith(b"CRASH"):
            os.abort()
        return super().recognise(image)


def run(environ: Mapping[str, str]) -> int:
    """The worker's `main` with that recogniser."""
    return main(environ, make_recogniser=lambda _settings, _gallery: CrashingRecogniser())


if __name__ == "__main__":
    sys.exit(run(os.environ))
