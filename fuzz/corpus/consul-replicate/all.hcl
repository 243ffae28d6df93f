# Everything that may stand there.
consul {
  address = "127.0.0.1:8500"
  token   = "\u00e9\x41\101"

  auth {
    enabled  = true
    username = "me"
    password = "secret"
  }

  retry {
    attempts    = 12
    backoff     = "250ms"
    max_backoff = 60000000000
  }

  ssl {
    verify = false
    cert   = "/c.pem", key = "/k.pem"
  }

  transport {
    dial_timeout   = "1m30s"
    max_idle_conns = 0x10
  }
}

prefix = "global@dc1:backup"
prefix = ["one@dc1", "two@dc2:${x("y")}"]

prefix {
  source      = "three/"
  datacenter  = "dc-1.x"
  destination = <<-EOF
    three/
    EOF
}

exclude { source = "global/secret" } // not that
excludematch = "_dc1_only_"

/* the program */
kill_signal   = "SIGTERM"
reload_signal = ""
log_level     = "info"
max_stale     = "2s"
pid_file      = "/run/replicate.pid"
syslog { facility = "LOCAL5" }
wait { min = "5s" max = "10s" }
