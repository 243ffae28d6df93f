node {
  name      = "dev"
  state_dir = @STATE_DIR@
}

http {
  address = "127.0.0.1:@PAGE_PORT@"
}

# The demonstration service. Break it (kill it, or stop it with kill -STOP) and watch.
watch "http" "demo" {
  url        = "http://127.0.0.1:@SERVICE_PORT@/"
  every      = "1s"
  timeout    = "1s"
  fail_after = 2
  grace      = "5s"
}

watch "process" "demo-process" {
  pid_file = @PID_FILE@
  every    = "2s"
}

# This machine.
watch "disk" "disks" {
  every = "5s"
}

check "demonstration" {
  all = [check.demo, check.demo-process]
}

remedy "revive" {
  on       = check.demo == "critical"
  cooldown = "5s"

  step "restart" {
    act "exec" {
      command = [@PROGRAM@, "demo-service", "start", @STATE_DIR@, "@SERVICE_PORT@"]
    }
    timeout  = "10s"
    attempts = 3
    repeat   = "idempotent"
  }

  step "settle" {
    wait_for = check.demo == "passing"
    hold     = "3s"
    deadline = "30s"
  }
}
