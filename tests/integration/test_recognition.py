"""Recognition with the real networks: the demo photographs, enrolment and its commands."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facecore.aws import Aws
from facecore.errors import NoFaceError
from facecore.objects import S3Bucket
from facecore.settings import AwsSettings, Model
from faceworker import build
from faceworker.enrol import import_gallery
from faceworker.enrol.__main__ import main as enrol_command
from faceworker.enrol.enrolment import enrol
from faceworker.recogniser import Recogniser, RecogniserOptions
from faceworker.recogniser import gallery as galleries
from faceworker.recogniser.gallery import Gallery
from faceworker.recogniser.models import Engine, Precision
from faceworker.recogniser.pipeline import Extractor, MatchingRecogniser
from PIL import Image
from support.fakes.faces import CREATED_AT, FACES, image_file

EXPECTED: dict[str, str] = json.loads((FACES / "expected.json").read_text())
OBAMA = FACES / "queries/obama2.jpg"
NO_SERVER = "http://127.0.0.1:9/weights"


@pytest.fixture(scope="session")
def options(exported_cache: Path) -> RecogniserOptions:
    return RecogniserOptions(1, 40_000_000, NO_SERVER, None, exported_cache)


@pytest.fixture(scope="session", params=["onnx-fp32", "onnx-int8", "torch-fp32"])
def extractor(request: pytest.FixtureRequest, options: RecogniserOptions) -> Extractor:
    engine, precision = request.param.split("-")
    return build.extractor(Model.DLIB, replace(options, engine=Engine(engine), precision=Precision(precision)))


@pytest.fixture(scope="session")
def demo_gallery(extractor: Extractor) -> Gallery:
    enrolment = enrol(FACES / "gallery", extractor, created_at=CREATED_AT)
    assert enrolment.skipped == ()
    return enrolment.gallery


@pytest.fixture(scope="session")
def recogniser(extractor: Extractor, demo_gallery: Gallery) -> Recogniser:
    return MatchingRecogniser(extractor, demo_gallery)


def test_every_query_has_its_expectation() -> None:
    assert {file.name for file in (FACES / "queries").iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_demo_photographs_are_recognised(recogniser: Recogniser, name: str) -> None:
    answer = recogniser.recognise((FACES / "queries" / name).read_bytes())
    assert (answer.subject or "unknown") == EXPECTED[name]
    assert answer.timings.keys() == {"decode", "detect", "embed", "match"}


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_face_is_known_in_every_format(recogniser: Recogniser, file_format: str) -> None:
    with Image.open(OBAMA) as image:
        content = image_file(image, file_format)
    assert recogniser.recognise(content).subject == "Barack Obama"


def test_a_face_that_lies_on_its_side_is_turned(recogniser: Recogniser) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(OBAMA) as image:
        content = image_file(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    assert recogniser.recognise(content).subject == "Barack Obama"


def test_the_largest_face_wins(recogniser: Recogniser) -> None:
    with Image.open(OBAMA) as large, Image.open(FACES / "queries/astronaut.jpg") as small:
        both = Image.new("RGB", (large.width + 300, large.height))
        both.paste(large, (300, 0))
        both.paste(small.resize((300, 300)), (0, 0))
    assert recogniser.recognise(image_file(both, "PNG")).subject == "Barack Obama"


@pytest.mark.parametrize("size", [(1, 1), (19, 500), (500, 19), (20, 20), (21, 800), (64, 64)])
def test_images_without_a_face_are_told(recogniser: Recogniser, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    with pytest.raises(NoFaceError):
        recogniser.recognise(image_file(Image.fromarray(noise), "PNG"))


def test_auto_is_the_gallery_s_model(demo_gallery: Gallery, options: RecogniserOptions) -> None:
    recogniser = build.recogniser(Model.AUTO, demo_gallery, options)
    assert recogniser.model == Model.DLIB
    assert recogniser.recognise(OBAMA.read_bytes()).subject == "Barack Obama"


def test_enrolment_reports_what_it_leaves_out(
    deployment: AwsSettings, exported_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "people"
    shutil.copytree(FACES / "gallery", folder)
    (folder / "Joe Biden/cut.jpg").write_bytes(OBAMA.read_bytes()[:9000])
    Image.new("RGB", (300, 300), "teal").save(folder / "Joe Biden/wall.png")
    with Image.open(OBAMA) as image:
        couple = Image.new("RGB", (2 * image.width, image.height))
        couple.paste(image, (0, 0))
        couple.paste(image, (image.width, 0))
    couple.save(folder / "Joe Biden/couple.png")

    environment = {"EFACE_ID": deployment.id, "AWS_ENDPOINT_URL": str(deployment.endpoint_url)}
    environment |= {"EFACE_WEIGHTS_URL": NO_SERVER, "EFACE_CACHE_DIR": str(exported_cache)}
    assert enrol_command([str(folder), "--upload"], environment) == 0

    told = capsys.readouterr()
    assert "enrolled 2 pictures of 2 subjects" in told.out
    for line in ("cut.jpg: the image cannot be decoded", "wall.png: no face", "couple.png: shows 2 people"):
        assert f"skipped Joe Biden/{line}" in told.out
    assert f"USING {Model.DLIB} INSTEAD OF" in told.err
    assert "enrolling" in told.err
    stored = S3Bucket(Aws(deployment).client("s3"), deployment.gallery_bucket).get("gallery.npz", max_bytes=10**6)
    assert set(galleries.decode(stored.content).names) == {"Barack Obama", "Joe Biden"}


def test_enrolment_without_a_usable_picture_fails(
    exported_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Anna").mkdir()
    (tmp_path / "Anna/broken.jpg").write_bytes(b"broken")
    target = tmp_path / "gallery.npz"
    environment = {"EFACE_CACHE_DIR": str(exported_cache)}
    assert enrol_command([str(tmp_path), "--output", str(target), "--model", Model.DLIB], environment) == 1
    told = capsys.readouterr()
    assert "skipped Anna/broken.jpg" in told.out
    assert "no picture" in told.err
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (["--upload"], {}, "EFACE_ID"),
        (["--output", "x.npz"], {"EFACE_THREADS": "many"}, "EFACE_THREADS"),
    ],
)
def test_wrong_settings_are_status_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environment: dict[str, str],
    reason: str,
) -> None:
    assert enrol_command([str(tmp_path), *arguments], environment) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(("engine", "reason"), [("onnx", "faceworker.export"), ("torch", "cannot be fetched")])
def test_facenet_without_its_weights_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str, reason: str
) -> None:
    environment = {"EFACE_WEIGHTS_URL": NO_SERVER, "EFACE_CACHE_DIR": str(tmp_path), "EFACE_ENGINE": engine}
    arguments = [str(FACES / "gallery"), "--output", str(tmp_path / "x.npz"), "--model", "facenet-vggface2"]
    assert enrol_command(arguments, environment) == 1
    assert reason in capsys.readouterr().err


def test_imports_are_uploaded_too(deployment: AwsSettings, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save([[torch.ones(1, 512)], ["Anna"]], tmp_path / "data.pt")
    environment = {"EFACE_ID": deployment.id, "AWS_ENDPOINT_URL": str(deployment.endpoint_url)}
    assert import_gallery.main([str(tmp_path / "data.pt"), "--upload"], environment) == 0
    stored = S3Bucket(Aws(deployment).client("s3"), deployment.gallery_bucket).get("gallery.npz", max_bytes=10**6)
    assert galleries.decode(stored.content).names == ("Anna",)
