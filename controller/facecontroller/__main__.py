"""`python -m facecontroller`."""

import sys

from facecontroller.main import main

if __name__ == "__main__":
    sys.exit(main())
