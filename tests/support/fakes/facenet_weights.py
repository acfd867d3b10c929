"""FaceNet's weights in the published format, with random numbers from a seed: the real ones are a download."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from faceworker.reference.facenet import facenet_pytorch

from support.fakes.file_server import serving

CLASSES = 8631
"""Of the training set, which the published file's classifier is for."""


@cache
def published() -> bytes:
    """A file like the published one: the old format, with the classifier of the training set.

    The batch norms' statistics are those of the network on noise, as training would leave them: with a new network's
    own, numbers vanish on the way and every face gets nearly the same embedding.
    """
    torch.manual_seed(1)
    network = facenet_pytorch.InceptionResnetV1(classify=True, num_classes=CLASSES).train()
    with torch.no_grad():
        for _ in range(8):
            network(torch.randn(4, 3, 160, 160))
    target = io.BytesIO()
    torch.save(network.state_dict(), target, _use_new_zipfile_serialization=False)
    return target.getvalue()


@contextmanager
def served() -> Iterator[str]:
    """URL of a server that gives the weights while the block runs."""
    with serving(weights=published()) as server:
        yield f"{server.url}/weights"
