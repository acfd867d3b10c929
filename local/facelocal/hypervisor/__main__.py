"""`python -m facelocal.hypervisor`."""

import os
import sys

from facelocal.hypervisor.main import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
