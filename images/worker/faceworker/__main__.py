"""Runs the worker: `python -m faceworker`."""

import logging
import os
import sys

from faceworker.main import main

if __name__ == "__main__":
    status = main(os.environ)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing is left to do, and taking torch apart module by module takes longer than recognising a face.
    os._exit(status)
