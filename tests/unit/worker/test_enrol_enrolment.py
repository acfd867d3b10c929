"""Enrolment of a folder: who gets into the gallery, and what is reported of the rest."""

from pathlib import Path

import pytest
from facecore.errors import GalleryError
from facecore.settings import Model
from faceworker.enrol.enrolment import MAX_PICTURE_BYTES, Enrolment, enrol, rivals
from faceworker.recogniser.models import spec
from faceworker.recogniser.pipeline import Face
from hypothesis import given
from hypothesis import strategies as st
from support.fakes.faces import CREATED_AT, colour_extractor, picture


def put(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def enrolled(root: Path) -> Enrolment:
    return enrol(root, colour_extractor(), created_at=CREATED_AT)


def reasons(root: Path) -> dict[str, str]:
    return {str(entry.path): entry.reason for entry in enrolled(root).skipped}


def test_each_picture_is_an_embedding_of_its_subject(tmp_path: Path) -> None:
    root = put(tmp_path, {"Anna/1.png": picture("red"), "Anna/2.PNG": picture("pink"), "Béla/x.JPEG": picture("blue")})
    gallery = enrolled(root).gallery
    assert gallery.names == ("Anna", "Anna", "Béla")
    assert (gallery.model, gallery.threshold, gallery.crop) == (Model.DLIB, spec(Model.DLIB).threshold, gallery.crop)
    assert gallery.created_at == CREATED_AT
    assert gallery.match(gallery.embeddings[2])[0] == "Béla"
    assert enrolled(root).skipped == ()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("Anna/broken.jpg", b"\xff\xd8\xff\xe0 broken", "the image cannot be decoded"),
        ("Anna/empty.png", b"", "not an image"),
        ("Anna/landscape.png", picture("black"), "no face"),
        ("Anna/couple.png", picture("white"), "shows 2 people"),
        ("Anna/notes.txt", b"hi", "not a picture by its name"),
        ("Anna/deep/1.png", picture("red"), "not a picture by its name"),
        ("stray.png", picture("red"), "outside of the subjects"),
        ("unknown/1.png", picture("red"), "in no gallery"),
        ("a\nb/1.png", picture("red"), "control characters"),
        ("Anna: 2/1.png", picture("red"), "holds a colon"),
        ("Anna: 2/1.png", picture("red"), "rename"),
    ],
)
def test_the_rest_is_reported_by_name_and_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    root = put(tmp_path, {"Carl/1.png": picture("red"), name: content})
    ((skipped, told),) = reasons(root).items()
    assert name.startswith(skipped)
    assert reason in told
    assert enrolled(root).gallery.names == ("Carl",)


def test_a_name_that_is_no_unicode_is_reported(tmp_path: Path) -> None:
    root = put(tmp_path, {"Carl/1.png": picture("red"), "\udcff/1.png": picture("red")})
    assert "not Unicode" in reasons(root)["\udcff"]


def test_an_empty_folder_of_a_subject_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Anna").mkdir()
    assert reasons(tmp_path) == {"Anna": "holds no picture"}
    assert enrolled(tmp_path).gallery is None


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    root = put(tmp_path, {"Anna/1.png": picture("red"), "Anna/.DS_Store": b"", ".git/x.png": b""})
    assert enrolled(root).skipped == ()


def test_decomposed_names_are_composed(tmp_path: Path) -> None:
    root = put(tmp_path, {"Be\u0301la/1.png": picture("red")})
    assert enrolled(root).gallery.names == ("B\u00e9la",)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    root = put(tmp_path, {"Anna/1.png": b""})
    with (root / "Anna/1.png").open("wb") as target:
        target.truncate(MAX_PICTURE_BYTES + 1)
    assert "is over" in reasons(root)["Anna/1.png"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be read"):
        enrolled(tmp_path / "none")


def test_progress_sees_every_picture(tmp_path: Path) -> None:
    root = put(tmp_path, {"Anna/1.png": picture("red"), "Anna/2.png": b"", "Béla/3.png": picture("blue")})
    seen: list[str] = []

    def watched(files: list[Path]) -> list[Path]:
        seen.extend(file.name for file in files)
        return files

    enrol(root, colour_extractor(), created_at=CREATED_AT, progress=watched)
    assert seen == ["1.png", "2.png", "3.png"]


def face(side: float, probability: float = 1.0) -> Face:
    return Face(0, 0, side, side, probability)


def test_a_small_or_doubtful_second_face_is_no_rival() -> None:
    assert rivals([face(100), face(49)]) == 0
    assert rivals([face(100), face(50)]) == 1
    assert rivals([face(100), face(90, 0.9)]) == 0
    assert rivals([face(100), face(90), face(80), face(10)]) == 2


@given(st.lists(st.floats(1, 500), min_size=1, max_size=6))
def test_rivals_never_count_the_largest_itself(sides: list[float]) -> None:
    faces = [face(side) for side in sorted(sides, reverse=True)]
    assert 0 <= rivals(faces) < len(faces)
