"""The recogniser that does no work: it measures the tiers around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceworker.recogniser.interface import Recognition
from faceworker.recogniser.models import NOOP

if TYPE_CHECKING:
    from faceworker.recogniser.gallery import Gallery


class NoopRecogniser:
    """Takes any bytes at all and answers `unknown`, without a look at them."""

    model = NOOP

    def recognise(self, _image: bytes) -> Recognition:
        """Nobody, at once."""
        return Recognition(subject=None, distance=None)

    def with_gallery(self, _gallery: Gallery) -> NoopRecogniser:
        """Itself: it looks nobody up."""
        return self
