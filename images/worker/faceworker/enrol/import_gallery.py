"""`python -m faceworker.enrol.import_gallery data.pt`: a gallery of the list that facenet-pytorch projects save.

The file holds `[embeddings, names]` as torch saves them; no pickled code of it ever runs.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import pickletools
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from facecore import logs
from facecore.errors import FaceError, GalleryError, SettingsError
from facecore.settings import AwsSettings, Model
from numpy.typing import NDArray

from faceworker.enrol import deliver, load_settings, parsed, tell
from faceworker.recogniser.gallery import MAX_EMBEDDINGS, Gallery, normalised
from faceworker.recogniser.models import spec

MAX_FILE_BYTES = 256 * 1024 * 1024
_PICKLE = re.compile(r"[^/]+/data\.pkl")
# What torch.save puts into its zip file.
_MEMBER = re.compile(r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/.*)")
# All that a list of plain tensors and names refers to; anything else is foreign code.
_TENSOR_PARTS = frozenset(
    {
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
        "torch DoubleStorage",
        "torch HalfStorage",
        "collections OrderedDict",
    }
)
# The other opcodes that call or import something.
_CODE = frozenset("INST OBJ NEWOBJ NEWOBJ_EX STACK_GLOBAL EXT1 EXT2 EXT4".split())


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Imports a file. Exit status: 0 imported, 1 a failure, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="import_gallery",
        description=f"Makes a gallery of a file that torch.save([embeddings, names]) wrote, for {Model.FACENET}.",
    )
    parser.add_argument("file", type=Path, help="data.pt")
    parser.add_argument("--crop-px", type=int, default=240, help="side of the crops it was made of (default: 240)")
    parser.add_argument("--margin-px", type=int, default=0, help="margin in those crops (default: 0)")
    parser.add_argument(
        "--threshold", type=float, help="distance above which a face is unknown (default: the nearest always matches)"
    )
    arguments = parsed(parser, argv)
    try:
        settings = load_settings(AwsSettings, environ, upload=arguments.upload)
        logs.configure("import_gallery", settings.log_level)
        embeddings, names = read(arguments.file)
        gallery = Gallery(
            embeddings=embeddings,
            names=names,
            model=Model.FACENET,
            crop_px=arguments.crop_px,
            margin_px=arguments.margin_px,
            threshold=arguments.threshold,
            created_at=datetime.now(UTC),
        )
        tell(f"imported {len(gallery.names)} embeddings of {gallery.subjects} subjects of {gallery.model}")
        deliver(gallery, arguments, settings)
    except FaceError as error:
        sys.stderr.write(f"import_gallery: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def read(file: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The L2-normalised embeddings, float32 [n, 512], and the n names of `file`.

    Raises GalleryError for a file with any pickled code beyond tensors, over 256 MiB, or of another make, and if torch
    is not installed.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise GalleryError(f"{file} is over {MAX_FILE_BYTES} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise GalleryError(f"{file} cannot be read: {error}") from error
    _refuse_code(content)
    try:
        import torch
    except ModuleNotFoundError as error:
        raise GalleryError(
            f"{file} cannot be read without torch: import it in the project's environment or in the torch image"
        ) from error
    try:
        # weights_only: torch's own reader of pickles, which builds tensors and plain containers and calls nothing.
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # torch raises nearly every built-in error for a damaged file.
    except Exception as error:
        reason = str(error).partition("\n")[0][:200]
        raise GalleryError(f"{file} cannot be read: {type(error).__name__}: {reason}") from error
    if not (isinstance(saved, list | tuple) and len(saved) == 2 and all(isinstance(part, list) for part in saved)):  # noqa: PLR2004
        raise GalleryError("the file does not hold two lists, [embeddings, names]")
    tensors, names = saved
    if not 1 <= len(tensors) <= MAX_EMBEDDINGS or len(tensors) != len(names):
        raise GalleryError(f"the file holds {len(tensors)} embeddings and {len(names)} names")
    if not all(isinstance(name, str) for name in names):
        raise GalleryError("a name in the file is not a text")
    return normalised(np.stack([_vector(tensor) for tensor in tensors])), tuple(names)


def _refuse_code(content: bytes) -> None:
    """Raises GalleryError unless `content` is torch's zip file and its pickle names nothing but parts of tensors."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if any(not _MEMBER.fullmatch(member.filename) for member in members):
                raise GalleryError("the file holds more than torch.save writes: it is not a saved list of tensors")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise GalleryError("the file is compressed, which torch.save does not do")
            programs = [archive.read(member) for member in members if _PICKLE.fullmatch(member.filename)]
        if len(programs) != 1:
            raise GalleryError(f"the file holds {len(programs)} pickles, torch.save writes one")
        for opcode, argument, _position in pickletools.genops(programs[0]):
            if opcode.name in _CODE or (opcode.name == "GLOBAL" and argument not in _TENSOR_PARTS):
                raise GalleryError(f"the file holds pickled code ({opcode.name} {argument or ''}): it is refused")
    # What zipfile and pickletools raise for hostile bytes.
    except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, LookupError, OSError, RuntimeError) as error:
        raise GalleryError(f"the file is not what torch.save has written since torch 1.6: {error}") from error


def _vector(tensor: Any) -> NDArray[np.float32]:
    import torch

    dimensions = spec(Model.FACENET).dimensions
    is_vector = isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and not tensor.is_sparse
    if not is_vector or tuple(tensor.shape) not in {(1, dimensions), (dimensions,)}:
        kind = f"{tensor.dtype} {list(tensor.shape)}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise GalleryError(f"an embedding in the file is {kind}, expected a tensor of [1, {dimensions}]")
    vector: NDArray[np.float32] = tensor.detach().reshape(dimensions).float().numpy()
    return vector


if __name__ == "__main__":
    sys.exit(main())
