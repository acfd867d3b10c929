"""facenet-pytorch as the reference: the stand-in for torchvision's non-maximum suppression, and bounded memory."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from faceworker.recogniser import RecogniserOptions
from faceworker.reference import facenet
from hypothesis import given
from hypothesis import strategies as st

COORDINATE = st.integers(0, 60)
BOXES = st.lists(st.tuples(COORDINATE, COORDINATE, st.integers(1, 40), st.integers(1, 40)), max_size=20)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def by_definition(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(overlap(boxes[index], boxes[best]) <= threshold for best in kept):
            kept.append(int(index))
    return kept


@given(BOXES, st.sampled_from([0.3, 0.5, 0.7]), st.randoms(use_true_random=False))
def test_nms_is_what_its_definition_says(boxes: list[tuple[int, ...]], threshold: float, random: object) -> None:
    array = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=np.float32).reshape(-1, 4)
    scores = np.array([random.random() for _ in boxes], dtype=np.float32)
    kept = facenet.nms(torch.from_numpy(array), torch.from_numpy(scores), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == by_definition(array, scores, threshold)


def test_torchvision_has_a_working_nms_of_its_own_or_ours() -> None:
    # After faceworker.reference.facenet: a torchvision without its operators cannot be imported before.
    from torchvision.ops import batched_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    kept = batched_nms(boxes, torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 0, 1, 0]), 0.5)
    assert kept.tolist() == [0, 2, 3]


@pytest.mark.parametrize(("given", "expected"), [(None, "64"), ("7", "7")])
def test_the_kernel_cache_is_bounded_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.setenv(facenet.KERNEL_CACHE_VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(facenet.KERNEL_CACHE_VARIABLE)
    facenet.Detector(RecogniserOptions(1, 10**6, "", None, Path("/nowhere")))
    assert os.environ[facenet.KERNEL_CACHE_VARIABLE] == expected
