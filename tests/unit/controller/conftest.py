"""How many examples the property tests try: a fixed budget, or as many as FUZZ says."""

import os

from hypothesis import settings

# Shared machines stall for seconds: how long an example takes says nothing.
settings.register_profile("budget", max_examples=150, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ") or 0) or 60, deadline=None)
settings.load_profile("fuzz" if os.environ.get("FUZZ") else "budget")
