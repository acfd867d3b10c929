"""A worker for the hypervisor's tests: it does what the variable EFACE_TINY says."""

import os
import signal
import sys
import time
from collections.abc import Mapping


def main(environ: Mapping[str, str]) -> int:
    """Sleeps, sleeps through SIGTERM, exits, or dies of a signal."""
    verb, _, argument = environ["EFACE_TINY"].partition(":")
    if verb == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A test that reads this line may send the signal.
    sys.stderr.write(f"tiny worker {environ['EFACE_INSTANCE_ID']} {environ['EFACE_TINY']}\n")
    sys.stderr.flush()
    if verb == "exit":
        return int(argument)
    if verb == "kill":
        os.kill(os.getpid(), int(argument))
    time.sleep(60)
    return 0
