"""The import command."""

from pathlib import Path

import pytest
import torch
from faceworker.import_gallery import main
from faceworker.recogniser.gallery import decode
from faceworker.recogniser.models import FACENET


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
    assert (gallery.model, gallery.crop_px, gallery.margin_px, gallery.threshold) == (FACENET, 240, 0, None)
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
