variable "brokers" {
  description = "How many servers the cluster has."
  type        = number
  default     = 3
  validation {
    condition     = contains([1, 3], var.brokers)
    error_message = "Say brokers=1 or brokers=3: each server is a voter of the quorum, and voters cannot be added or removed."
  }
}

variable "esker_binary" {
  description = "Path of the esker program; by default what a debug build of this repository made."
  type        = string
  default     = null
}

variable "minio_binary" {
  description = "Path of the minio program; by default the one found on PATH."
  type        = string
  default     = null
}

variable "work_dir" {
  description = "Directory for data, logs and secrets. It must not exist before, and destroy removes it."
  type        = string
  default     = "work"
}

variable "base_port" {
  description = "First port of the brokers; peers are at +100, admin interfaces at +500, MinIO at +800."
  type        = number
  default     = 9092
  validation {
    condition     = var.base_port >= 1024 && var.base_port <= 64000 && floor(var.base_port) == var.base_port
    error_message = "Say a base_port from 1024 to 64000: ports up to 800 above it are used."
  }
}
