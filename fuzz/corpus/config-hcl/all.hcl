# One of everything.
node {
  name       = "node1"
  datacenter = "dc1"
  state_dir  = "/var/lib/lictor"
}

http {
  address    = "127.0.0.1:8510"
  token_file = "/run/credentials/token"
}

consul {
  address  = "https://127.0.0.1:8501"
  prefix   = "lictor/"
  register = true
}

agent {
  mode       = "observe"
  hold_above = "50%"
}

watch "http" "shop" {
  url         = "https://shop.example/health"
  every       = "5s"
  fail_after  = 3
  status      = ["2xx", 304, "400-404"]
  headers     = { Accept = "text/html", Token = { env = "T" } }
  json        = { "/status" = "ok" }
  body        = "$${a} %%{b}"
  warn_slower = "800ms"
  flap {
    changes = 3
    within  = "1m"
  }
}

watch "tcp" "redis" {
  address = "127.0.0.1:6379"
  send    = "PING\r\n"
  expect  = "^\\+PONG"
}

watch "dns" "name" {
  name   = "consul.service.consul"
  record = "SRV"
  server = "127.0.0.1:8600"
}

watch "exec" "raid" {
  command = ["/usr/lib/nagios/plugins/check_raid", "-v"]
  every   = "5m"
  timeout = "30s"
  match "degraded" {
    regex = "degraded: (\\w+)"
  }
}

watch "disk" "space" {
  paths              = ["/", "/var"]
  critical_available = "2GiB"
}

watch "process" "nginx" {
  name    = "nginx"
  at_most = 9
}

watch "heartbeat" "backup" {
  within = "26h"
}

check "front" {
  at_least = 1
  of       = [check.shop, check["redis"]]
  for      = "30s"
}

rule "restart" {
  on       = [check.nginx == "critical" && !no_data(check.shop), match.raid.degraded]
  guard    = value.space.used_percent < 90.5
  cooldown = "5m"
  budget   = "3 in 1h"
  escalate = remedy.reconnect
  act "exec" {
    command = ["systemctl", "restart", "nginx.service"]
  }
  verify = check.nginx == "passing"
}

remedy "reconnect" {
  on = changed(value.shop.total_seconds) || check.front != "passing"
  step "restart" {
    act "http" {
      url    = "http://127.0.0.1:4646/v1/job/media"
      method = "POST"
      body   = <<-END
        {"job": "media"}
      END
    }
    on_failure = step.note
  }
  step "settle" {
    wait_for = check.front == "passing"
    hold     = "1h"
    deadline = "2h"
  }
  step "note" {
    act "kv" {
      key   = "reconnect/last"
      value = "done"
    }
  }
}
