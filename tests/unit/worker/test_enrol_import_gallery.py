"""Import of facenet-pytorch's lists: the command, what is read, and that no pickled code ever runs."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from facecore.errors import GalleryError
from facecore.settings import Model
from faceworker.enrol.import_gallery import main, read
from faceworker.recogniser.gallery import decode
from torch import nn


def tensors(count: int = 3) -> list[torch.Tensor]:
    return list(torch.randn(count, 1, 512, generator=torch.Generator().manual_seed(1)))


def saved(tmp_path: Path, content: object, **options: object) -> Path:
    file = tmp_path / "data.pt"
    torch.save(content, file, **options)
    return file


class Payload:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.witness),)


def test_embeddings_and_names_are_read_and_normalised(tmp_path: Path) -> None:
    file = saved(tmp_path, [tensors(), ["Anna", "Béla", "Cy"]])
    embeddings, names = read(file)
    assert names == ("Anna", "Béla", "Cy")
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1)
    expected = nn.functional.normalize(torch.cat(tensors())).numpy()
    assert np.allclose(embeddings, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_flat_vectors_of_every_float_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    embeddings, _ = read(saved(tmp_path, ([torch.ones(512, dtype=dtype)], ["Anna"])))
    assert np.allclose(embeddings, 512**-0.5)


@pytest.mark.parametrize("place", ["name", "embedding", "tuple", "root"])
def test_pickled_code_is_refused_and_does_not_run(tmp_path: Path, place: str) -> None:
    witness = tmp_path / "ran"
    payload = Payload(witness)
    content = {
        "name": [tensors(1), [payload]],
        "embedding": [[payload], ["Anna"]],
        "tuple": [tensors(1), ["Anna"], payload],
        "root": payload,
    }[place]
    with pytest.raises(GalleryError, match="pickled code"):
        read(saved(tmp_path, content))
    assert not witness.exists()


def test_code_in_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.pt"
    file.write_bytes(pickle.dumps([tensors(1), [Payload(tmp_path / "ran")]]))
    with pytest.raises(GalleryError):
        read(file)
    assert not (tmp_path / "ran").exists()


def test_code_in_the_format_of_old_torch_is_refused(tmp_path: Path) -> None:
    content = [tensors(1), [Payload(tmp_path / "ran")]]
    with pytest.raises(GalleryError):
        read(saved(tmp_path, content, _use_new_zipfile_serialization=False))
    assert not (tmp_path / "ran").exists()


def test_code_that_torch_itself_would_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="pickled code"):
        read(saved(tmp_path, [[nn.Parameter(torch.ones(1, 512))], ["Anna"]]))


@pytest.mark.parametrize("member", ["archive/extra.pkl", "archive/data/x.py", "other/data.pkl"])
def test_a_file_with_more_in_it_is_refused(tmp_path: Path, member: str) -> None:
    file = saved(tmp_path, [tensors(1), ["Anna"]])
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(member, pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(GalleryError):
        read(file)


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, [tensors(1), ["Anna"]])
    target = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    file.write_bytes(target.getvalue())
    with pytest.raises(GalleryError, match="compressed"):
        read(file)


@pytest.mark.parametrize(
    "content",
    [
        [],
        [tensors(2), ["Anna"]],
        [[], []],
        [tensors(1), [7]],
        [tensors(1), "A"],
        [[torch.ones(1, 128)], ["Anna"]],
        [[torch.ones(2, 512)], ["Anna"]],
        [[torch.ones(1, 512, dtype=torch.int64)], ["Anna"]],
        [[torch.zeros(1, 512)], ["Anna"]],
        [[torch.full((1, 512), torch.nan)], ["Anna"]],
        [["text"], ["Anna"]],
        {"embeddings": 1},
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(GalleryError):
        read(saved(tmp_path, content))


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, [tensors(1), ["Anna"]])
    whole = file.read_bytes()
    for content in (b"", b"nothing", whole[: len(whole) // 2], whole.replace(b"ctorch._utils", b"ctorch._utilz")):
        file.write_bytes(content)
        with pytest.raises(GalleryError):
            read(file)
    with pytest.raises(GalleryError, match="cannot be read"):
        read(tmp_path / "none.pt")


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "data.pt"
    with file.open("wb") as target:
        target.truncate(256 * 1024 * 1024 + 1)
    with pytest.raises(GalleryError, match="is over"):
        read(file)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """90 random embeddings as facenet-pytorch projects save them."""
    embeddings = list(torch.randn(90, 1, 512, generator=torch.Generator().manual_seed(1)))
    torch.save([embeddings, [f"Person {n}" for n in range(90)]], tmp_path / "data.pt")
    return tmp_path / "data.pt"


def test_ninety_subjects_are_imported(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "gallery.npz"
    assert main([str(data), "--output", str(target)], {}) == 0
    assert "90 subjects" in capsys.readouterr().out
    gallery = decode(target.read_bytes())
    assert (gallery.model, gallery.crop_px, gallery.margin_px, gallery.threshold) == (Model.FACENET, 240, 0, None)
    assert gallery.names[89] == "Person 89"


def test_crop_and_threshold_may_be_given(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "gallery.npz"
    options = ["--crop-px", "160", "--margin-px", "14", "--threshold", "1.1"]
    assert main([str(data), "--output", str(target), *options], {}) == 0
    gallery = decode(target.read_bytes())
    assert (gallery.crop_px, gallery.margin_px, gallery.threshold) == (160, 14, 1.1)


def test_a_refused_file_leaves_no_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save([torch.nn.Linear(1, 1)], tmp_path / "data.pt")
    assert main([str(tmp_path / "data.pt"), "--output", str(tmp_path / "gallery.npz")], {}) == 1
    assert "pickled code" in capsys.readouterr().err
    assert not (tmp_path / "gallery.npz").exists()


def test_an_output_that_cannot_be_written_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(data), "--output", str(tmp_path / "none" / "gallery.npz")], {}) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_wrong_usage_is_status_2(data: Path) -> None:
    assert main([str(data), "--upload"], {}) == 2
    with pytest.raises(SystemExit, match="2"):
        main([str(data)], {})
