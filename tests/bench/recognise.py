"""What recognition costs: facenet-pytorch as a class project uses it, beside the engines, in one run.

Each is a process of its own, warm, from an image's bytes to the name, with crops of 160 px; crops of 240 px are
measured beside it. Prints a table with ratios, writes build/bench/recognise.json and draws build/bench/recognise.png.
FaceNet's weights come from EFACE_WEIGHTS_URL if that is set, else they are random: the figures do not depend on them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).parents[2]
SIDES_PX = (64, 640, 1920)
ROUNDS = dict(zip(SIDES_PX, map(int, os.environ.get("BENCH_ROUNDS", "14 6 3").split()), strict=True))
"""Turns of each contender at each of the photographs, by its side; a turn of warm-up comes before."""
WARM_UP = 1
IN_A_TURN = 4
"""How often a photograph is recognised in a turn. The first does not count: the others' turns took the caches."""
STARTS = 3
"""Of which the median counts."""
PHOTOGRAPHS = ("queries/obama2.jpg", "gallery/Joe Biden/biden.jpg", "queries/astronaut.jpg")
CONTENDERS = ("reference", "torch", "onnx-fp32", "onnx-int8")
GALLERY_SIZE = 90
Recognise = Callable[[bytes], str | None]


class Contender:
    """One way to recognise, in a process of its own that waits for its turns."""

    def __init__(self, name: str, crop_px: int) -> None:
        self._command = [sys.executable, __file__, name, str(crop_px)]
        starts_s = [self._start()]
        for _ in range(STARTS - 1):
            self._end()
            starts_s.append(self._start())
        self._start_s = statistics.median(starts_s)
        self.times_ms: dict[int, list[float]] = {side: [] for side in SIDES_PX}
        self.cpu_ms: dict[int, list[float]] = {side: [] for side in SIDES_PX}

    def _start(self) -> float:
        """Starts the process; returns the seconds until its first result."""
        start = time.monotonic()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "first result"
        return time.monotonic() - start

    def recognise(self, side: int, photograph: int, *, counts: bool) -> None:
        """One turn at a photograph; its times are kept where it `counts`."""
        self._ask(f"{side} {photograph}")
        times_ms, cpu_ms = json.loads(self._answer())
        if counts:
            self.times_ms[side] += times_ms[1:]
            self.cpu_ms[side] += cpu_ms[1:]

    def figures(self) -> dict[str, Any]:
        """Ends the process."""
        rss_mib = self._end()
        p95_ms = {str(side): round(statistics.quantiles(times, n=20)[18], 1) for side, times in self.times_ms.items()}
        return {
            "p50_ms": _medians(self.times_ms),
            "p95_ms": p95_ms,
            "cpu_p50_ms": _medians(self.cpu_ms),
            "start_s": round(self._start_s, 2),
            "rss_mib": rss_mib,
        }

    def _end(self) -> int:
        """Ends the process; returns its resident memory in MiB."""
        self._ask("end")
        rss_mib = int(self._answer())
        self._process.wait()
        return rss_mib

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _medians(times: dict[int, list[float]]) -> dict[str, float]:
    return {str(side): round(statistics.median(some), 1) for side, some in times.items()}


def measured(crop_px: int) -> dict[str, dict[str, Any]]:
    """The figures of all contenders, who take turns at each photograph: what else the machine does hits all alike."""
    contenders = {name: Contender(name, crop_px) for name in CONTENDERS}
    for side in SIDES_PX:
        for number in tqdm(range(ROUNDS[side] + WARM_UP), desc=f"{side} px, crop {crop_px} px", leave=False):
            for photograph in range(len(PHOTOGRAPHS)):
                for contender in contenders.values():
                    contender.recognise(side, photograph, counts=number >= WARM_UP)
    return {name: contender.figures() for name, contender in contenders.items()}


def run(contender: str, crop_px: int) -> None:
    """A contender's process: recognises what it is asked to."""
    recognise = _reference(crop_px) if contender == "reference" else _engine(contender, crop_px)
    folder = Path(os.environ["BENCH_FOLDER"])
    recognise((folder / f"0-{SIDES_PX[0]}.jpg").read_bytes())
    print("first result", flush=True)
    while (asked := sys.stdin.readline().strip()) != "end":
        side, photograph = asked.split()
        content = (folder / f"{photograph}-{side}.jpg").read_bytes()
        times_ms, cpu_ms = [], []
        for _ in range(IN_A_TURN):
            start, cpu_start = time.perf_counter(), time.process_time()
            recognise(content)
            times_ms.append((time.perf_counter() - start) * 1e3)
            cpu_ms.append((time.process_time() - cpu_start) * 1e3)
        print(json.dumps((times_ms, cpu_ms)), flush=True)
    print(round(psutil.Process().memory_info().rss / 2**20), flush=True)


def _reference(crop_px: int) -> Recognise:
    """As its own examples and the projects that follow them do it: eager, one photograph after another."""
    import torch
    from faceworker.reference.facenet import facenet_pytorch

    mtcnn = facenet_pytorch.MTCNN(image_size=crop_px, margin=0, min_face_size=20)
    network = facenet_pytorch.InceptionResnetV1(classify=True, num_classes=8631)
    network.load_state_dict(torch.load(os.environ["BENCH_WEIGHTS"], weights_only=True))
    network.classify = False
    network.eval()
    embeddings = [torch.from_numpy(row) for row in _embeddings()]

    def recognise(content: bytes) -> str:
        face, _probability = mtcnn(Image.open(BytesIO(content)).convert("RGB"), return_prob=True)
        embedding = network(face.unsqueeze(0)).detach()
        distances = [torch.dist(embedding, reference).item() for reference in embeddings]
        return f"subject {distances.index(min(distances))}"

    return recognise


def _engine(contender: str, crop_px: int) -> Recognise:
    from facecore.settings import load
    from faceworker import build
    from faceworker.recogniser.gallery import Gallery
    from faceworker.recogniser.models import Model
    from faceworker.settings import WorkerSettings

    engine, _, precision = contender.partition("-")
    environment = {"EFACE_ID": "bench", "EFACE_ENGINE": engine, "EFACE_PRECISION": precision or "fp32"}
    options = load(WorkerSettings, dict(os.environ) | environment).options
    names = tuple(f"subject {i}" for i in range(GALLERY_SIZE))
    gallery = Gallery(_embeddings(), names, Model.FACENET, crop_px, 0, None, datetime.now(UTC))
    recogniser = build.recogniser(Model.FACENET, gallery, options)
    return lambda content: recogniser.recognise(content).subject


def _embeddings() -> np.ndarray:
    vectors = np.random.default_rng(1).normal(size=(GALLERY_SIZE, 512))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _photographs(folder: Path) -> None:
    """Square pictures with the face in the middle half, at each size."""
    from faceworker.recogniser import RecogniserOptions
    from faceworker.recogniser.mtcnn import Detector

    detector = Detector(RecogniserOptions(1, 10**8, "", None, Path(os.environ["EFACE_CACHE_DIR"])))
    for i, name in enumerate(PHOTOGRAPHS):
        picture = Image.open(ROOT / "tests/faces" / name).convert("RGB")
        face = detector.detect(picture)[0]
        x, y, reach = (face.left + face.right) / 2, (face.top + face.bottom) / 2, face.bottom - face.top
        square = picture.crop((round(x - reach), round(y - reach), round(x + reach), round(y + reach)))
        for side in SIDES_PX:
            square.resize((side, side), Image.Resampling.LANCZOS).save(folder / f"{i}-{side}.jpg", quality=92)


def _prepare(folder: Path) -> None:
    from faceworker.export.__main__ import main as export
    from support.fakes.facenet_weights import published, served

    os.environ["EFACE_MODEL"] = "facenet-vggface2"
    os.environ.setdefault("EFACE_CACHE_DIR", str(folder / "cache"))
    if "EFACE_WEIGHTS_URL" in os.environ:
        assert export(os.environ) == 0
        from facecore.settings import load
        from faceworker.reference.weights import WeightsSource
        from faceworker.settings import WorkerSettings

        options = load(WorkerSettings, {"EFACE_ID": "bench", **os.environ}).options
        os.environ["BENCH_WEIGHTS"] = str(WeightsSource(options).path)
    else:
        with served() as url:
            os.environ["EFACE_WEIGHTS_URL"] = url
            assert export(os.environ) == 0
        os.environ["BENCH_WEIGHTS"] = str(folder / "weights.pt")
        Path(os.environ["BENCH_WEIGHTS"]).write_bytes(published())
    os.environ["BENCH_FOLDER"] = str(folder)
    _photographs(folder)


def _table(results: dict[str, Any]) -> None:
    print(f"{'':12}{'crop':>6}" + "".join(f"{side:>22} px" for side in SIDES_PX) + f"{'start':>9}{'memory':>11}")
    print(f"{'':18}" + f"{'p50 ms  p95 ms  ratio':>25}" * 3)
    for name, figures in results.items():
        for suffix, crop in (("", 160), ("_240", 240)):
            reference = results["reference"][f"p50_ms{suffix}"]
            cells = "".join(
                f"{figures[f'p50_ms{suffix}'][side]:>10.1f}{figures[f'p95_ms{suffix}'][side]:>8.1f}"
                f"{reference[side] / figures[f'p50_ms{suffix}'][side]:>6.1f}x"
                for side in map(str, SIDES_PX)
            )
            rest = f"{figures['start_s']:>7.2f} s{figures['rss_mib']:>7} MiB" if not suffix else ""
            print(f"{name:12}{crop:>6}{cells}{rest}")


def _plot(results: dict[str, Any], target: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    width = 0.8 / len(results)
    for i, (name, figures) in enumerate(results.items()):
        heights = [figures["p50_ms"][str(side)] for side in SIDES_PX]
        tails = [figures["p95_ms"][str(side)] - height for side, height in zip(SIDES_PX, heights, strict=True)]
        places = np.arange(len(heights)) + i * width
        bars = axes.bar(places, heights, width, yerr=[[0] * len(tails), tails], label=name, capsize=3)
        axes.bar_label(bars, fmt="%.0f", label_type="center", color="white")
    middles = np.arange(len(SIDES_PX)) + width * (len(results) - 1) / 2
    axes.set_xticks(middles, [f"{side} px" for side in SIDES_PX])
    axes.set(yscale="log", ylabel="ms per photograph (bar p50, line p95)")
    axes.set_title("From bytes to result, FaceNet, crop 160 px")
    axes.legend()
    figure.savefig(target, dpi=120)


def main() -> None:
    """Measures all contenders."""
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        results = measured(160)
        for name, figures in measured(240).items():
            results[name] |= {f"{key}_240": figures[key] for key in ("p50_ms", "p95_ms", "cpu_p50_ms")}
    target = ROOT / "build/bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "recognise.json").write_text(json.dumps(results, indent=2) + "\n")
    _table(results)
    _plot(results, target / "recognise.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1], int(sys.argv[2]))
    else:
        main()
