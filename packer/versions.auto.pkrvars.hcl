# All versions that go into the machine image. Packages of Debian are those of its release when the image is built.

# Debian 12, amd64, as the Debian project publishes it: https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm
source_ami_name  = "debian-12-amd64-*"
source_ami_owner = "136693071363"

# Written by packer/pin-ssm-agent, which the first `make ami` runs: commit what it writes.
ssm_agent_version = ""
ssm_agent_sha256  = ""
