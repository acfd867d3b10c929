"""Imports what a worker with the torch engine needs, for a process that forks workers which then share it."""

from faceworker.recogniser import dlib_resnet, torch_detector, torch_facenet, torchvision_ops

torchvision_ops.ensure()

import facenet_pytorch  # noqa: E402  it needs torchvision's operators

SHARED = (dlib_resnet, facenet_pytorch, torch_detector, torch_facenet)
