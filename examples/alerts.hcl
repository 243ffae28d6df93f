# A small cluster with Consul: what is watched here and in Consul goes to a chat by day, to a phone when it is
# critical, and into a file in any case. docs/alerts.md explains all of it.

node {
  name       = "watch1"
  datacenter = "dc1"
}

consul {}

# --- what is watched on this machine ---------------------------------------------

watch "tcp" "router" {
  address    = "192.0.2.1:443"
  fail_after = 3
}

# While the router is away nobody is told of what lies behind it.
watch "http" "shop" {
  url        = "https://shop.example/health"
  fail_after = 3
  depends_on = ["router"]
}

# Only for the rule below.
watch "unit" "collector" {
  unit  = "collector.service"
  alert = false
}

rule "restart-collector" {
  on       = check.collector == "critical"
  cooldown = "5m"
  act "systemd" {
    unit = "collector.service"
  }
}

# --- who tells -------------------------------------------------------------------

notify "slack" "chat" {
  webhook_file = "/etc/lictor/slack-webhook"
}

notify "pagerduty" "phone" {
  routing_key_file = "/etc/lictor/pagerduty-key"
}

notify "log" "file" {
  path = "/var/log/lictor/alerts.log"
}

# --- who is told of what: the first route that fits takes it, unless it continues --

route "file" {
  to       = ["file"]
  continue = true
}

route "databases" {
  service      = ["postgres", "/^redis/"]
  to           = ["phone", "chat"]
  remind_every = "30m"
}

# The phone hears of what is critical, and the chat of everything.
route "phone" {
  status       = ["critical"]
  to           = ["phone"]
  remind_every = "1h"
  continue     = true
  not {
    node = "/^lab/"
  }
}

route "chat" {
  group_by = ["datacenter"]
  to       = ["chat"]
}

# --- how alerts are judged -------------------------------------------------------

alerts {
  consul {
    datacenters = ["dc1", "dc2"]
  }

  flap {
    changes = 6
    within  = "10m"
  }

  # Consul's checks count when they have lasted for so long; the narrowest is in force.
  threshold {
    for         = "1m"
    recover_for = "30s"
  }
  threshold {
    service = "/^batch-/"
    for     = "10m"
  }
  threshold {
    check = "disk"
    for   = "0s"
  }

  ignore {
    check = "/^debug-/"
  }

  # While the line to the other datacenter is down, its services are not told of.
  inhibit {
    when {
      check = "uplink"
    }
    mutes {
      datacenter = "dc2"
      source     = ["consul", "service"]
    }
  }

  # One alert for all instances, as bad as there are few healthy ones.
  service "web" {
    at_least   = 2
    warn_below = 4
  }

  # Somebody outside calls when this stops.
  heartbeat {
    url   = "https://deadman.example/ping/4711"
    every = "1m"
  }

  digest "mornings" {
    to       = ["chat"]
    cron     = "0 8 * * mon-fri"
    timezone = "Europe/Berlin"
  }
}

maintenance "backups" {
  node     = "/^db/"
  cron     = "0 2 * * sun"
  for      = "2h"
  timezone = "Europe/Berlin"
  comment  = "Full backups; replication lags behind."
}

maintenance "move" {
  datacenter = "dc2"
  start      = "2026-12-01T22:00"
  for        = "6h"
  timezone   = "Europe/Berlin"
  comment    = "The racks of dc2 move to the second floor."
}
