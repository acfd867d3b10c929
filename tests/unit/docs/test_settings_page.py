"""The page of settings and the lists in compose.yaml say what the settings classes say."""

from pathlib import Path

import pytest
import settings_table


@pytest.mark.parametrize(("file", "text"), settings_table.texts().items(), ids=lambda part: getattr(part, "name", ""))
def test_the_file_is_as_the_classes_are(file: Path, text: str) -> None:
    assert file.read_text(encoding="utf-8") == text
