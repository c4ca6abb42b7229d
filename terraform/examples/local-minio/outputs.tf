output "bootstrap_servers" {
  description = "What Kafka clients are given."
  value       = join(",", [for port in values(local.nodes) : "127.0.0.1:${port}"])
  depends_on  = [terraform_data.ready]
}

output "admin_urls" {
  description = "Admin interfaces, one a broker."
  value       = [for port in values(local.nodes) : "http://127.0.0.1:${port + 500}"]
}

output "bucket_url" {
  description = "The bucket of the cluster, at MinIO."
  value       = "s3://esker/cluster"
}
