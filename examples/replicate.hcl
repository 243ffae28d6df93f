# Keys of Consul that the main datacenter has for two others, and what those report back. docs/replicate.md explains
# all of it.
#
#   lictor validate examples/replicate.hcl
#   lictor replicate status

node {
  name = "copier1"
}

# The agent on this machine. Its datacenter is named, so that mistakes are found without asking it.
consul {
  datacenter = "dc1"
  token_file = "/etc/lictor/consul-token"
}

# The configuration of all services, the same everywhere.
replicate "config" {
  prefixes = ["config/@dc1"]
  to       = ["dc2", "dc3"]

  # What is only for dc1, and what editors leave behind.
  exclude          = ["config/dc1/"]
  exclude_matching = ["~$"]

  # What is gone in dc1 goes in the others, up to 50 keys without a person.
  delete       = true
  delete_limit = 50

  # The token may read this key as long as it may read all of it.
  canary = "config/canary"

  service = "replicate-config"
}

# What the others report, in a folder for each. Somebody else may add to it here.
replicate "reports" {
  prefixes = ["reports/@dc2:reports/dc2/", "reports/@dc3:reports/dc3/"]
  repair   = false

  # Reports come in bursts.
  wait     = "5s"
  wait_max = "30s"
}
