# What `packer/build` passes, and what may be passed besides. Packer 1.6.6 has no regex(): a value matches a pattern
# where nothing is left once the pattern is replaced.

variable "commit" {
  type        = string
  description = "Git commit that the image is built from, with -dirty where the tree differs from it."
  validation {
    condition     = var.commit != "" && regex_replace(var.commit, "^[0-9a-f]{40}(-dirty)?$", "") == ""
    error_message = "The commit must be 40 hexadecimal digits, with -dirty at most."
  }
}

variable "worker_image" {
  type        = string
  description = "The worker's container image, by digest; it is pulled into the machine image."
  validation {
    condition     = var.worker_image != "" && regex_replace(var.worker_image, "^[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}$", "") == ""
    error_message = "The worker's image must be named by digest: registry/repository@sha256:… ."
  }
}

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "AWS region that the image is built in and for."
  validation {
    condition     = var.region != "" && regex_replace(var.region, "^[a-z]{2}(-[a-z]+)+-[0-9]$", "") == ""
    error_message = "The region must look like us-east-1."
  }
}

variable "source_ami_name" {
  type        = string
  description = "Name pattern of the image to build upon; the newest that matches is taken."
}

variable "source_ami_owner" {
  type        = string
  description = "Account that owns the image to build upon."
  validation {
    condition     = var.source_ami_owner != "" && regex_replace(var.source_ami_owner, "^[0-9]{12}$", "") == ""
    error_message = "The owner must be an account number of 12 digits."
  }
}

variable "instance_type" {
  type        = string
  default     = "t3.medium"
  description = "EC2 instance type that the build runs on."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Subnet of the build, with a way to the internet; the default VPC's if empty."
}

variable "ssh_source_cidrs" {
  type        = list(string)
  default     = ["0.0.0.0/0"]
  description = "Addresses that may reach the build's SSH port while it lasts; it takes the build's own key alone."
}

variable "volume_size_gib" {
  type        = number
  default     = 8
  description = "Size of the boot volume in GiB."
  validation {
    condition     = var.volume_size_gib >= 8 && var.volume_size_gib <= 64
    error_message = "The boot volume must have 8 to 64 GiB."
  }
}

variable "ssm_agent_version" {
  type        = string
  description = "Version of the SSM agent; `none` leaves it out, for machines that reach no bucket of AWS."
  validation {
    condition     = var.ssm_agent_version != "" && regex_replace(var.ssm_agent_version, "^(none|[0-9]+(\\.[0-9]+){3})$", "") == ""
    error_message = "The SSM agent's version must look like 3.3.1.0, or be none; packer/pin-ssm-agent pins the newest."
  }
}

variable "ssm_agent_sha256" {
  type        = string
  default     = ""
  description = "SHA-256 of that version's package for Debian on amd64."
}

variable "ec2_endpoint" {
  type        = string
  default     = ""
  description = "Base URL of an emulator of EC2 and IAM; AWS itself if empty."
}

variable "ssh_host" {
  type        = string
  default     = ""
  description = "Address of the build's machine where it is not the instance's own, as with an emulator."
}

variable "ssh_port" {
  type        = number
  default     = 22
  description = "SSH port of the build's machine."
}
