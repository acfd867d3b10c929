"""The ONNX engine against the reference: facenet-pytorch and dlib on the same pictures.

`python tools/parity.py` does the same over many more, with FaceNet beside dlib.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import parity
import pytest
from facecore.settings import Model
from faceworker import build
from faceworker.recogniser import RecogniserOptions
from PIL import Image
from support.photographs import photographs, variations

VARIATIONS = 25


@pytest.fixture(scope="session")
def options(exported_cache: Path) -> RecogniserOptions:
    return RecogniserOptions(2, 40_000_000, "http://127.0.0.1:9/", None, exported_cache)


@pytest.mark.parametrize("what", ["photographs", "variations"])
def test_boxes_landmarks_and_embeddings_agree(options: RecogniserOptions, what: str) -> None:
    pictures = photographs()
    some = list(pictures.items()) if what == "photographs" else list(variations(pictures, VARIATIONS, seed=4))
    worst = parity.compare(some, [Model.DLIB], options)
    assert worst.pictures == len(some)
    assert worst.faces >= worst.pictures // 2
    assert worst.miscounted == 0
    assert worst.box_px < 0.5
    assert worst.landmark_px < 0.5
    assert worst.cosine >= 0.9999


@pytest.mark.parametrize("size", [(1, 1), (19, 400), (400, 19), (20, 20), (21, 300)])
def test_small_pictures_have_no_face_and_raise_nothing(options: RecogniserOptions, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    assert build.extractor(Model.DLIB, options)._detector.detect(Image.fromarray(pixels)) == []


def test_the_default_engine_imports_no_torch(exported_cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from faceworker import build; "
        "from faceworker.recogniser import RecogniserOptions; "
        f"o = RecogniserOptions(1, 10**7, '', None, Path({str(exported_cache)!r})); "
        "build.extractor('dlib-resnet-v1', o); import faceworker.main, faceworker.enrol.__main__; "
        "print([m for m in ('torch', 'torchvision', 'facenet_pytorch', 'onnx', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
