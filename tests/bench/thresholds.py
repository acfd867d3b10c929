"""At which distance two faces are one person: thresholds for false-match rates, from a folder of people.

`python tests/bench/thresholds.py FOLDER [VARIATIONS]` embeds each picture in FOLDER (`<subject>/*.jpg`) and as many
variations of it, with each model whose network is in the cache folder, in fp32 and int8. All pairs count: genuine ones
are of one subject, the others of two. Prints a table and writes build/bench/thresholds.json.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from facecore.errors import InputError, WeightsError
from facecore.settings import load
from faceworker import build
from faceworker.enrol.enrolment import SUFFIXES
from faceworker.recogniser.models import SPECS, Crop, Precision, spec
from faceworker.recogniser.pipeline import Extractor
from faceworker.settings import WorkerSettings
from support.photographs import variations
from tqdm import tqdm

ROOT = Path(__file__).parents[2]
FALSE_MATCH_RATES = (0.1, 0.01, 0.001)


def embedded(folder: Path, extractor: Extractor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings, float32 [n, dimensions], and the subjects, [n], of all pictures that show a face."""
    crop = Crop(spec(extractor.model).crop_px)
    vectors, subjects = [], []
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in SUFFIXES)
    for number, file in enumerate(tqdm(files, desc=extractor.model, leave=False)):
        picture = extractor.decode(file.read_bytes())
        some = [("", picture), *variations({"": picture}, count, seed=number)]
        for _name, variation in some:
            try:
                face = extractor.faces(variation)[0]
            except InputError:
                continue
            vectors.append(extractor.embed(variation, face, crop))
            subjects.append(file.parent.name)
    return np.array(vectors), np.array(subjects)


def rates(vectors: np.ndarray, subjects: np.ndarray) -> dict[str, Any]:
    """Thresholds by false-match rate, with the rate of genuine pairs that they match, and the best accuracy."""
    left, right = np.triu_indices(len(subjects), 1)
    distances = np.linalg.norm(vectors[left] - vectors[right], axis=1)
    same = subjects[left] == subjects[right]
    genuine, impostor = np.sort(distances[same]), np.sort(distances[~same])
    steps = np.linspace(0, 2, 2001)
    # Both kinds of pairs count alike, however many there are of each.
    matched, rejected = (
        np.searchsorted(genuine, steps, "right"),
        len(impostor) - np.searchsorted(impostor, steps, "right"),
    )
    accuracy = (matched / len(genuine) + rejected / len(impostor)) / 2
    found: dict[str, Any] = {
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "subjects": len(set(subjects)),
    }
    found |= {"best_accuracy": round(float(accuracy.max()), 4), "best_threshold": float(steps[accuracy.argmax()])}
    for rate in FALSE_MATCH_RATES:
        # The largest distance that lets at most this part of the impostors through.
        threshold = float(impostor[int(rate * len(impostor))])
        true_rate = float((genuine < threshold).mean())
        found[f"fmr_{rate:g}"] = {"threshold": round(threshold, 3), "true_match_rate": round(true_rate, 4)}
    return found


def main(folder: Path, count: int) -> None:
    """Measures what the cache folder has."""
    results = {}
    for model in SPECS:
        for precision in Precision:
            environment = {"EFACE_ID": "bench", "EFACE_MODEL": model, "EFACE_PRECISION": precision}
            try:
                extractor = build.extractor(model, load(WorkerSettings, dict(os.environ) | environment).options)
            except WeightsError as error:
                print(f"{model} {precision}: {error}")
                continue
            results[f"{model}-{precision}"] = rates(*embedded(folder, extractor, count))
            print(f"{model} {precision}: {json.dumps(results[f'{model}-{precision}'])}")
    target = ROOT / "build/bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "thresholds.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
