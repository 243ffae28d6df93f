# One machine at home: a web server behind a proxy, a database, a tunnel with something
# behind it, backups, disks. Uses most of what the language has; see
# docs/reference/configuration.md for all of it.

node {
  name      = "kettle"
  state_dir = "/var/lib/lictor"
}

# The page is reached through a proxy with TLS that runs on this machine.
http {
  address       = "127.0.0.1:8510"
  allowed_hosts = ["lictor.home.example"]
}

agent {
  max_in_flight = 4
  # When more than half of everything is bad at once, it is the network or the power.
  hold_above = "50%"
}

# --- what is watched -------------------------------------------------------------

watch "http" "shop" {
  url         = "https://shop.home.example/health"
  group       = "Shop"
  every       = "5s"
  fail_after  = 3
  pass_after  = 2
  json        = { "/status" = "ok", "/database/connected" = true }
  warn_slower = "800ms"
  warn_expiry = "21d"
  flap {
    changes = 6
    within  = "15m"
  }
}

watch "http" "grafana" {
  url            = "http://127.0.0.1:3000/api/health"
  expect_headers = { Content-Type = "^application/json" }
  body_matches   = "\"database\": *\"ok\""
  basic_auth {
    user          = "lictor"
    password_file = "/etc/lictor/grafana-password"
  }
}

watch "tcp" "postgres" {
  address = "127.0.0.1:5432"
  every   = "5s"
}

watch "tcp" "redis" {
  address = "127.0.0.1:6379"
  send    = "PING\r\n"
  expect  = "^\\+PONG"
}

watch "dns" "resolver" {
  name        = "shop.home.example"
  server      = "192.168.1.1"
  expect      = ["192.168.1.20"]
  warn_slower = "200ms"
}

watch "exec" "raid" {
  command = ["/usr/lib/nagios/plugins/check_raid"]
  every   = "5m"
  timeout = "30s"
}

# Reads the last lines of a log; each line that says so can start a rule.
watch "exec" "sync-log" {
  command = ["journalctl", "--unit", "photo-sync.service", "--since", "-1min", "--output", "cat"]
  every   = "1m"
  match "stuck" {
    regex = "waiting for lock .* held for [0-9]+ minutes"
  }
}

watch "disk" "space" {
  paths              = ["/", "/srv"]
  every              = "1m"
  warn_used          = "80%"
  critical_used      = "92%"
  critical_available = "5GiB"
}

watch "process" "shop-workers" {
  command_line = "^/usr/bin/shop-worker( |$)"
  group        = "Shop"
  at_least     = 2
  at_most      = 8
  warn_memory  = "2GiB"
  grace        = "1m"
}

# The backup script calls in when it is done: curl -X POST …/v1/heartbeat/backup
watch "heartbeat" "backup" {
  within = "26h"
}

watch "http" "tunnel" {
  url        = "http://127.0.0.1:8000/v1/publicip/ip"
  every      = "30s"
  timeout    = "10s"
  fail_after = 4
}

# --- checks over checks ----------------------------------------------------------

check "storage" {
  all = [check.raid, check.space]
}

check "data" {
  at_least = 2
  of       = [check.postgres, check.redis, check.storage]
  for      = "10s"
}

# --- what cures it ---------------------------------------------------------------

rule "restart-shop" {
  on       = check.shop == "critical" || value.shop.total_seconds > 5
  guard    = check.data == "passing"
  target   = "shop"
  cooldown = "2m"
  budget   = "3 in 1h"
  escalate = remedy.shop-page
  act "exec" {
    command = ["systemctl", "restart", "shop.service"]
  }
  timeout = "1m"
  verify  = check.shop == "passing"
}

# When restarting does not help, visitors see a page that says so.
rule "shop-page" {
  on            = no_data(check.shop)
  target        = "shop-page"
  give_up_after = 0
  act "kv" {
    key   = "shop/maintenance"
    value = "on"
  }
}

rule "unstick-sync" {
  on       = match.sync-log.stuck
  cooldown = "30m"
  act "exec" {
    command = ["systemctl", "restart", "photo-sync.service"]
    env     = { LC_ALL = "C" }
  }
  on_failure = "park"
}

rule "empty-cache" {
  on       = value.space.used_percent > 85
  guard    = check["shop-workers"] != "unknown"
  cooldown = "6h"
  mode     = "observe"
  act "http" {
    url         = "https://cache.home.example/purge"
    method      = "DELETE"
    bearer_file = "/etc/lictor/cache-token"
    status      = ["2xx", 404]
  }
  attempts = 3
  backoff  = "10s"
}

remedy "reconnect" {
  on          = check.tunnel == "critical" || no_data(check.tunnel)
  guard       = check.resolver == "passing"
  cooldown    = "10m"
  budget      = "4 in 6h"
  cancel_when = check.tunnel == "passing" && value.tunnel.total_seconds < 2
  on_cancel   = step.resume
  deadline    = "4h"

  step "pause" {
    act "http" {
      url     = "http://127.0.0.1:8080/api/v2/torrents/pause"
      body    = "hashes=all"
      headers = { Content-Type = "application/x-www-form-urlencoded" }
    }
    repeat   = "idempotent"
    attempts = 3
  }

  step "restart" {
    act "exec" {
      command = ["docker", "restart", "vpn"]
    }
    timeout           = "2m"
    verify            = check.tunnel != "critical"
    verify_within     = "3m"
    settle            = "20s"
    attempts          = 2
    backoff           = "30s"
    on_failure        = step.resume
    on_failure_visits = 1
  }

  step "steady" {
    wait_for   = check.tunnel == "passing"
    hold       = "10m"
    deadline   = "1h"
    on_failure = step.restart
  }

  step "resume" {
    act "http" {
      url     = "http://127.0.0.1:8080/api/v2/torrents/resume"
      body    = "hashes=all"
      headers = { Content-Type = "application/x-www-form-urlencoded" }
    }
    repeat     = "idempotent"
    attempts   = 5
    on_failure = "park"
  }
}
