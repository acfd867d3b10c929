"""The controller: starts EC2 instances when requests wait, and reaps what should not run."""
