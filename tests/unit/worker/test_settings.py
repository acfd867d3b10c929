"""The worker's settings: what is read, and within which bounds."""

import os
from pathlib import Path

import pytest
from facecore.errors import SettingsError
from facecore.settings import Model, load
from faceworker.recogniser import processors
from faceworker.recogniser.models import Engine, Precision
from faceworker.settings import RecogniserSettings, WorkerSettings


def read(**environ: str) -> WorkerSettings:
    return load(WorkerSettings, {"EFACE_ID": "test"} | environ)


def test_the_defaults_are_those_of_aws() -> None:
    settings = read()
    assert settings.model is Model.FACENET
    assert (settings.idle_s, settings.visibility_s, settings.metrics_port) == (5, 6, 0)
    assert settings.max_upload_bytes == 10 * 1024 * 1024
    assert settings.instance_id


def test_everything_can_be_set() -> None:
    settings = read(
        EFACE_MODEL="auto",
        EFACE_INSTANCE_ID="i-0abc",
        EFACE_IDLE_S="20",
        EFACE_GALLERY_REFRESH_S="0.5",
        EFACE_CACHE_DIR="cache",
    )
    assert (settings.model, settings.instance_id, settings.idle_s) == (Model.AUTO, "i-0abc", 20)
    assert (settings.gallery_refresh_s, settings.cache_dir) == (0.5, Path("cache"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EFACE_MODEL", "eigenfaces"),
        ("EFACE_ENGINE", "tensorflow"),
        ("EFACE_PRECISION", "fp16"),
        ("EFACE_IDLE_S", "0"),
        ("EFACE_IDLE_S", "21"),
        ("EFACE_VISIBILITY_S", "1"),
        ("EFACE_VISIBILITY_S", "3601"),
        ("EFACE_REQUEST_LIMIT_S", "0"),
        ("EFACE_INSTANCE_ID", "i 1"),
        ("EFACE_INSTANCE_ID", "i" * 65),
        ("EFACE_MAX_UPLOAD_BYTES", "0"),
        ("EFACE_MAX_PIXELS", "0"),
        ("EFACE_MAX_PIXELS", "90000000"),
        ("EFACE_THREADS", "-1"),
        ("EFACE_GALLERY_REFRESH_S", "nan"),
        ("EFACE_WEIGHTS_URL", "weights.pt"),
        ("EFACE_WEIGHTS_URL", "ftp://x/"),
        ("EFACE_WEIGHTS_SHA256", "abc"),
        ("EFACE_METRICS_PORT", "65536"),
    ],
)
def test_what_is_out_of_bounds_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        read(**{variable: value})


def test_threads_are_as_many_as_told_or_as_processors_may_be_used() -> None:
    assert read(EFACE_THREADS="3").options.threads == 3
    assert read().options.threads == processors.available() <= len(os.sched_getaffinity(0))


def test_the_recogniser_gets_the_limits() -> None:
    options = read(EFACE_MAX_PIXELS="20000", EFACE_WEIGHTS_SHA256="a" * 64).options
    assert (options.max_pixels, options.weights_sha256) == (20000, "a" * 64)


def test_int8_is_for_the_onnx_engine() -> None:
    with pytest.raises(SettingsError, match="needs EFACE_ENGINE=onnx"):
        read(EFACE_ENGINE="torch", EFACE_PRECISION="int8")


def test_settings_become_options() -> None:
    options = load(RecogniserSettings, {"EFACE_ID": "local", "EFACE_THREADS": "1"}).options
    assert (options.engine, options.precision) == (Engine.ONNX, Precision.FP32)
    assert (options.threads, options.max_pixels, options.weights_sha256) == (1, 40_000_000, None)
    assert options.cache_dir.is_absolute()
