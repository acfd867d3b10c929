"""Imports what a worker with a model needs, for a process that forks workers which then share it."""

from faceworker.recogniser import detector, dlib_resnet, facenet, torchvision_ops

torchvision_ops.ensure()

import facenet_pytorch  # noqa: E402  it needs torchvision's operators

SHARED = (detector, dlib_resnet, facenet, facenet_pytorch)
