# The machine image of both roles, app tier and web host: Debian with Docker, the worker's image, and units that start
# what the instance's user data asks for. docs/machine-image.md describes it.

locals {
  built_at = formatdate("YYYYMMDDhhmmss", timestamp())
  tags = {
    "Name"                      = "elastic-face"
    "elastic-face:commit"       = var.commit
    "elastic-face:worker-image" = var.worker_image
  }
  # What the build may pull: the worker's repository, where it is one of ECR.
  is_ecr         = regex_replace(var.worker_image, "^[0-9]{12}\\.dkr\\.ecr\\..*", "") == ""
  account        = element(split(".", var.worker_image), 0)
  repository     = element(split("@", join("/", slice(split("/", var.worker_image), 1, length(split("/", var.worker_image))))), 0)
  repository_arn = local.is_ecr ? "arn:aws:ecr:*:${local.account}:repository/${local.repository}" : "arn:aws:ecr:*:*:repository/none"
}

source "amazon-ebs" "worker" {
  region                      = var.region
  custom_endpoint_ec2         = var.ec2_endpoint
  skip_credential_validation  = var.ec2_endpoint != ""
  skip_metadata_api_check     = var.ec2_endpoint != ""
  ami_name                    = "elastic-face-${substr(var.commit, 0, 12)}-${local.built_at}"
  ami_description             = "Elastic Face: app tier and web host, built from ${var.commit}"
  ami_virtualization_type     = "hvm"
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_id
  associate_public_ip_address = true
  communicator                = "ssh"
  ssh_username                = "admin"
  ssh_host                    = var.ssh_host
  ssh_port                    = var.ssh_port
  ssh_timeout                 = "5m"
  # Packer's own default is RSA with SHA-1, which the SSH server of Debian 12 refuses.
  temporary_key_pair_type               = "ed25519"
  temporary_security_group_source_cidrs = var.ssh_source_cidrs
  tags                                  = local.tags
  run_tags                              = merge(local.tags, { "Name" = "elastic-face-build" })
  run_volume_tags                       = local.tags
  snapshot_tags                         = local.tags

  source_ami_filter {
    filters = {
      name                = var.source_ami_name
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.source_ami_owner]
    most_recent = true
  }

  # The volume is encrypted while the image is made, so its snapshot is too.
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = var.volume_size_gib
    volume_type           = "gp3"
    throughput            = 125
    iops                  = 3000
    encrypted             = true
    delete_on_termination = true
  }

  # The build's instance may pull the worker's image, and nothing else.
  temporary_iam_instance_profile_policy_document {
    Version = "2012-10-17"
    Statement {
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"]
      Resource = ["*"]
    }
    Statement {
      Effect   = "Allow"
      Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = [local.repository_arn]
    }
  }
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "file" {
    source      = "${path.root}/files"
    destination = "/tmp"
  }

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
    environment_vars = [
      "COMMIT=${var.commit}",
      "REGION=${var.region}",
      "SSM_AGENT_SHA256=${var.ssm_agent_sha256}",
      "SSM_AGENT_VERSION=${var.ssm_agent_version}",
      "WORKER_IMAGE=${var.worker_image}",
    ]
    scripts = [
      "${path.root}/scripts/10-packages",
      "${path.root}/scripts/20-ssm-agent",
      "${path.root}/scripts/30-elastic-face",
      "${path.root}/scripts/40-worker-image",
      "${path.root}/scripts/80-clean",
      "${path.root}/scripts/90-test",
    ]
  }

  post-processor "manifest" {
    output = "${path.root}/../build/packer-manifest.json"
    custom_data = {
      commit = var.commit
      worker = var.worker_image
    }
  }
}
