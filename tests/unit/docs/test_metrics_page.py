"""The page of metrics says what the registries say, and each metric carries the name of its program."""

import re
from pathlib import Path

import metrics_table
import pytest

SHARED = re.compile(r"elastic_face_info|process_[a-z_]+|python_info")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the process's own metrics are read from /proc")
def test_the_page_is_as_the_registries_are() -> None:
    assert metrics_table.TARGET.read_text(encoding="utf-8") == metrics_table.text()


@pytest.mark.parametrize("program", metrics_table.PROGRAMS)
def test_a_program_s_metrics_begin_with_its_name(program: str) -> None:
    names = [row.name for row in metrics_table.rows(program)]
    assert names
    assert [name for name in names if not re.fullmatch(rf"elastic_face_{program}_[a-z_]+", name)] == []


def test_what_all_programs_share_is_the_process_and_its_deployment() -> None:
    names = [row.name for row in metrics_table.shared_rows()]
    assert "elastic_face_info" in names
    assert [name for name in names if not SHARED.fullmatch(name)] == []


def test_every_metric_says_what_it_means() -> None:
    assert [
        row.name for program in metrics_table.PROGRAMS for row in metrics_table.rows(program) if not row.meaning
    ] == []
