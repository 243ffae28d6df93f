# A Bitcoin node on a small box: bitcoind, lightningd, electrs and a middleware that talks to an
# app. This is what `bbbsupervisor` runs with (see docs/supervisor.md), and an example of how lines
# of a log and numbers of others become actions. bitbox.test.hcl next to it tests every rule.

agent {
  # A ramdisk that is full is cured by a restart of the box, once a day at most.
  allow_reboot = true
}

# Who reaches the listener may start remedies, so nobody does without this token. Make it once:
#   install -d -m 700 /etc/lictor && (umask 077; head -c 32 /dev/urandom | base64 > /etc/lictor/token)
# Called as `bbbsupervisor`, the program makes one of its own in its state directory, `http-token`.
http {
  token_file = "/etc/lictor/token"
}

# --- what is watched -------------------------------------------------------------

# A pattern belongs to the unit it stands in: what bitcoind prints can never restart the middleware.
watch "journal" "electrs" {
  unit = "electrs"
  match "synced" {
    contains = "finished full compaction"
  }
  match "no-bitcoind" {
    contains = "WARN - reconnecting to bitcoind: no reply from daemon"
  }
}

watch "journal" "middleware" {
  unit = "bbbmiddleware"
  match "no-bitcoind" {
    contains = "GetBlockChainInfo rpc call failed"
  }
  match "update-start" {
    contains = "LogTag:Middleware:Base_Image_Update_Start"
  }
  match "update-success" {
    contains = "LogTag:Middleware:Base_Image_Update_Success"
  }
  match "update-failure" {
    contains = "LogTag:Middleware:Base_Image_Update_Failure"
  }
  match "reboot" {
    contains = "LogTag:Middleware:Base_Reboot"
  }
  match "shutdown" {
    contains = "LogTag:Middleware:Base_Shutdown"
  }
}

watch "journal" "bitcoind" {
  unit = "bitcoind"
  match "no-space" {
    contains = "No space left on device"
  }
}

# What systemd itself says of the three services.
watch "journal" "starts" {
  unit   = ["bitcoind", "lightningd", "electrs"]
  fields = { _PID = "1" }
  match "failed" {
    regex    = "^Failed to start (?P<what>.+) daemon"
    at_least = 3
    within   = "10m"
  }
}

# Whether the box has been started: a target has another invocation after each boot. Where the state
# directory does not outlive a boot nothing is known to compare it with; systemd's own word is.
watch "unit" "boot" {
  unit = "basic.target"
}

watch "journal" "booted" {
  fields = { _PID = "1" }
  match "done" {
    contains = "Startup finished in"
  }
}

# 1 during the initial download of the chain, else 0.
watch "prometheus" "ibd" {
  url   = "http://localhost:9090"
  query = "bitcoin_ibd"
}

watch "prometheus" "blocks" {
  url   = "http://localhost:9090"
  query = "bitcoin_blocks"
}

# How the box is set up now: bbb-config.sh writes it.
watch "redis" "mode" {
  address = "localhost:6379"
  key     = "bitcoind:ibd"
  missing = "passing"
}

# Whether the download goes over clearnet, and not over Tor.
watch "redis" "clearnet" {
  address = "localhost:6379"
  key     = "bitcoind:ibd-clearnet"
  missing = "passing"
}

watch "redis" "redis" {
  address    = "localhost:6379"
  fail_after = 3
}

# The description of the box's state with the highest priority. None at all means the same as 0.
watch "redis" "description" {
  address = "localhost:6379"
  command = "ZREVRANGE"
  key     = "base:descriptionCode"
  missing = "passing"
  every   = "1s"
}

watch "redis" "state" {
  address = "localhost:6379"
  key     = "base:stateCode"
  missing = "passing"
  every   = "1s"
}

watch "tcp" "network" {
  address    = "1.1.1.1:443"
  every      = "30s"
  fail_after = 4
}

watch "unit" "lightningd" {
  unit       = "lightningd"
  fail_after = 2
}

watch "disk" "data" {
  paths         = ["/mnt/ssd"]
  every         = "1m"
  warn_used     = "85%"
  critical_used = "95%"
}

watch "disk" "ramdisk" {
  paths         = ["/var/log"]
  every         = "30s"
  critical_used = "98%"
  fail_after    = 4
}

watch "swap" "swap" {
  paths = ["/swapfile"]
  every = "1m"
}

watch "temperature" "heat" {
  warn     = 75
  critical = 85
  every    = "30s"
}

# --- the four triggers that there always were ------------------------------------

# Frees memory after the first full sync.
rule "electrs-synced" {
  on       = match.electrs.synced
  target   = "electrs.service"
  cooldown = "30s"
  budget   = "6 in 1h"
  escalate = remedy.tell-operator
  act "systemd" {
    unit = "electrs.service"
  }
  timeout = "2m"
}

# bitcoind made a new `.cookie` file; electrs still has the old one.
rule "electrs-no-bitcoind" {
  on       = match.electrs.no-bitcoind
  target   = "electrs.service"
  cooldown = "30s"
  budget   = "6 in 1h"
  escalate = remedy.tell-operator
  act "systemd" {
    unit = "electrs.service"
  }
  timeout = "2m"
}

rule "middleware-no-bitcoind" {
  on       = match.middleware.no-bitcoind
  target   = "bbbmiddleware.service"
  cooldown = "30s"
  budget   = "6 in 1h"
  escalate = remedy.tell-operator
  act "systemd" {
    unit = "bbbmiddleware.service"
  }
  timeout = "2m"
}

# What should be and what is: so the first sample enforces the state, what failed is tried again after
# the cooldown, and a restart of the agent stops and starts nothing that is as it should be.
remedy "ibd-begins" {
  on            = value.ibd.value == 1 && (value.mode.exists == 0 || value.mode.value != 1)
  target        = "ibd"
  cooldown      = "10s"
  give_up_after = 0

  step "download" {
    act "exec" {
      command = ["/usr/local/sbin/bbb-config.sh", "set", "bitcoin_ibd", "true"]
    }
    repeat  = "idempotent"
    timeout = "5m"
  }
  step "describe" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZADD", "base:descriptionCode", "1200", "1200"]
    }
    attempts = 5
  }
}

# A chain that is still low has not been downloaded, whatever the number says: the guard keeps the
# box as it is until it is high enough, and the switch follows then.
remedy "ibd-ends" {
  on            = value.ibd.value == 0 && (value.mode.exists == 0 || value.mode.value != 0)
  guard         = value.blocks.value >= 596000
  target        = "ibd"
  cooldown      = "10s"
  give_up_after = 0

  step "clearnet" {
    # A key that is not there means that there is nothing to switch off.
    skip_when = value.clearnet.exists == 0 || value.clearnet.value != 1
    act "exec" {
      command = ["/usr/local/sbin/bbb-config.sh", "set", "bitcoin_ibd_clearnet", "false"]
    }
    repeat  = "idempotent"
    timeout = "5m"
  }
  step "download" {
    act "exec" {
      command = ["/usr/local/sbin/bbb-config.sh", "set", "bitcoin_ibd", "false"]
    }
    repeat  = "idempotent"
    timeout = "5m"
  }
  step "describe" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZREM", "base:descriptionCode", "1200"]
    }
    attempts = 5
  }
}

# The switch was made by somebody else, before this agent came for instance: only say so.
rule "ibd-shown" {
  on            = value.ibd.value == 1 && value.mode.value == 1 && (value.description.exists == 0 || value.description.value < 1200)
  target        = "ibd"
  cooldown      = "10s"
  give_up_after = 0
  act "redis" {
    address = "localhost:6379"
    command = ["ZADD", "base:descriptionCode", "1200", "1200"]
  }
}

# --- the state of the box --------------------------------------------------------
#
# base:descriptionCode is a sorted set of what is the case, each with its priority: 0 nothing,
# 1200 initial sync, 1400 update, 2300 update failed, 2400 no network, 2500 reboot, 2510 shutdown,
# 3400 no disk space. base:stateCode is the class of the highest: 0 idle, 1000 working, 2000 warning,
# 3000 error.

remedy "update-start" {
  on       = match.middleware.update-start
  target   = "state/update-start"
  cooldown = "30s"
  step "not-failed" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZREM", "base:descriptionCode", "2300"]
    }
  }
  step "updating" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZADD", "base:descriptionCode", "1400", "1400"]
    }
  }
}

rule "update-success" {
  on       = match.middleware.update-success
  target   = "state/update-success"
  cooldown = "30s"
  act "redis" {
    address = "localhost:6379"
    command = ["ZREM", "base:descriptionCode", "1400", "2300"]
  }
}

remedy "update-failure" {
  on       = match.middleware.update-failure
  target   = "state/update-failure"
  cooldown = "1s"
  step "not-updating" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZREM", "base:descriptionCode", "1400"]
    }
  }
  step "failed" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZADD", "base:descriptionCode", "2300", "2300"]
    }
  }
}

rule "reboot-begins" {
  on       = match.middleware.reboot
  target   = "state/reboot"
  cooldown = "1s"
  act "redis" {
    address = "localhost:6379"
    command = ["ZADD", "base:descriptionCode", "2500", "2500"]
  }
}

rule "shutdown-begins" {
  on       = match.middleware.shutdown
  target   = "state/shutdown"
  cooldown = "1s"
  act "redis" {
    address = "localhost:6379"
    command = ["ZADD", "base:descriptionCode", "2510", "2510"]
  }
}

# A boot ends what was under way: an update, the restart or shutdown itself. Redis may come later.
remedy "booted" {
  on       = changed(value.boot.invocation) || match.booted.done
  target   = "state/boot"
  cooldown = "1s"
  step "redis" {
    wait_for = check.redis == "passing"
    deadline = "30m"
  }
  step "clear" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZREM", "base:descriptionCode", "1400", "2300", "2500", "2510"]
    }
    attempts = 5
  }
}

# What is shown is compared with what is the case, here and below: so what could not be written, or was
# hidden by something with a higher priority, is made up for.
rule "network-gone" {
  on            = check.network == "critical" && (value.description.exists == 0 || value.description.value < 2400)
  cancel_when   = check.network == "passing"
  target        = "state/network"
  cooldown      = "10s"
  give_up_after = 0
  attempts      = 5
  act "redis" {
    address = "localhost:6379"
    command = ["ZADD", "base:descriptionCode", "2400", "2400"]
  }
}

rule "network-back" {
  on            = check.network == "passing" && value.description.value == 2400
  target        = "state/network"
  cooldown      = "10s"
  give_up_after = 0
  attempts      = 5
  act "redis" {
    address = "localhost:6379"
    command = ["ZREM", "base:descriptionCode", "2400"]
  }
}

rule "state-idle" {
  on            = (value.description.exists == 0 || value.description.value < 1000) && (value.state.exists == 0 || value.state.value != 0)
  target        = "state"
  cooldown      = "1s"
  give_up_after = 0
  act "redis" {
    address = "localhost:6379"
    command = ["SET", "base:stateCode", "0"]
  }
}

rule "state-working" {
  on            = value.description.value >= 1000 && value.description.value < 2000 && (value.state.exists == 0 || value.state.value != 1000)
  target        = "state"
  cooldown      = "1s"
  give_up_after = 0
  act "redis" {
    address = "localhost:6379"
    command = ["SET", "base:stateCode", "1000"]
  }
}

rule "state-warning" {
  on            = value.description.value >= 2000 && value.description.value < 3000 && (value.state.exists == 0 || value.state.value != 2000)
  target        = "state"
  cooldown      = "1s"
  give_up_after = 0
  act "redis" {
    address = "localhost:6379"
    command = ["SET", "base:stateCode", "2000"]
  }
}

rule "state-error" {
  on            = value.description.value >= 3000 && (value.state.exists == 0 || value.state.value != 3000)
  target        = "state"
  cooldown      = "1s"
  give_up_after = 0
  act "redis" {
    address = "localhost:6379"
    command = ["SET", "base:stateCode", "3000"]
  }
}

# Tells the middleware, through its named pipe, that the state is another one; again when the code that
# follows from it is written. The file is not part of lictor. Make it once, with this one line:
#   {"version": 1, "topic": "systemstate-changed", "payload": {}}
# Without a reader of the pipe, or without the pipe, it fails at once: it neither blocks nor makes a file.
rule "state-changed" {
  on       = changed(value.description.value) || changed(value.state.value)
  target   = "state/notification"
  cooldown = "1s"
  defer    = true
  act "exec" {
    command = [
      "dd",
      "if=/etc/lictor/systemstate-changed.json",
      "of=/tmp/middleware-notification.pipe",
      "oflag=nonblock",
      "conv=notrunc,nocreat",
      "status=none",
    ]
  }
  timeout = "5s"
}

# --- what was only wished for ----------------------------------------------------

# Room is made by old logs first; what the box shows says that it was needed.
remedy "disk-full" {
  on       = check.data == "critical" || match.bitcoind.no-space
  target   = "disk"
  cooldown = "10m"
  budget   = "3 in 6h"
  escalate = remedy.tell-operator

  step "describe" {
    act "redis" {
      address = "localhost:6379"
      command = ["ZADD", "base:descriptionCode", "3400", "3400"]
    }
    on_failure = step.compact
  }
  step "compact" {
    act "journal_vacuum" {
      max_size = "100MiB"
    }
    timeout = "5m"
  }
}

# It is shown for ten minutes at least, also when only bitcoind saw it: both have one target.
rule "disk-has-room" {
  on            = check.data == "passing" && value.description.value == 3400
  target        = "disk"
  cooldown      = "10m"
  give_up_after = 0
  attempts      = 5
  act "redis" {
    address = "localhost:6379"
    command = ["ZREM", "base:descriptionCode", "3400"]
  }
}

rule "ramdisk-full" {
  on = check.ramdisk == "critical"
  act "reboot" {}
  timeout = "5m"
}

rule "swap-missing" {
  on     = check.swap == "critical"
  target = "swap"
  act "swap" {
    file     = "/swapfile"
    recreate = true
    size     = "2GiB"
  }
  timeout = "5m"
}

# During the initial download services start late and fail to; that is fine.
rule "starts-fail" {
  on       = match.starts.failed
  guard    = value.ibd.value == 0
  target   = "starts"
  cooldown = "10m"
  act "exec" {
    command = ["logger", "--priority", "daemon.alert", "--", "a service failed to start again and again:", capture.what]
  }
}

# Not only what it says: what systemd knows of it.
rule "lightningd-down" {
  on       = check.lightningd == "critical"
  guard    = value.ibd.value == 0
  target   = "lightningd.service"
  cooldown = "5m"
  budget   = "3 in 1h"
  escalate = remedy.tell-operator
  act "systemd" {
    unit         = "lightningd.service"
    reset_failed = true
  }
  timeout = "2m"
}

rule "redis-down" {
  on       = check.redis == "critical"
  target   = "redis.service"
  cooldown = "5m"
  budget   = "3 in 1h"
  escalate = remedy.tell-operator
  act "systemd" {
    unit         = "redis.service"
    reset_failed = true
  }
}

rule "too-hot" {
  on            = check.heat == "critical"
  target        = "heat"
  cooldown      = "30m"
  give_up_after = 0
  act "exec" {
    command = ["logger", "--priority", "daemon.alert", "--", "the box is too hot"]
  }
}

# What others escalate to when they can do no more. Put what reaches a person here.
rule "tell-operator" {
  target   = "operator"
  cooldown = "15m"
  act "exec" {
    command = ["logger", "--priority", "daemon.alert", "--", "lictor could not cure it: see lictor incidents --open"]
  }
}
