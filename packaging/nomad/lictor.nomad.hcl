# Lictor on every client of a Nomad cluster, as the program itself and not in a container: so it sees the machine.
# `nomad job run lictor.nomad.hcl`; the client needs the driver `exec` and, for the state, a host volume `lictor`:
#
#   client {
#     host_volume "lictor" {
#       path = "/var/lib/lictor"
#     }
#   }
#
# To watch Consul's checks and copy its keys, `type = "service"` and `count = 2` are enough: one of them acts under a lease,
# the other stands by.
job "lictor" {
  datacenters = ["*"]
  type        = "system"

  update {
    max_parallel     = 1
    min_healthy_time = "10s"
    auto_revert      = true
  }

  group "lictor" {
    network {
      port "http" {
        static = 8510
      }
    }

    volume "state" {
      type   = "host"
      source = "lictor"
    }

    service {
      name = "lictor"
      port = "http"
      # Not /-/ready: an agent that is not ready says why, and Nomad is not to restart it for that.
      check {
        type     = "http"
        path     = "/-/healthy"
        interval = "10s"
        timeout  = "2s"
      }
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    task "lictor" {
      driver = "exec"

      # The archive of a release, with its sum from SHA256SUMS.
      artifact {
        source      = "https://example.net/lictor/lictor-0.1.0-x86_64-unknown-linux-gnu.tar.gz"
        destination = "local"
        # options {
        #   checksum = "sha256:…"
        # }
      }

      config {
        command = "local/lictor-0.1.0-x86_64-unknown-linux-gnu/bin/lictor"
        args    = ["run", "--config", "${NOMAD_TASK_DIR}/lictor.d"]
      }

      volume_mount {
        volume      = "state"
        destination = "/var/lib/lictor"
      }

      # A token of the variable nomad/jobs/lictor; with Vault the template names a secret in its place.
      template {
        destination = "${NOMAD_SECRETS_DIR}/http-token"
        perms       = "0600"
        data        = "{{ with nomadVar \"nomad/jobs/lictor\" }}{{ .http_token }}{{ end }}"
      }

      # A change is read without a restart; a bad one changes nothing.
      template {
        destination   = "${NOMAD_TASK_DIR}/lictor.d/lictor.hcl"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        data          = <<-LICTOR
        node {
          name = "{{ env "node.unique.name" }}"
        }

        http {
          address    = "0.0.0.0:8510"
          token_file = "{{ env "NOMAD_SECRETS_DIR" }}/http-token"
        }

        consul {
        }

        watch "disk" "disks" {
          every = "1m"
        }
        LICTOR
      }

      # An action that runs goes on to its end or its limit.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      resources {
        cpu    = 100
        memory = 128
        memory_max = 512
      }
    }
  }
}
