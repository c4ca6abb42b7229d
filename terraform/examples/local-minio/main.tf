# A cluster on this machine: MinIO and `brokers` servers as supervised processes. Nothing but what is built into Terraform.

terraform {
  required_version = ">= 1.7"
}

locals {
  work_dir     = abspath(var.work_dir)
  esker_binary = abspath(coalesce(var.esker_binary, "${path.module}/../../../target/debug/esker"))
  program      = abspath("${path.module}/process.sh")
  nodes        = { for node in range(1, var.brokers + 1) : tostring(node) => var.base_port + node - 1 }
  founded      = "${var.brokers} ${var.base_port}"
  settings = {
    program  = local.program
    work_dir = local.work_dir
    esker    = local.esker_binary
    minio    = coalesce(var.minio_binary, "minio")
    base     = tostring(var.base_port)
    brokers  = tostring(var.brokers)
  }
}

# Terraform destroys without provisioners what was not made to its end. This step makes nothing, so it always cleans up.
resource "terraform_data" "clean_up" {
  input            = local.settings
  triggers_replace = local.work_dir

  provisioner "local-exec" {
    when        = destroy
    command     = "\"$program\" clean"
    environment = self.input
  }
}

resource "terraform_data" "minio" {
  input            = local.settings
  triggers_replace = terraform_data.clean_up.id

  lifecycle {
    precondition {
      condition     = try(trimspace(file("${local.work_dir}/run/founded")), local.founded) == local.founded
      error_message = "The cluster in ${local.work_dir} was founded with other values of brokers or base_port, which cannot change: say the old ones, or destroy it first."
    }
  }

  provisioner "local-exec" {
    command     = "\"$program\" minio-start"
    environment = self.input
  }
}

resource "terraform_data" "broker" {
  for_each         = local.nodes
  input            = merge(local.settings, { node = each.key })
  triggers_replace = terraform_data.minio.id

  provisioner "local-exec" {
    command     = "\"$program\" broker-start"
    environment = self.input
  }
  provisioner "local-exec" {
    when        = destroy
    command     = "\"$program\" broker-stop"
    environment = self.input
  }
}

# Brokers need each other to be ready, so one step waits for all of them.
resource "terraform_data" "ready" {
  input            = local.settings
  triggers_replace = [for broker in terraform_data.broker : broker.id]

  provisioner "local-exec" {
    command     = "\"$program\" wait"
    environment = self.input
  }
}
