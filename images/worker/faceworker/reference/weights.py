"""The weights of the originals: in their packages, or fetched once, kept in a cache and checked.

Nothing here imports the packages: torch takes seconds.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from facecore.errors import WeightsError
from facecore.logs import get_logger
from facecore.settings import Model

from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.models import Packaged, spec

if TYPE_CHECKING:
    import torch

# Under the 94 MB that the tensors of InceptionResnetV1 take without the classifier.
MIN_BYTES = 90_000_000
# Over the 112 MB of the published file.
MAX_BYTES = 150_000_000
# Short: with `auto`, `make up` waits for it on a machine without a way to the Internet.
CONNECT_TIMEOUT_S = 5
SILENCE_TIMEOUT_S = 10
DOWNLOAD_LIMIT_S = 900
_MAX_REDIRECTS = 5
_CHUNK_BYTES = 1024 * 1024
# In the published file, for its 8,631 training classes; embeddings do not need it.
_CLASSIFIER = ("logits.weight", "logits.bias")

_log = get_logger(__name__)


def located(model: str, options: RecogniserOptions) -> Path:
    """The file with the weights of `model`, fetched if they are in no package; raises WeightsError."""
    if (packed := spec(model).weights) is not None:
        return packaged(packed)
    return WeightsSource(options).fetch()


def packaged(wanted: Packaged) -> Path:
    """A file of an installed package; raises WeightsError."""
    # The package is only looked up. Importing face_recognition_models takes pkg_resources, which current setuptools
    # no longer has.
    package = find_spec(wanted.package)
    if package is None or not package.submodule_search_locations:
        raise WeightsError(
            f"the package {wanted.package}, which has weights, is not installed: install the extra export"
        )
    path = Path(package.submodule_search_locations[0]) / wanted.file
    if not path.exists():
        raise WeightsError(f"the package {wanted.package} has no {wanted.file}: install it again")
    return path


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Where FaceNet's weights are, and where they are kept."""

    options: RecogniserOptions
    min_bytes: int = MIN_BYTES
    max_bytes: int = MAX_BYTES

    @property
    def path(self) -> Path:
        """The cached file: another URL gets another one."""
        return self.options.cached(Model.FACENET, ".pt")

    def state(self) -> dict[str, torch.Tensor]:
        """The tensors of InceptionResnetV1 by name, from the cache or fetched into it.

        Raises WeightsError if they cannot be fetched, or are not what they should be.
        """
        try:
            return self._checked(self.path) if self.path.exists() else self._fetched()
        except OSError as error:
            raise WeightsError(f"the weights cannot be kept in {self.options.cache_dir}: {error}") from error

    def fetch(self) -> Path:
        """The weights' file, fetched if it is not in the cache; raises WeightsError as `state` does.

        Of a file that is there already, size and hash are checked, and the tensors only when they are read.
        """
        try:
            if not self.path.exists():
                self._fetched()
            self._check_file(self.path)
        except OSError as error:
            raise WeightsError(f"the weights cannot be kept in {self.options.cache_dir}: {error}") from error
        return self.path

    def _fetched(self) -> dict[str, torch.Tensor]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.part")
        try:
            try:
                self._download(part)
            except requests.RequestException as error:
                url = self.options.weights_url
                raise WeightsError(f"{url} cannot be fetched ({type(error).__name__})") from error
            state = self._checked(part)
            # Atomic: another process sees the whole file or none.
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        return state

    def _download(self, target: Path) -> None:
        url = self.options.weights_url
        _log.info("weights_download_started", url=url)
        # requests' own timeouts are for one silence each: a server that sends byte by byte would never run into them.
        deadline_s = time.monotonic() + DOWNLOAD_LIMIT_S
        size_bytes = 0
        with requests.Session() as session, target.open("wb") as content:
            session.max_redirects = _MAX_REDIRECTS
            timeout_s = (CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S)
            with session.get(url, stream=True, timeout=timeout_s) as answer:
                answer.raise_for_status()
                if url.startswith("https:") and not answer.url.startswith("https:"):
                    raise WeightsError(f"{url} redirects to {answer.url}, which is not encrypted")
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    size_bytes += len(chunk)
                    if size_bytes > self.max_bytes:
                        raise WeightsError(f"{url} sends over {self.max_bytes} bytes")
                    if time.monotonic() > deadline_s:
                        raise WeightsError(f"{url} took over {DOWNLOAD_LIMIT_S} s to send {size_bytes} bytes")
                    content.write(chunk)
        _log.info("weights_download_finished", url=url, size_bytes=size_bytes)

    def _checked(self, file: Path) -> dict[str, torch.Tensor]:
        try:
            self._check_file(file)
            return _checked_tensors(file)
        except WeightsError as error:
            is_cached, url = file == self.path, self.options.weights_url
            hint = f"delete {file} to fetch it again" if is_cached else f"they came from {url}"
            raise WeightsError(f"the weights of {Model.FACENET} are not usable: {error}; {hint}") from error

    def _check_file(self, file: Path) -> None:
        size_bytes = file.stat().st_size
        if not self.min_bytes <= size_bytes <= self.max_bytes:
            raise WeightsError(f"they take {size_bytes} bytes, expected {self.min_bytes} to {self.max_bytes}")
        if (expected := self.options.weights_sha256) is None:
            return
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != expected.lower():
            raise WeightsError(f"their SHA-256 is {digest}, expected {expected.lower()}")


def _checked_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors that the network takes, each there with its shape and type and finite numbers."""
    import torch

    from faceworker.reference.facenet import facenet_pytorch

    try:
        # weights_only: nothing but tensors and plain containers is built, no pickled code runs.
        state = torch.load(file, map_location="cpu", weights_only=True)
    # torch raises nearly every built-in error for a damaged file.
    except Exception as error:
        reason = str(error).partition("\n")[0][:200]
        raise WeightsError(f"they cannot be read: {type(error).__name__}: {reason}") from error
    if not (isinstance(state, dict) and all(isinstance(tensor, torch.Tensor) for tensor in state.values())):
        raise WeightsError("they are not a state dict: names with their tensors")
    # The meta device gives names and shapes, and takes no memory.
    with torch.device("meta"):
        expected = dict(facenet_pytorch.InceptionResnetV1().state_dict())
    tensors = {name: tensor for name, tensor in state.items() if name not in _CLASSIFIER}
    # Files of before PyTorch 0.4.1 do not have these counters, and inference does not read them.
    counters = {name: tensor for name, tensor in expected.items() if name.endswith(".num_batches_tracked")}
    tensors = {name: torch.zeros((), dtype=torch.int64) for name in counters} | tensors
    if different := sorted(map(str, tensors.keys() ^ expected.keys())):
        raise WeightsError(f"{len(different)} names are missing or too many, such as {different[0][:80]}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise WeightsError(
                f"{name} is {tensor.dtype} {list(tensor.shape)}, "
                f"expected {expected[name].dtype} {list(expected[name].shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} holds numbers that are not finite")
    return tensors
