"""The factory: which recogniser a model and a gallery make, and what is imported for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from facecore import settings
from facecore.errors import BadImageError, GalleryError, NoFaceError, SettingsError
from faceworker.recogniser.factory import RecogniserOptions, build, build_extractor
from faceworker.recogniser.interface import Recognition
from faceworker.recogniser.matching import MatchingRecogniser
from faceworker.recogniser.models import DLIB, FACENET, Crop
from faceworker.recogniser.settings import RecogniserSettings
from support.fakes.faces import colour_extractor, gallery, picture

OPTIONS = RecogniserOptions(
    threads=1, max_pixels=10**6, weights_url="http://127.0.0.1:9/", weights_sha256=None, cache_dir=Path("/nowhere")
)


def test_noop_answers_unknown_to_anything() -> None:
    noop = build("noop", None, OPTIONS)
    assert noop.recognise(b"no image at all") == Recognition(None, None, {})
    assert noop.with_gallery(gallery()) is noop


def test_noop_imports_no_engine() -> None:
    program = (
        "import sys; from faceworker.recogniser.settings import RecogniserSettings as S; "
        "from faceworker.recogniser.factory import build; build('noop', None, S(id='aa').options); "
        "print([m for m in ('torch', 'torchvision', 'numpy', 'PIL', 'dlib', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("model", ["auto", DLIB, FACENET])
def test_a_gallery_of_another_model_or_none_is_refused(model: str) -> None:
    other = None if model == "auto" else gallery(DLIB if model == FACENET else FACENET)
    with pytest.raises(GalleryError):
        build(model, other, OPTIONS)


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(GalleryError, match="no such model"):
        build_extractor("arcface", OPTIONS)


def test_the_nearest_subject_is_recognised() -> None:
    recogniser = MatchingRecogniser(colour_extractor(), gallery(names=("Red", "Green", "Blue")))
    assert recogniser.recognise(picture("blue")).subject == "Blue"
    answer = recogniser.recognise(picture("#ffff01"))
    assert answer.subject is None
    assert answer.distance == pytest.approx(0.765, abs=0.01)
    assert set(answer.timings) == {"decode", "detect", "embed", "match"}


def test_bad_images_and_empty_ones_are_told_apart() -> None:
    recogniser = MatchingRecogniser(colour_extractor(), gallery())
    with pytest.raises(BadImageError):
        recogniser.recognise(b"nothing")
    with pytest.raises(NoFaceError):
        recogniser.recognise(picture("black"))


def test_without_a_gallery_nobody_is_known() -> None:
    answer = MatchingRecogniser(colour_extractor(), None).recognise(picture("red"))
    assert (answer.subject, answer.distance) == (None, None)


def test_another_gallery_takes_the_same_networks() -> None:
    extractor = colour_extractor(FACENET)
    before = MatchingRecogniser(extractor, gallery(FACENET, ("Red",)))
    after = before.with_gallery(gallery(FACENET, ("Rosa",), crop_px=240, margin_px=20))
    assert [one.recognise(picture("red")).subject for one in (before, after)] == ["Red", "Rosa"]
    assert extractor._embedder.crops == [Crop(160, 0), Crop(240, 20)]
    with pytest.raises(GalleryError, match="enrol it again"):
        before.with_gallery(gallery(DLIB))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL", "arcface"),
        ("THREADS", "-1"),
        ("ENGINE", "tensorflow"),
        ("PRECISION", "fp16"),
        ("MAX_PIXELS", "90000000"),
        ("WEIGHTS_URL", "ftp://x/"),
        ("WEIGHTS_SHA256", "ab"),
    ],
)
def test_settings_out_of_bounds_are_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"EFACE_{variable}"):
        settings.load(RecogniserSettings, {"EFACE_ID": "local", f"EFACE_{variable}": value})


def test_int8_is_for_the_onnx_engine() -> None:
    with pytest.raises(SettingsError, match="needs EFACE_ENGINE=onnx"):
        settings.load(RecogniserSettings, {"EFACE_ID": "local", "EFACE_ENGINE": "torch", "EFACE_PRECISION": "int8"})


def test_settings_become_options() -> None:
    options = settings.load(RecogniserSettings, {"EFACE_ID": "local", "EFACE_THREADS": "1"}).options
    assert (options.engine, options.precision) == ("onnx", "fp32")
    assert (options.threads, options.max_pixels, options.weights_sha256) == (1, 40_000_000, None)
    assert options.cache_dir.is_absolute()
