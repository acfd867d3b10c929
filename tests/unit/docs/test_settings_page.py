"""The page of settings says what the settings classes say."""

import settings_table


def test_the_page_is_as_the_classes_are() -> None:
    assert settings_table.TARGET.read_text(encoding="utf-8") == settings_table.text()
