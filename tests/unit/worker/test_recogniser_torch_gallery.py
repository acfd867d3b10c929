"""Import of facenet-pytorch's lists: what is read, and that no pickled code ever runs."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from facecore.errors import GalleryError
from faceworker.recogniser.torch_gallery import read
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
