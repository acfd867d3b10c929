# What `packer init packer/plugins` installs. Packer 1.6.6 has the amazon builder built in and does not know this block,
# so it is kept out of the folder that it reads.
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0, < 2.0.0"
    }
  }
}
