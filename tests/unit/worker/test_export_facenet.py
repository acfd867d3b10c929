"""The rewritten networks of the detector: the same numbers as facenet-pytorch's own."""

import numpy as np
import pytest
import torch
from faceworker.export import facenet
from faceworker.recogniser.mtcnn import OUTPUT, PROPOSAL, REFINEMENT
from faceworker.recogniser.networks import onnxruntime
from faceworker.reference.facenet import facenet_pytorch


def scores_of_both(stage: str, side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """The scores for random crops, by facenet-pytorch and by the exported network."""
    originals = facenet_pytorch.models.mtcnn
    network = {PROPOSAL: originals.PNet, REFINEMENT: originals.RNet, OUTPUT: originals.ONet}[stage]().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (64, side_px, side_px, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network((torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127.5) * 0.0078125)[-1].numpy()
    session = onnxruntime.InferenceSession(facenet.detector(stage), providers=["CPUExecutionProvider"])
    return expected[:, 1:], session.run(None, {"pixels": pixels})[-1]


@pytest.mark.parametrize(("stage", "side_px"), [(PROPOSAL, 40), (REFINEMENT, 24), (OUTPUT, 48)])
def test_scores_agree(stage: str, side_px: int) -> None:
    expected, found = scores_of_both(stage, side_px)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


def test_scores_that_are_nearly_1_keep_their_last_bits() -> None:
    """They decide which of two boxes stays: a sigmoid that rounds otherwise moved boxes by 8 px."""
    logits = torch.zeros(2000, 2)
    logits[:, 1] = torch.linspace(4, 20, 2000)
    target = facenet._file(facenet._FaceScore().eval(), logits, {0: "n"})
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"pixels": logits.numpy()})
    assert np.abs(found[:, 0] - torch.softmax(logits, dim=1)[:, 1].numpy()).max() <= np.finfo(np.float32).eps / 2
