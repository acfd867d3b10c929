"""A gallery of a million: the time to load it by memory map, its memory, and the time of a match.

`python tests/bench/gallery.py [EMBEDDINGS]`. Where faiss is installed, its indexes are measured beside it.
"""

import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from facecore.settings import Model
from faceworker.recogniser import processors
from faceworker.recogniser.gallery import Gallery, encode, read
from faceworker.recogniser.models import spec

ROOT = Path(__file__).parents[2]
DIMENSIONS = spec(Model.FACENET).dimensions
MATCHES = 30
BLOCK = 50_000


def embeddings(count: int) -> np.ndarray:
    """Random directions, float32 [count, 512]."""
    random = np.random.default_rng(0)
    vectors = np.empty((count, DIMENSIONS), dtype=np.float32)
    for start in range(0, count, BLOCK):
        block = random.standard_normal((min(BLOCK, count - start), DIMENSIONS), dtype=np.float32)
        vectors[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def milliseconds(query: Any, vectors: np.ndarray) -> dict[str, float]:
    """Median and least time of one query after another, each near another embedding."""
    random = np.random.default_rng(1)
    times = []
    for i in random.integers(0, len(vectors), MATCHES):
        near = vectors[i] + random.normal(scale=0.02, size=DIMENSIONS).astype(np.float32)
        start = time.perf_counter()
        query(near / np.linalg.norm(near), int(i))
        times.append((time.perf_counter() - start) * 1e3)
    return {"p50_ms": round(statistics.median(times), 1), "min_ms": round(min(times), 1)}


def measure(file: Path, count: int) -> dict[str, Any]:
    """Loads the gallery in `file` and matches against it."""
    process = psutil.Process()
    before = process.memory_info()
    start = time.perf_counter()
    with file.open("rb") as opened:
        gallery = read(opened)
    load_s = time.perf_counter() - start

    def query(vector: np.ndarray, expected: int) -> None:
        assert gallery.match(vector)[0] == f"person {expected}"

    figures = milliseconds(query, gallery.embeddings)
    after = process.memory_info()
    mapped = after.shared - before.shared
    own = after.rss - before.rss - mapped
    return figures | {
        "embeddings": count,
        "load_s": round(load_s, 2),
        "file_mib": round(file.stat().st_size / 2**20),
        "mapped_mib": round(mapped / 2**20),
        "own_mib": round(own / 2**20),
    }


def faiss_figures(vectors: np.ndarray) -> dict[str, Any]:
    """faiss's exact index, and the graph that finds nearly always the nearest."""
    try:
        import faiss
    except ModuleNotFoundError:
        return {}
    results = {}
    # A graph of a million takes an hour to build; of this many it shows how the time goes.
    some = vectors[:100_000]
    for name, index, data in (
        ("faiss-flat", faiss.IndexFlatIP(DIMENSIONS), vectors),
        ("faiss-hnsw-100k", faiss.IndexHNSWFlat(DIMENSIONS, 32, faiss.METRIC_INNER_PRODUCT), some),
    ):
        start = time.perf_counter()
        index.add(data)
        build_s = time.perf_counter() - start
        found = []

        def query(vector: np.ndarray, expected: int, index: Any = index, found: list[bool] = found) -> None:
            found.append(int(index.search(vector[None], 1)[1][0, 0]) == expected)

        results[name] = milliseconds(query, data) | {"build_s": round(build_s, 1), "recall": sum(found) / len(found)}
    return results


def main(count: int) -> None:
    """Writes and prints all figures."""
    processors.limit_numpy(processors.available())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gallery.npz"
        names = tuple(f"person {i}" for i in range(count))
        vectors = embeddings(count)
        file.write_bytes(encode(Gallery(vectors, names, Model.FACENET, 160, 0, None, datetime.now(UTC))))
        results = {"gallery": measure(file, count)} | faiss_figures(vectors)
    target = ROOT / "build/bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "gallery.json").write_text(json.dumps(results, indent=2) + "\n")
    for name, figures in results.items():
        print(name, figures)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
