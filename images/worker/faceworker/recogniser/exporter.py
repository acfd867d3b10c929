"""Makes exported networks where they are missing or of other weights; imports torch only for what has to be made."""

from __future__ import annotations

import functools
import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import onnx
from facecore.errors import WeightsError

from faceworker.recogniser import dlib_data
from faceworker.recogniser.exported import (
    EXPORT_FORMAT,
    FORMAT_KEY,
    FP32,
    INT8,
    OUTPUT,
    PROPOSAL,
    REFINEMENT,
    WEIGHTS_KEY,
    ExportedNetworks,
)
from faceworker.recogniser.factory import RecogniserOptions
from faceworker.recogniser.models import DLIB, FACENET
from faceworker.recogniser.weights import WeightsSource

_MTCNN_FILES = {PROPOSAL: "pnet.pt", REFINEMENT: "rnet.pt", OUTPUT: "onet.pt"}


class Exporter:
    """Fills one cache folder."""

    def __init__(self, options: RecogniserOptions) -> None:
        self.made: list[str] = []
        """Names of the files that were made, and not there already."""
        self._options = options
        self._files = ExportedNetworks(options.cache_dir, options.weights_url)

    def detector(self) -> None:
        """MTCNN's three networks; raises WeightsError."""
        for stage, name in _MTCNN_FILES.items():
            weights = _sha256(_mtcnn_weights(name))
            make = functools.partial(_torch_detector, stage)
            self._network(self._files.detector(stage), weights, make)

    def dlib(self) -> None:
        """dlib's network, and its landmarks beside it; raises WeightsError."""
        from faceworker.recogniser import dlib_export

        source = dlib_data.network_file()
        self._copy(dlib_data.landmarks_file(), self._files.landmarks)
        self._network(
            self._files.embedder(DLIB, FP32),
            _sha256(source),
            lambda: dlib_export.network(source.read_bytes()).SerializeToString(),
        )
        self._int8(DLIB)

    def facenet(self) -> None:
        """FaceNet's network, whose weights are fetched where they are not in the cache; raises WeightsError."""
        source = WeightsSource(self._options.weights_url, self._options.weights_sha256, self._options.cache_dir)
        source.fetch()
        self._network(
            self._files.embedder(FACENET, FP32),
            _sha256(source.path),
            lambda: _torch_facenet(source),
        )
        self._int8(FACENET)

    def _int8(self, model: str) -> None:
        """The int8 form of a network that is there in fp32."""
        source, target = self._files.embedder(model, FP32), self._files.embedder(model, INT8)
        weights = _metadata(source)[WEIGHTS_KEY]
        if self._is_there(target, weights):
            return
        from faceworker.recogniser import calibration, quantisation

        with self._replacing(target) as part:
            quantisation.quantised(source, calibration.crops(model, self._files), part)
            _stamp(part, onnx.load(part), weights)

    def _network(self, target: Path, weights_sha256: str, make: Callable[[], bytes]) -> None:
        if self._is_there(target, weights_sha256):
            return
        with self._replacing(target) as part:
            _stamp(part, onnx.load_from_string(make()), weights_sha256)

    def _copy(self, source: Path, target: Path) -> None:
        if target.exists() and _sha256(target) == _sha256(source):
            return
        with self._replacing(target) as part:
            shutil.copyfile(source, part)

    def _is_there(self, target: Path, weights_sha256: str) -> bool:
        return target.exists() and _metadata(target) == {WEIGHTS_KEY: weights_sha256, FORMAT_KEY: EXPORT_FORMAT}

    @contextmanager
    def _replacing(self, target: Path) -> Iterator[Path]:
        """A file to write, which takes the target's place at once: others see the whole file or none."""
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield part
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise WeightsError(f"{target} cannot be written: {error}") from error
        self.made.append(target.name)


def _torch_detector(stage: str) -> bytes:
    from faceworker.recogniser import torch_export

    return torch_export.detector(stage)


def _torch_facenet(source: WeightsSource) -> bytes:
    from faceworker.recogniser import torch_export

    return torch_export.facenet(source.state())


def _mtcnn_weights(name: str) -> Path:
    # Looking a package up imports nothing of it.
    package = find_spec("facenet_pytorch")
    if package is None or package.origin is None:
        raise WeightsError(
            "facenet-pytorch, which has MTCNN's weights, is not installed: install the extra named export"
        )
    return Path(package.origin).parent / "data" / name


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _metadata(network: Path) -> dict[str, str]:
    """What the file says of itself; nothing where it is no network."""
    try:
        model = onnx.load(network, load_external_data=False)
    # protobuf's own exception, which is no subclass of a built-in one; a new export replaces the file.
    except Exception:
        return {}
    return {entry.key: entry.value for entry in model.metadata_props if entry.key in (WEIGHTS_KEY, FORMAT_KEY)}


def _stamp(target: Path, model: onnx.ModelProto, weights_sha256: str) -> None:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {WEIGHTS_KEY: weights_sha256, FORMAT_KEY: EXPORT_FORMAT})
    onnx.save(model, target)
