"""`python -m faceworker.enroll` where there is nothing to enrol."""

from pathlib import Path

import pytest
from faceworker import enroll


@pytest.mark.parametrize(
    ("arguments", "environ"), [(["--model", "noop"], {}), ([], {"EFACE_MODEL": "noop"})], ids=["argument", "variable"]
)
def test_a_model_that_looks_nobody_up_needs_no_gallery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], environ: dict[str, str]
) -> None:
    assert enroll.main([str(tmp_path), "--output", str(tmp_path / "gallery.npz"), *arguments], environ) == 0
    assert "needs no gallery" in capsys.readouterr().out
    assert not (tmp_path / "gallery.npz").exists()
