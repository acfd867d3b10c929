"""What stops a deployment."""

from facecore.errors import FaceError


class DeployError(FaceError):
    """A deployment cannot go on; the message says what happened, to what, and what to do."""
