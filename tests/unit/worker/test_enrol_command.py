"""`python -m faceworker.enrol` where there is nothing to enrol."""

from pathlib import Path

import pytest
from faceworker.enrol.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "environ"), [(["--model", "noop"], {}), ([], {"EFACE_MODEL": "noop"})], ids=["argument", "variable"]
)
def test_a_model_that_matches_no_face_needs_no_gallery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], environ: dict[str, str]
) -> None:
    assert main([str(tmp_path), "--output", str(tmp_path / "gallery.npz"), *arguments], environ) == 0
    assert "needs none" in capsys.readouterr().out
    assert not (tmp_path / "gallery.npz").exists()
