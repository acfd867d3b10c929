"""Exported networks: made once, made again for other weights, and refused where they do not fit."""

from pathlib import Path

import onnx
import pytest
from facecore.errors import WeightsError
from facecore.settings import Model
from faceworker import build
from faceworker.export.__main__ import main
from faceworker.export.dlib import rebuilt
from faceworker.recogniser import RecogniserOptions, networks
from faceworker.recogniser.models import spec
from faceworker.recogniser.mtcnn import PROPOSAL
from faceworker.recogniser.networks import EXPORT_FORMAT, FORMAT_KEY, WEIGHTS_KEY
from faceworker.reference.weights import packaged
from hypothesis import given, settings
from hypothesis import strategies as st

NO_SERVER = "http://127.0.0.1:9/weights"
DLIB_FILE = packaged(spec(Model.DLIB).weights).read_bytes()


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"EFACE_MODEL": Model.DLIB, "EFACE_CACHE_DIR": str(folder), "EFACE_WEIGHTS_URL": NO_SERVER} | more


def test_what_is_there_is_not_made_again(exported_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in exported_cache.iterdir()}
    assert main(environment(exported_cache)) == 0
    assert "nothing new" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in exported_cache.iterdir()} == before


@pytest.mark.parametrize("damage", ["other weights", "other export", "no network"])
def test_what_does_not_fit_is_made_again(exported_cache: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    file = exported_cache / f"{PROPOSAL}.onnx"
    content = file.read_bytes()
    model = onnx.load_from_string(content)
    changes = {"other weights": {WEIGHTS_KEY: "0" * 64}, "other export": {FORMAT_KEY: "0"}}.get(damage)
    if changes is None:
        file.write_bytes(b"no network")
    else:
        made_of = {entry.key: entry.value for entry in model.metadata_props} | changes
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, made_of)
        onnx.save(model, file)
    assert main(environment(exported_cache)) == 0
    assert f"export: {file.name} in" in capsys.readouterr().out
    assert {e.key for e in onnx.load(file).metadata_props} == {WEIGHTS_KEY, FORMAT_KEY}


def test_facenet_that_cannot_be_fetched_is_told_or_fails(
    exported_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(environment(exported_cache, EFACE_MODEL="auto")) == 0
    assert f"{Model.FACENET} IS NOT AMONG THE NETWORKS" in capsys.readouterr().err
    assert main(environment(exported_cache, EFACE_MODEL=Model.FACENET)) == 1
    assert "cannot be fetched" in capsys.readouterr().err


@pytest.mark.parametrize("more", [{"EFACE_MODEL": "noop"}, {"EFACE_ENGINE": "torch"}])
def test_what_needs_no_networks_gets_none(tmp_path: Path, more: dict[str, str]) -> None:
    assert main(environment(tmp_path, **more)) == 0
    assert not list(tmp_path.iterdir())


def test_wrong_settings_are_status_2(tmp_path: Path) -> None:
    assert main(environment(tmp_path, EFACE_MODEL="arcface")) == 2


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(environment(tmp_path / "file/cache")) == 1
    assert "cannot be written" in capsys.readouterr().err


def stamped(file: Path, **made_of: str) -> Path:
    model = rebuilt(DLIB_FILE)
    onnx.helper.set_model_props(model, made_of)
    onnx.save(model, file)
    return file


def test_a_network_of_another_export_or_other_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"faceworker\.export"):
        networks.load(tmp_path / "none.onnx", 1)
    with pytest.raises(WeightsError, match="another version"):
        networks.load(stamped(tmp_path / "old.onnx"), 1)
    current = stamped(tmp_path / "current.onnx", **{FORMAT_KEY: EXPORT_FORMAT, WEIGHTS_KEY: "a" * 64})
    assert networks.load(current, 1, "A" * 64)
    with pytest.raises(WeightsError, match="was made of weights"):
        networks.load(current, 1, "b" * 64)
    current.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        networks.load(current, 1)


def test_landmarks_that_are_missing_are_told(exported_cache: Path, tmp_path: Path) -> None:
    for file in exported_cache.glob("*.onnx"):
        (tmp_path / file.name).symlink_to(file)
    with pytest.raises(WeightsError, match="landmarks cannot be loaded"):
        build.extractor(Model.DLIB, RecogniserOptions(1, 10**6, NO_SERVER, None, tmp_path))


@pytest.mark.parametrize(
    "content", [b"", DLIB_FILE[:300], DLIB_FILE[:345], DLIB_FILE[: 10**6], DLIB_FILE[:-1000], DLIB_FILE + b"con_4"]
)
def test_a_cut_or_longer_file_of_dlib_s_is_refused(content: bytes) -> None:
    with pytest.raises(WeightsError, match="dlib's"):
        rebuilt(content)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_files_of_dlib_s_are_a_network_or_refused(noise: bytes, place: int) -> None:
    damaged = DLIB_FILE[:place] + noise + DLIB_FILE[place + len(noise) : 10**6]
    with pytest.raises(WeightsError):
        rebuilt(damaged)
