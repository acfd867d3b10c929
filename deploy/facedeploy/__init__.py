"""From this repository to a running deployment in an AWS account: images, stacks, checks, removal."""

from facecore.errors import FaceError


class DeployError(FaceError):
    """A deployment cannot go on; the message says what happened, to what, and what to do."""
