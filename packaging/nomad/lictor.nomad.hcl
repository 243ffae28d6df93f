# Lictor on two clients of a Nomad cluster: they watch Consul's checks and what answers over the network, and one of them
# tells and acts under a lease while the other stands by. `nomad job run lictor.nomad.hcl`.
#
# The driver `exec` keeps it from the machine it runs on. What has to do with a machine (disks, units, journals) is for an
# agent of that machine's own, from the deb or rpm.
job "lictor" {
  datacenters = ["*"]
  type        = "service"

  update {
    max_parallel     = 1
    min_healthy_time = "10s"
    auto_revert      = true
  }

  group "lictor" {
    count = 2

    # A node is called as its client, so there is one on each.
    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    # The state goes along when it comes back to the same client; what is under way lies in Consul as well.
    ephemeral_disk {
      sticky = true
      size   = 500
    }

    network {
      port "http" {
        static = 8510
      }
    }

    service {
      name = "lictor"
      port = "http"
      # Not /-/ready: an agent that is not ready says why, and is not to be restarted for that.
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

      # Secrets are items of the variable nomad/jobs/lictor; with Vault the template names a secret in its place.
      template {
        destination = "${NOMAD_SECRETS_DIR}/http-token"
        perms       = "0644"
        data        = "{{ with nomadVar \"nomad/jobs/lictor\" }}{{ .http_token }}{{ end }}"
      }

      # A change is read without a restart; a bad one changes nothing.
      template {
        destination   = "${NOMAD_TASK_DIR}/lictor.d/lictor.hcl"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        data          = <<-LICTOR
        node {
          name      = "{{ env "node.unique.name" }}"
          state_dir = "{{ env "NOMAD_ALLOC_DIR" }}/data/lictor"
        }

        http {
          address    = "0.0.0.0:8510"
          token_file = "{{ env "NOMAD_SECRETS_DIR" }}/http-token"
        }

        consul {
          address = "http://{{ env "attr.unique.network.ip-address" }}:8500"
        }

        alerts {
          consul {
          }
        }

        notify "log" "file" {
          path = "{{ env "NOMAD_ALLOC_DIR" }}/logs/alerts.log"
        }

        route "all" {
          to = ["file"]
        }
        LICTOR
      }

      # An action that runs goes on to its end or its limit.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      resources {
        cpu        = 100
        memory     = 128
        memory_max = 512
      }
    }
  }
}
