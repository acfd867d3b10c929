"""The default image: it ships neither the originals nor the export, and enrols and recognises without them."""

import re
import subprocess
import sys
from pathlib import Path

from support.fakes.faces import FACES
from support.ground import ROOT

STAGES = re.split(r"^(?=FROM )", (ROOT / "images/worker/Dockerfile").read_text(), flags=re.MULTILINE)
PROGRAM = """
import os, sys
from pathlib import Path

gallery, photographs, query, *removed = sys.argv[1:]
# None instead of a module: importing it raises ModuleNotFoundError.
sys.modules |= dict.fromkeys(removed)

import faceworker.main
from faceworker.enrol import __main__ as enrol, import_gallery
from faceworker.recogniser.gallery import decode
from faceworker.settings import WorkerSettings

if enrol.main([photographs, "--output", gallery]):
    sys.exit("enrolment failed")
settings = WorkerSettings(id="test", model="auto", cache_dir=os.environ["EFACE_CACHE_DIR"])
recogniser = faceworker.main.build_recogniser(settings, decode(Path(gallery).read_bytes()))
print(recogniser.recognise(Path(query).read_bytes()).subject)
print([name for name in ("torch", "torchvision", "facenet_pytorch", "onnx", "requests") if name in sys.modules])
"""


def stage(name: str) -> str:
    return next(text for text in STAGES if text.splitlines()[0].endswith(f" AS {name}"))


def removed() -> list[str]:
    """The packages that the stage `onnx-source` removes."""
    return [path.replace("/", ".") for path in re.findall(r"/app/(faceworker/\w+)", stage("onnx-source"))]


def run(folder: Path, cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    arguments = [folder / "gallery.npz", FACES / "gallery", FACES / "queries/obama2.jpg", *removed()]
    environment = {"EFACE_CACHE_DIR": str(cache), **variables}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_originals_and_the_export_are_left_out() -> None:
    assert removed() == ["faceworker.reference", "faceworker.export"]
    assert "COPY --from=onnx-source /app /app" in stage("onnx")
    assert "COPY --from=source" not in stage("onnx")


def test_enrolment_and_recognition_work_without_them_and_import_no_torch(tmp_path: Path, exported_cache: Path) -> None:
    ended = run(tmp_path, exported_cache)
    assert ended.stdout.splitlines()[-2:] == ["Barack Obama", "[]"], ended.stderr


def test_the_torch_engine_is_refused_with_what_to_do(tmp_path: Path, exported_cache: Path) -> None:
    ended = run(tmp_path, exported_cache, EFACE_ENGINE="torch")
    assert ended.returncode
    assert "EFACE_ENGINE=torch is not installed here" in ended.stderr
    assert "use the image of this engine" in ended.stderr
