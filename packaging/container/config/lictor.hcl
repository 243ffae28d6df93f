# What Lictor does in a container as it comes: it watches all checks of Consul and writes to a file who should be told of
# what. docs/notifiers.md has the others who may be told. The node is called as the container is (`--hostname`), and where
# Consul is comes from CONSUL_HTTP_ADDR and its other variables.
consul {
}

# Other containers and the machine reach it, so it asks for a token.
http {
  address    = "0.0.0.0:8510"
  token_file = "/run/secrets/lictor-token"
}

alerts {
  consul {
  }
}

notify "log" "file" {
  path = "/var/lib/lictor/alerts.log"
}

route "all" {
  to = ["file"]
}
