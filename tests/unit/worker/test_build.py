"""Which recogniser a model and a gallery make, and what is imported for it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from facecore.errors import BadImageError, GalleryError, NoFaceError
from facecore.settings import Model
from facelocal.settings import StackSettings
from facelocal.stack.supervisor import environment
from faceworker import build
from faceworker.recogniser import RecogniserOptions, Recognition
from faceworker.recogniser.models import SPECS, Crop, Engine
from faceworker.recogniser.pipeline import MatchingRecogniser
from support.fakes.faces import colour_extractor, gallery, picture

OPTIONS = RecogniserOptions(
    threads=1, max_pixels=10**6, weights_url="http://127.0.0.1:9/", weights_sha256=None, cache_dir=Path("/nowhere")
)


def test_noop_answers_unknown_to_anything() -> None:
    noop = build.recogniser(Model.NOOP, None, OPTIONS)
    assert noop.recognise(b"no image at all") == Recognition(None, None, {})
    assert noop.with_gallery(gallery()) is noop


@pytest.mark.parametrize("wing", ["recogniser", "reference", "export"])
@pytest.mark.parametrize("model", SPECS)
def test_every_embedder_has_its_module_in_each_wing(model: str, wing: str) -> None:
    assert find_spec(f"faceworker.{wing}.{SPECS[model].module}")


@pytest.mark.parametrize("engine", Engine)
def test_the_modules_that_local_workers_share_are_there(engine: Engine) -> None:
    """multiprocessing's fork server passes over a module that it cannot import, and says nothing."""
    shared = environment(StackSettings(), {"EFACE_ENGINE": engine}, None)["EFACE_PRELOAD"].split(",")
    assert all(map(find_spec, shared)), shared


def test_noop_imports_no_engine() -> None:
    program = (
        "import sys; from faceworker import build; from faceworker.settings import RecogniserSettings as S; "
        "from faceworker.recogniser.models import Model; build.recogniser(Model.NOOP, None, S(id='aa').options); "
        "print([m for m in ('torch', 'torchvision', 'numpy', 'PIL', 'dlib', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("model", [Model.AUTO, Model.DLIB, Model.FACENET])
def test_without_a_gallery_the_error_says_what_to_do(model: Model) -> None:
    with pytest.raises(GalleryError, match="enrol one first"):
        build.recogniser(model, None, OPTIONS)


@pytest.mark.parametrize(("model", "other"), [(Model.DLIB, Model.FACENET), (Model.FACENET, Model.DLIB)])
def test_a_gallery_of_another_model_is_refused(model: Model, other: Model) -> None:
    with pytest.raises(GalleryError, match="enrol it again"):
        build.recogniser(model, gallery(other), OPTIONS)


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(GalleryError, match="no such model"):
        build.extractor("arcface", OPTIONS)


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


def test_another_gallery_takes_the_same_networks() -> None:
    extractor = colour_extractor(Model.FACENET)
    before = MatchingRecogniser(extractor, gallery(Model.FACENET, ("Red",)))
    after = before.with_gallery(gallery(Model.FACENET, ("Rosa",), crop_px=240, margin_px=20))
    assert [one.recognise(picture("red")).subject for one in (before, after)] == ["Red", "Rosa"]
    assert extractor._embedder.crops == [Crop(160, 0), Crop(240, 20)]
    with pytest.raises(GalleryError, match="enrol it again"):
        before.with_gallery(gallery(Model.DLIB))
