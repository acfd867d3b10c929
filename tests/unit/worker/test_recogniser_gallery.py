"""The gallery: what it takes, its file, and the match."""

import io
import math
import mmap
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from facecore.errors import GalleryError
from facecore.settings import Model
from faceworker.recogniser.gallery import Gallery, check_name, decode, encode, normalised, read
from faceworker.recogniser.models import spec
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.lib import format as npy
from support.fakes.faces import gallery


def is_name(name: str) -> bool:
    try:
        check_name(name)
    except GalleryError:
        return False
    return True


NAMES = st.lists(st.text(min_size=1, max_size=60).filter(is_name), min_size=1, max_size=8).map(tuple)
SEEDS = st.integers(0, 2**32 - 1)


def vectors(count: int, seed: int, dimensions: int = 128) -> np.ndarray:
    return normalised(np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32))


GALLERIES = st.builds(
    lambda names, seed, model, **changes: gallery(
        model, names, embeddings=vectors(len(names), seed, spec(model).dimensions), **changes
    ),
    NAMES,
    SEEDS,
    st.sampled_from([Model.DLIB, Model.FACENET]),
    threshold=st.none() | st.floats(0.01, 2),
    margin_px=st.integers(0, 79),
    created_at=st.datetimes(timezones=st.just(UTC)),
)


@given(GALLERIES)
def test_a_gallery_survives_its_file(before: Gallery) -> None:
    after = decode(encode(before))
    assert np.array_equal(after.embeddings, before.embeddings)
    fields = ("names", "model", "crop_px", "margin_px", "threshold", "created_at")
    assert [getattr(after, name) for name in fields] == [getattr(before, name) for name in fields]


def test_numpy_reads_the_file_without_pickle() -> None:
    with np.load(io.BytesIO(encode(gallery())), allow_pickle=False) as arrays:
        assert arrays["names"].tolist() == ["Anna", "Béla"]
        assert arrays["model"] == Model.DLIB
        assert arrays["embeddings"].dtype == np.float32


@given(NAMES, SEEDS, SEEDS)
def test_the_match_is_the_nearest(names: tuple[str, ...], seed: int, query_seed: int) -> None:
    one = gallery(names=names, embeddings=vectors(len(names), seed), threshold=None)
    query = vectors(1, query_seed)[0]
    distances = np.linalg.norm(one.embeddings.astype(float) - query, axis=1)
    subject, distance = one.match(query)
    assert math.isclose(distance, distances.min(), abs_tol=1e-4)
    assert subject in {name for name, d in zip(names, distances, strict=True) if d <= distances.min() + 1e-4}


@given(NAMES, SEEDS, SEEDS, st.floats(0.1, 2))
def test_over_the_threshold_it_is_unknown(names: tuple[str, ...], seed: int, query_seed: int, threshold: float) -> None:
    one = gallery(names=names, embeddings=vectors(len(names), seed), threshold=threshold)
    subject, distance = one.match(vectors(1, query_seed)[0])
    assert (subject is None) == (distance > threshold)
    assert 0 <= distance <= 2.001


def test_a_reference_matches_itself() -> None:
    one = gallery(embeddings=vectors(2, 1))
    assert [one.match(embedding) for embedding in one.embeddings] == [("Anna", 0), ("Béla", 0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"embeddings": np.eye(2, 512, dtype=np.float32)},
        {"embeddings": np.eye(2, 128, dtype=np.float64)},
        {"embeddings": np.eye(3, 128, dtype=np.float32)},
        {"embeddings": np.zeros((2, 128), dtype=np.float32)},
        {"embeddings": np.full((2, 128), np.nan, dtype=np.float32)},
        {"embeddings": 2 * np.eye(2, 128, dtype=np.float32)},
        {"embeddings": np.zeros((0, 128), dtype=np.float32), "names": ()},
        {"embeddings": np.eye(1, 128, dtype=np.float32)[0]},
        {"names": ("Anna", "unknown")},
        {"model": "arcface"},
        {"crop_px": 151},
        {"margin_px": -1},
        {"margin_px": 150},
        {"threshold": 0.0},
        {"threshold": math.nan},
        {"threshold": 2.1},
        {"created_at": datetime(2025, 1, 1)},
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(GalleryError):
        gallery(**({"names": ("Anna", "Béla")} | changes))


@pytest.mark.parametrize(
    "name",
    ["", " ", "a\nb", "a\x00", "\x7f", "\u2028", "\ud800", "a:b", ":", "unknown", "Unknown ", "x" * 256, "é" * 128],
)
def test_names_that_cannot_be_an_answer(name: str) -> None:
    with pytest.raises(GalleryError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "Béla", "山田太郎", 'O\'Neil, "Jr."', "x" * 255, "unknown person", "10\uff1a30"])
def test_names_that_can(name: str) -> None:
    assert decode(encode(gallery(names=(name,)))).names == (name,)


def rewritten(content: bytes, member: str, replacement: bytes | None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """The gallery's file with one member exchanged, added, or (None) left out."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
        if replacement is not None:
            new.writestr(member, replacement)
    return target.getvalue()


def array_file(array: np.ndarray, **options: object) -> bytes:
    target = io.BytesIO()
    npy.write_array(target, array, **options)
    return target.getvalue()


def lying_array(shape: tuple[int, ...]) -> bytes:
    target = io.BytesIO()
    npy.write_array_header_1_0(target, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return target.getvalue() + b"\0" * 64


@pytest.mark.parametrize(
    ("member", "replacement"),
    [
        ("embeddings.npy", None),
        ("extra.npy", b"x"),
        ("names.npy", array_file(np.array(["Anna", None], dtype=object), allow_pickle=True)),
        ("names.npy", array_file(np.array([b"Anna", b"Bela"]))),
        ("names.npy", array_file(np.array(["x" * 256, "y"]))),
        ("names.npy", array_file(np.array("Anna"))),
        ("embeddings.npy", lying_array((10**15, 128))),
        ("embeddings.npy", lying_array((0, 128))),
        ("embeddings.npy", b"\x93NUMPY\x01\x00\x05\x00{{{{{"),
        ("embeddings.npy", b""),
        ("format_version.npy", array_file(np.int64(2))),
        ("crop_px.npy", array_file(np.float64(150))),
        ("threshold.npy", array_file(np.array([0.5]))),
        ("created_at.npy", array_file(np.str_("yesterday"))),
        ("created_at.npy", array_file(np.str_("2025-01-01T00:00:00"))),
    ],
)
def test_malformed_files_are_refused(member: str, replacement: bytes | None) -> None:
    with pytest.raises(GalleryError):
        decode(rewritten(encode(gallery()), member, replacement))


def test_a_compressed_file_is_refused() -> None:
    embeddings = array_file(gallery().embeddings)
    with pytest.raises(GalleryError, match="compressed"):
        decode(rewritten(encode(gallery()), "embeddings.npy", embeddings, zipfile.ZIP_DEFLATED))


@given(st.binary(max_size=200))
@example(b"PK\x05\x06" + b"\0" * 18)
def test_any_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(GalleryError):
        decode(content)


WHOLE = encode(gallery())


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_files_are_a_gallery_or_refused(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for place, value in flips:
        damaged[place] = value
    try:
        assert isinstance(decode(bytes(damaged)), Gallery)
    except GalleryError as error:
        assert str(error)


def test_normalising_needs_a_direction() -> None:
    for bad in (0.0, np.nan, np.inf):
        with pytest.raises(GalleryError):
            normalised(np.full((1, 4), bad, dtype=np.float32))


def mapping(array: np.ndarray) -> object:
    """What an array's numbers lie in."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def test_a_large_gallery_stays_in_its_file(tmp_path: Path) -> None:
    count = 100_000
    names = tuple(f"person {i}" for i in range(count))
    file = tmp_path / "gallery.npz"
    file.write_bytes(encode(gallery(names=names, embeddings=vectors(count, 7))))
    with file.open("rb") as opened:
        large = read(opened)
    assert isinstance(mapping(large.embeddings), mmap.mmap)
    assert large.embeddings.flags.aligned
    for i in (0, 4711, count - 1):
        assert large.match(large.embeddings[i]) == (f"person {i}", 0)


def test_a_million_embeddings_are_a_gallery_and_one_more_is_not() -> None:
    # One row over and over: it takes the space of one.
    row = np.eye(1, 128, dtype=np.float32)
    million = np.broadcast_to(row, (1_000_000, 128))
    names = ("Anna",) * 1_000_000
    assert gallery(names=names, embeddings=million).subjects == 1
    with pytest.raises(GalleryError, match="1 to 1000000"):
        gallery(names=(*names, "Anna"), embeddings=np.broadcast_to(row, (1_000_001, 128)))


def test_a_gallery_at_an_odd_address_is_copied_to_an_even_one(tmp_path: Path) -> None:
    file = tmp_path / "gallery.npz"
    whole = encode(gallery())
    file.write_bytes(rewritten(whole, "embeddings.npy", array_file(gallery().embeddings)))
    with file.open("rb") as opened:
        moved = read(opened)
    assert moved.embeddings.flags.aligned
    assert np.array_equal(moved.embeddings, gallery().embeddings)


@pytest.mark.parametrize("content", [b"", b"PK", WHOLE[: len(WHOLE) // 2]])
def test_files_that_are_no_gallery_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gallery.npz"
    file.write_bytes(content)
    with file.open("rb") as opened, pytest.raises(GalleryError):
        read(opened)
