"""`facecore.user_data` and the machine's own script take the same user data and refuse the same."""

from collections.abc import Iterator

import pytest
from facecore import user_data
from facecore.errors import SettingsError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.stacks.machine_script import ReadUserData, reading

ID = "EFACE_ID=t1\n"
"""A machine needs it; `parse` takes lines that are only a part of the user data, too."""
_TEXT = st.text(st.sampled_from("AZ09_az=# \t\r\x00\x1b\x7f~éż'\"$"), max_size=6)
_NAMES = st.sampled_from(
    ["EFACE_A", "EFACE_A9_", "EFACE_", "EFACE_a", "AWS_ENDPOINT_URL", "EFACE_INSTANCE_ID", "PATH", ""]
)
_LINES = st.one_of(
    st.builds("{}={}".format, _NAMES, _TEXT),
    st.builds("EFACE_A{}={}".format, st.integers(0, 99), _TEXT),
    st.builds("EFACE_{}=x".format, st.text("A", min_size=63, max_size=66)),
    st.builds("EFACE_B={}".format, st.text("v", min_size=1022, max_size=1026)),
    st.builds("#{}".format, _TEXT),
    _TEXT,
)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadUserData]:
    with reading(tmp_path_factory.mktemp("machine")) as script:
        yield script


def _parsed(text: str) -> dict[str, str] | None:
    try:
        return user_data.parse(text)
    except SettingsError:
        return None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_LINES, max_size=4), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(["EFACE_NOTE=a = \"b\" $(id) 'c' \\"], "\n", False)
@example([" EFACE_A=1"], "\n", True)
@example(["EFACE_A=1 ", "EFACE_B= 1"], "\n", True)
@example(["EFACE_A=1", "EFACE_A=1"], "\n", True)
@example(["EFACE_A=", ""], "\n", True)
@example(["EFACE_A=1\r"], "\r\n", True)
@example([f"#{'c' * 16_371}"], "\n", False)
@example([f"#{'c' * 16_372}"], "\n", False)
def test_both_take_and_refuse_the_same(script: ReadUserData, lines: list[str], end: str, ended: bool) -> None:
    text = ID + end.join(lines) + (end if ended else "")
    assert script.read(text) == _parsed(text)


def test_what_is_written_in_python_is_read_by_a_machine(script: ReadUserData) -> None:
    variables = {"EFACE_ID": "t1", "EFACE_WEIGHTS_URL": "https://x/?a=b", "AWS_ENDPOINT_URL": "http://h:1"}
    assert script.read(user_data.lines(variables)) == variables
