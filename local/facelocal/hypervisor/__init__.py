"""Turns the emulated EC2's instances into real workers, as AWS's own hypervisor does."""
