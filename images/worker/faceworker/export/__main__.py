"""`python -m faceworker.export` puts what the engine runs into the cache folder: at an image's build, and at `make up`.

For the engine onnx these are the exported networks, for the engine torch the weights that must be fetched. A file that
is there already, of the same weights and the same export, is not made again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import onnx
from facecore import logs
from facecore.errors import FaceError, SettingsError, WeightsError
from facecore.settings import Model, load

from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.models import SPECS, Engine, Packaged, Precision, spec
from faceworker.recogniser.mtcnn import OUTPUT, PROPOSAL, REFINEMENT
from faceworker.recogniser.networks import EXPORT_FORMAT, FORMAT_KEY, WEIGHTS_KEY
from faceworker.reference.weights import located, packaged
from faceworker.settings import RecogniserSettings

_MTCNN_FILES = {PROPOSAL: "pnet.pt", REFINEMENT: "rnet.pt", OUTPUT: "onet.pt"}


def main(environ: Mapping[str, str]) -> int:
    """Fills the cache for EFACE_MODEL, and returns the exit status: 0 done, 1 a failure, 2 wrong settings.

    With `auto`, weights that cannot be fetched are no failure: one line says so.
    """
    try:
        # A network does not depend on the deployment.
        settings = load(RecogniserSettings, {"EFACE_ID": "any", **environ})
        logs.configure("export", "warning")
        fill(settings)
    except FaceError as error:
        sys.stderr.write(f"export: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def fill(settings: RecogniserSettings) -> None:
    """Makes or fetches what the models of the settings need; raises WeightsError."""
    if settings.model is Model.NOOP:
        sys.stdout.write(f"export: {settings.model} needs nothing\n")
        return
    exporter = Exporter(settings.options)
    if settings.engine is Engine.ONNX:
        exporter.detector()
    for model in SPECS if settings.model is Model.AUTO else [settings.model]:
        try:
            exporter.embedder(model)
        except WeightsError as error:
            # With `auto` a machine without a way to the weights still gets the models whose weights are in packages.
            if settings.model is not Model.AUTO or spec(model).weights is not None:
                raise
            sys.stderr.write(f"export: {model} IS NOT AMONG THE NETWORKS: {error}\n")
    sys.stdout.write(f"export: {', '.join(exporter.made) or 'nothing new'} in {settings.options.cache_dir}\n")


class Exporter:
    """Fills one cache folder, and imports torch only for a network that has to be made."""

    def __init__(self, options: RecogniserOptions) -> None:
        self.made: list[str] = []
        """Names of the files that were made, and not there already."""
        self._options = options

    def detector(self) -> None:
        """MTCNN's three networks; raises WeightsError."""
        for stage, name in _MTCNN_FILES.items():
            original = packaged(Packaged("facenet_pytorch", f"data/{name}"))
            target = self._options.cache_dir / f"{stage}.onnx"
            self._network(target, _sha256(original), functools.partial(_made, "facenet", "detector", stage))

    def embedder(self, model: str) -> None:
        """The network of `model` in both precisions, and the files beside it; raises WeightsError.

        Weights that are in no package are fetched if they are not in the cache. The engine torch runs those, and needs
        no more.
        """
        original = located(model, self._options)
        if self._options.engine is Engine.TORCH:
            return
        row = spec(model)
        for name, packed in row.companions.items():
            source, target = packaged(packed), self._options.cache_dir / name
            if not target.exists() or _sha256(target) != _sha256(source):
                with self._replacing(target) as part:
                    shutil.copyfile(source, part)
        fp32, int8 = (replace(self._options, precision=one).network(model) for one in (Precision.FP32, Precision.INT8))
        made_of = _sha256(original)
        self._network(fp32, made_of, functools.partial(_made, row.module, "network", self._options))
        self._network(int8, made_of, functools.partial(_made, "quantisation", "quantised", fp32, model, self._options))

    def _network(self, target: Path, weights_sha256: str, make: Callable[[], bytes]) -> None:
        stamp = {WEIGHTS_KEY: weights_sha256, FORMAT_KEY: EXPORT_FORMAT}
        try:
            there = {entry.key: entry.value for entry in onnx.load(target, load_external_data=False).metadata_props}
        # No file, or no network in it, for which protobuf's exception is no subclass of a built-in one.
        except Exception:
            there = {}
        if there == stamp:
            return
        with self._replacing(target) as part:
            network = onnx.load_from_string(make())
            del network.metadata_props[:]
            onnx.helper.set_model_props(network, stamp)
            onnx.save(network, part)

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


def _made(module: str, function: str, *arguments: object) -> bytes:
    """The network that a function of a module of this package makes; importing these modules takes seconds."""
    network: bytes = getattr(import_module(f"faceworker.export.{module}"), function)(*arguments)
    return network


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(os.environ))
