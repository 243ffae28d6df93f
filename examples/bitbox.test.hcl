# Every rule of bitbox.hcl: `lictor test examples/bitbox.test.hcl`.

config = "bitbox.hcl"

# --- the triggers that there always were -----------------------------------------

test "electrs is restarted after its full compaction" {
  at "0s" {
    read "electrs" {
      lines = ["INFO - finished full compaction"]
    }
  }
  expect "1s" {
    ran = ["electrs-synced"]
    did = ["electrs-synced"]
  }
}

test "electrs is restarted when it has lost bitcoind, once in 30 s" {
  at "0s" {
    read "electrs" {
      lines = [
        "WARN - reconnecting to bitcoind: no reply from daemon",
        "WARN - reconnecting to bitcoind: no reply from daemon",
      ]
    }
  }
  at "29s" {
    read "electrs" {
      lines = ["WARN - reconnecting to bitcoind: no reply from daemon"]
    }
  }
  expect "29s" {
    ran       = ["electrs-no-bitcoind"]
    held_back = { electrs-no-bitcoind = "cooldown" }
  }
  at "30s" {
    read "electrs" {
      lines = ["WARN - reconnecting to bitcoind: no reply from daemon"]
    }
  }
  expect "31s" {
    ran = ["electrs-no-bitcoind"]
  }
}

test "two reasons to restart electrs are one restart" {
  at "0s" {
    read "electrs" {
      lines = ["INFO - finished full compaction"]
    }
  }
  at "2s" {
    read "electrs" {
      lines = ["WARN - reconnecting to bitcoind: no reply from daemon"]
    }
  }
  expect "10s" {
    ran       = ["electrs-synced"]
    held_back = { electrs-no-bitcoind = "cooldown" }
  }
}

test "restarts that fail are held back too" {
  fail = ["electrs-synced"]
  at "0s" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  at "1s" {
    read "electrs" {
      lines = ["finished full compaction", "finished full compaction"]
    }
  }
  expect "2s" {
    did    = ["electrs-synced"]
    failed = ["electrs-synced"]
  }
}

test "after six restarts in an hour a person is told" {
  at "0s" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  at "1m" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  at "2m" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  at "3m" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  at "4m" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  at "5m" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  expect "5m" {
    escalated = []
  }
  at "6m" {
    read "electrs" {
      lines = ["finished full compaction"]
    }
  }
  expect "6m" {
    ran       = ["tell-operator"]
    held_back = { electrs-synced = "budget" }
    escalated = ["electrs-synced"]
  }
}

test "the middleware is restarted when it has lost bitcoind" {
  at "0s" {
    read "middleware" {
      lines = ["GetBlockChainInfo rpc call failed: EOF"]
    }
  }
  expect "1s" {
    ran = ["middleware-no-bitcoind"]
  }
}

test "what another unit prints restarts nothing" {
  at "0s" {
    read "bitcoind" {
      lines = ["received: version, useragent=/GetBlockChainInfo rpc call failed/ finished full compaction"]
    }
  }
  expect "1s" {
    ran = []
  }
}

# --- the initial download --------------------------------------------------------

test "the first sample enforces the state" {
  at "0s" {
    observe "mode" {
      values = { exists = 0 }
    }
    observe "ibd" {
      values = { value = 1 }
    }
  }
  at "5s" {
    observe "mode" {
      values = { value = 1, exists = 1 }
    }
  }
  expect "1h" {
    ran = ["ibd-begins"]
    did = ["ibd-begins/download", "ibd-begins/describe"]
  }
}

test "what is as it should be stays as it is" {
  at "0s" {
    observe "mode" {
      values = { value = 1, exists = 1 }
    }
    observe "ibd" {
      values = { value = 1 }
    }
  }
  expect "1h" {
    ran = []
  }
}

test "the end of the download waits for the height and switches clearnet off first" {
  at "0s" {
    observe "mode" {
      values = { value = 1, exists = 1 }
    }
    observe "ibd" {
      values = { value = 1 }
    }
    observe "blocks" {
      values = { value = 400000 }
    }
    observe "clearnet" {
      values = { value = 1, exists = 1 }
    }
  }
  at "1h" {
    observe "ibd" {
      values = { value = 0 }
    }
  }
  expect "2h" {
    ran       = []
    held_back = { ibd-ends = "guard" }
  }
  at "3h" {
    observe "blocks" {
      values = { value = 596000 }
    }
  }
  at "3h 1s" {
    observe "mode" {
      values = { value = 0, exists = 1 }
    }
  }
  expect "3h 1m" {
    ran = ["ibd-ends"]
    did = ["ibd-ends/clearnet", "ibd-ends/download", "ibd-ends/describe"]
  }
}

test "clearnet is left as it is when it is off" {
  at "0s" {
    observe "blocks" {
      values = { value = 700000 }
    }
    observe "clearnet" {
      values = { value = 0, exists = 1 }
    }
    observe "mode" {
      values = { value = 1, exists = 1 }
    }
    observe "ibd" {
      values = { value = 0 }
    }
  }
  expect "9s" {
    did = ["ibd-ends/download", "ibd-ends/describe"]
  }
}

test "a key that is not there does not block the switch" {
  at "0s" {
    observe "blocks" {
      values = { value = 700000 }
    }
    observe "clearnet" {
      values = { exists = 0 }
    }
    observe "mode" {
      values = { exists = 0 }
    }
    observe "ibd" {
      values = { value = 0 }
    }
  }
  expect "9s" {
    did = ["ibd-ends/download", "ibd-ends/describe"]
  }
}

test "a switch that fails is tried again every 10 s" {
  fail = ["ibd-begins/download"]
  at "0s" {
    observe "mode" {
      values = { value = 0, exists = 1 }
    }
    observe "ibd" {
      values = { value = 1 }
    }
  }
  expect "25s" {
    did    = ["ibd-begins/download", "ibd-begins/download", "ibd-begins/download"]
    failed = ["ibd-begins", "ibd-begins", "ibd-begins"]
  }
}

test "no number, or another one, is not the end of the download" {
  at "0s" {
    observe "blocks" {
      values = { value = 700000 }
    }
    observe "mode" {
      values = { value = 1, exists = 1 }
    }
    observe "ibd" {
      status = "unknown"
    }
  }
  at "1m" {
    observe "ibd" {
      values = { value = 0.5 }
    }
  }
  expect "2m" {
    ran = []
  }
}

test "a box that was downloading before is shown as such" {
  at "0s" {
    observe "mode" {
      values = { value = 1, exists = 1 }
    }
    observe "ibd" {
      values = { value = 1 }
    }
    observe "description" {
      values = { exists = 0 }
    }
  }
  at "5s" {
    observe "description" {
      values = { value = 1200, exists = 1 }
    }
  }
  expect "1m" {
    did = ["ibd-shown"]
  }
}

# --- the state of the box --------------------------------------------------------

test "an update is shown while it runs" {
  at "0s" {
    read "middleware" {
      lines = ["LogTag:Middleware:Base_Image_Update_Start"]
    }
  }
  expect "1s" {
    did = ["update-start/not-failed", "update-start/updating"]
  }
  at "10m" {
    read "middleware" {
      lines = ["LogTag:Middleware:Base_Image_Update_Success"]
    }
  }
  expect "10m" {
    did = ["update-success"]
  }
  at "20m" {
    read "middleware" {
      lines = ["LogTag:Middleware:Base_Image_Update_Failure"]
    }
  }
  expect "20m" {
    did = ["update-failure/not-updating", "update-failure/failed"]
  }
}

test "a restart and a shutdown are shown" {
  at "0s" {
    read "middleware" {
      lines = ["LogTag:Middleware:Base_Reboot", "LogTag:Middleware:Base_Shutdown"]
    }
  }
  expect "1s" {
    ran = ["reboot-begins", "shutdown-begins"]
  }
}

test "after a boot an update and a restart are not shown any more, once Redis is there" {
  at "0s" {
    observe "boot" {
      values = { invocation = "4f1c" }
    }
  }
  at "1h" {
    observe "boot" {
      values = { invocation = "9be0" }
    }
  }
  expect "1h 1m" {
    ran = ["booted"]
    did = []
  }
  at "1h 2m" {
    observe "redis" {}
  }
  expect "1h 3m" {
    did = ["booted/clear"]
  }
  # Where nothing is known of the time before the boot.
  at "2h" {
    read "booted" {
      lines = ["Startup finished in 3.1s (kernel) + 20.4s (userspace) = 23.5s."]
    }
  }
  expect "2h 1m" {
    did = ["booted/clear"]
  }
}

test "no description at all is the same as none" {
  at "0s" {
    observe "state" {
      values = { value = 2000, exists = 1 }
    }
    observe "description" {
      values = { exists = 0 }
    }
  }
  expect "0s" {
    did = ["state-idle"]
  }
}

test "the state follows what has the highest priority and the middleware is told" {
  at "0s" {
    observe "state" {
      values = { exists = 0 }
    }
  }
  at "1s" {
    observe "description" {
      values = { value = 0 }
    }
  }
  expect "1s" {
    ran = ["state-idle"]
  }
  at "1s 500ms" {
    observe "state" {
      values = { value = 0, exists = 1 }
    }
  }
  at "10s" {
    observe "description" {
      values = { value = 1200 }
    }
  }
  expect "10s" {
    ran = ["state-changed", "state-working"]
  }
  at "10s 500ms" {
    observe "state" {
      values = { value = 1000, exists = 1 }
    }
  }
  # It is told again when the code is written.
  expect "11s" {
    ran = ["state-changed"]
  }
  # Of the same class: the code stays, and the middleware is told.
  at "20s" {
    observe "description" {
      values = { value = 1400 }
    }
  }
  expect "20s" {
    ran = ["state-changed"]
  }
  at "30s" {
    observe "description" {
      values = { value = 2300 }
    }
  }
  expect "30s" {
    ran = ["state-changed", "state-warning"]
  }
  at "30s 500ms" {
    observe "state" {
      values = { value = 2000, exists = 1 }
    }
  }
  expect "31s" {
    ran = ["state-changed"]
  }
  at "40s" {
    observe "description" {
      values = { value = 3400 }
    }
  }
  expect "40s" {
    ran = ["state-changed", "state-error"]
  }
  at "40s 500ms" {
    observe "state" {
      values = { value = 3000, exists = 1 }
    }
  }
  expect "1m" {
    ran = ["state-changed"]
  }
}

test "a code that could not be written is written again" {
  fail = ["state-idle"]
  at "0s" {
    observe "state" {
      values = { value = 1000, exists = 1 }
    }
    observe "description" {
      values = { value = 0 }
    }
  }
  expect "3s" {
    did = ["state-idle", "state-idle", "state-idle", "state-idle"]
  }
}

test "a network that is gone is shown, and that it is back" {
  at "0s" {
    observe "description" {
      values = { value = 0, exists = 1 }
    }
    observe "network" {
      status = "critical"
    }
  }
  at "1m 31s" {
    observe "description" {
      values = { value = 2400, exists = 1 }
    }
  }
  expect "2m" {
    did = ["network-gone", "state-changed"]
  }
  at "3m" {
    observe "network" {}
  }
  at "3m 10s" {
    observe "description" {
      values = { value = 0, exists = 1 }
    }
  }
  expect "4m" {
    did = ["network-back", "state-changed"]
  }
}

test "a network that is back is shown also when Redis was away meanwhile" {
  fail = ["network-back"]
  at "0s" {
    observe "description" {
      values = { value = 2400, exists = 1 }
    }
    observe "network" {
      status = "critical"
    }
  }
  at "2m" {
    observe "description" {
      status = "unknown"
    }
    observe "network" {}
  }
  expect "5m" {
    did = []
  }
  at "6m" {
    observe "description" {
      values = { value = 2400, exists = 1 }
    }
  }
  # Five attempts of one run, and then another run.
  expect "7m 30s" {
    ran = ["network-back", "network-back"]
  }
}

# --- what was only wished for ----------------------------------------------------

test "a full disk is shown and old logs are removed" {
  at "0s" {
    observe "data" {
      status = "critical"
    }
  }
  expect "1m" {
    did = ["disk-full/describe", "disk-full/compact"]
  }
  at "5m" {
    observe "data" {}
    observe "description" {
      values = { value = 3400, exists = 1 }
    }
  }
  expect "9m" {
    did = []
  }
  at "10m 1s" {
    observe "description" {
      values = { value = 0, exists = 1 }
    }
  }
  expect "30m" {
    did = ["disk-has-room", "state-changed"]
  }
}

test "a disk that only bitcoind found full is not shown as full for ever" {
  at "0s" {
    observe "data" {}
    observe "description" {
      values = { value = 0, exists = 1 }
    }
  }
  at "1m" {
    read "bitcoind" {
      lines = ["Error: No space left on device"]
    }
  }
  at "1m 1s" {
    observe "description" {
      values = { value = 3400, exists = 1 }
    }
  }
  expect "10m" {
    ran = ["disk-full", "state-changed"]
  }
  at "11m 1s" {
    observe "description" {
      values = { value = 0, exists = 1 }
    }
  }
  expect "1h" {
    ran = ["disk-has-room", "state-changed"]
  }
}

test "room is made also when bitcoind says that there is none, and without Redis" {
  fail = ["disk-full/describe"]
  at "0s" {
    read "bitcoind" {
      lines = ["Error: No space left on device"]
    }
  }
  expect "1m" {
    did = ["disk-full/describe", "disk-full/compact"]
  }
}

test "a full ramdisk restarts the box" {
  at "0s" {
    observe "ramdisk" {
      status = "critical"
    }
  }
  expect "89s" {
    ran = []
  }
  expect "90s" {
    did = ["ramdisk-full"]
  }
}

test "a swap file that is missing is made" {
  at "0s" {
    observe "swap" {
      status = "critical"
    }
  }
  expect "1s" {
    did = ["swap-missing"]
  }
}

test "services that fail to start are told of, but not during the download" {
  at "0s" {
    observe "ibd" {
      values = { value = 1 }
    }
    read "starts" {
      lines = [
        "Failed to start Bitcoin daemon.",
        "Failed to start Bitcoin daemon.",
        "Failed to start Bitcoin daemon.",
      ]
    }
  }
  expect "1m" {
    ran       = []
    held_back = { starts-fail = "guard" }
  }
  at "1h" {
    observe "ibd" {
      values = { value = 0 }
    }
    read "starts" {
      lines = ["Failed to start Bitcoin daemon.", "Failed to start Electrs daemon."]
    }
  }
  at "1h 5m" {
    read "starts" {
      lines = ["Failed to start Bitcoin daemon."]
    }
  }
  expect "1h 5m" {
    ran = ["starts-fail"]
  }
}

test "lightningd is started again, but not during the download" {
  at "0s" {
    observe "ibd" {
      values = { value = 1 }
    }
    observe "lightningd" {
      status = "critical"
    }
  }
  expect "1m" {
    ran       = []
    held_back = { lightningd-down = "guard" }
  }
  at "2m" {
    observe "ibd" {
      values = { value = 0 }
    }
  }
  expect "3m" {
    ran = ["lightningd-down"]
  }
}

test "a Redis that is gone is restarted" {
  at "0s" {
    observe "redis" {
      status = "critical"
    }
  }
  expect "30s" {
    did = ["redis-down"]
  }
}

test "a box that is too hot says so" {
  at "0s" {
    observe "heat" {
      status = "critical"
    }
  }
  expect "1m" {
    did = ["too-hot"]
  }
}
