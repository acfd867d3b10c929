"""From this repository to a running deployment in an AWS account: images, stacks, checks, removal."""
