"""The gallery source: loads once, again when the ETag changes, and says what is wrong with a gallery."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import IO

import pytest
from facecore.errors import GalleryError, UnavailableError
from faceworker.gallery_source import GALLERY_KEY, FixedRecogniser, GalleryRecogniser, GallerySource
from support.fakes.aws import FakeBucket, Journal
from support.fakes.clock import Clock


@dataclass
class FakeRecogniser:
    """A recogniser that knows which gallery it has and how often its networks were built."""

    gallery: SimpleNamespace
    build: int

    @property
    def model(self) -> str:
        return str(self.gallery.model)

    def with_gallery(self, gallery: SimpleNamespace) -> "FakeRecogniser":
        return FakeRecogniser(gallery, self.build)


def read(file: IO[bytes]) -> SimpleNamespace:
    file.seek(0)
    content = file.read()
    if content == b"broken":
        raise GalleryError("the gallery cannot be read")
    model, _, people = content.decode().partition(":")
    return SimpleNamespace(model=model, people=people)


class Gallery:
    """A gallery bucket with a source on it, and a recogniser that follows it."""

    def __init__(self) -> None:
        self.clock, self.journal = Clock(), Journal()
        self.bucket = FakeBucket("test-gallery-bucket", self.journal)
        self.source = GallerySource(self.bucket, read, refresh_s=30, max_bytes=100, steady_s=self.clock)
        self.builds = 0

    def put(self, content: bytes) -> None:
        self.bucket.put(GALLERY_KEY, content)

    def build(self, gallery: SimpleNamespace) -> FakeRecogniser:
        self.builds += 1
        return FakeRecogniser(gallery, self.builds)

    def follow(self, content: bytes) -> GalleryRecogniser:
        self.put(content)
        return GalleryRecogniser(self.source, self.build)


@pytest.fixture
def gallery() -> Gallery:
    return Gallery()


def test_a_gallery_is_loaded_and_then_unchanged(gallery: Gallery) -> None:
    gallery.put(b"m:Anna")
    assert gallery.source.load().people == "Anna"
    gallery.clock.sleep(31)
    assert gallery.source.changed() is None


def test_a_changed_gallery_is_seen_after_the_interval_and_not_before(gallery: Gallery) -> None:
    gallery.put(b"m:Anna")
    gallery.source.load()
    gallery.put(b"m:Bertil")
    gallery.clock.sleep(29)
    assert gallery.source.changed() is None
    gallery.clock.sleep(1)
    assert gallery.source.changed().people == "Bertil"
    assert gallery.source.changed() is None


def test_s3_is_asked_once_an_interval(gallery: Gallery) -> None:
    gallery.put(b"m:Anna")
    gallery.source.load()
    gallery.journal.failures["etag"] = [AssertionError("asked again")] * 2
    gallery.source.changed()
    gallery.clock.sleep(30)
    with pytest.raises(AssertionError):
        gallery.source.changed()


def test_a_failed_look_is_made_again_at_once(gallery: Gallery) -> None:
    gallery.put(b"m:Anna")
    gallery.source.load()
    gallery.put(b"m:Bertil")
    gallery.clock.sleep(30)
    gallery.journal.failures = {"etag": [UnavailableError("no answer")], "get": [UnavailableError("no answer")]}
    for _ in range(2):
        with pytest.raises(UnavailableError):
            gallery.source.changed()
    assert gallery.source.changed().people == "Bertil"


def test_no_gallery_is_told_with_what_to_do(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match=r"no gallery\.npz in the bucket test-gallery-bucket; enrol"):
        gallery.source.load()
    with pytest.raises(GalleryError, match="enrol"):
        gallery.source.changed()


@pytest.mark.parametrize("content", [b"broken", b"m:" + b"x" * 100])
def test_a_gallery_that_cannot_be_used_is_a_gallery_error(gallery: Gallery, content: bytes) -> None:
    gallery.put(content)
    with pytest.raises(GalleryError):
        gallery.source.load()


def test_a_new_gallery_of_the_same_model_keeps_the_networks(gallery: Gallery) -> None:
    follower = gallery.follow(b"m:Anna")
    first = follower.current()
    gallery.put(b"m:Bertil")
    gallery.clock.sleep(30)
    assert (first.gallery.people, follower.current().gallery.people) == ("Anna", "Bertil")
    assert gallery.builds == 1
    assert follower.current() is follower.current()


def test_a_gallery_of_another_model_builds_its_networks(gallery: Gallery) -> None:
    follower = gallery.follow(b"m:Anna")
    gallery.put(b"other:Anna")
    gallery.clock.sleep(30)
    assert (follower.current().model, gallery.builds) == ("other", 2)


def test_a_gallery_that_does_not_fit_the_wanted_model_is_an_error(gallery: Gallery) -> None:
    follower = gallery.follow(b"m:Anna")
    gallery.put(b"broken")
    gallery.clock.sleep(30)
    with pytest.raises(GalleryError):
        follower.current()


def test_without_a_gallery_the_recogniser_is_fixed() -> None:
    recogniser = FakeRecogniser(SimpleNamespace(model="noop"), 1)
    assert FixedRecogniser(recogniser).current() is recogniser
