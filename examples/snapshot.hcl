# Snapshots of a Consul datacenter: each hour, on this machine and in a bucket elsewhere, encrypted, and restored once a
# day to see that they can be. docs/snapshot-agent.md explains all of it.
#
#   lictor validate examples/snapshot.hcl
#   lictor snapshot status

node {
  name = "backup1"
}

consul {
  token_file = "/etc/lictor/consul-token"
}

snapshot "consul" {
  every = "1h"

  # Two days of hours, a fortnight of days, a year of months.
  keep {
    last    = 48
    daily   = 14
    monthly = 12
  }

  # `age-keygen -o key.txt` prints the public key. Keep the file where no fire reaches it and this machine does not.
  encrypt {
    recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
  }

  # Somebody is told when the newest one is older, or when one is much larger or smaller than the one before.
  max_age    = "3h"
  max_change = 50

  place "folder" "here" {
    path = "/var/backups/consul"
  }

  place "s3" "elsewhere" {
    bucket          = "backups"
    prefix          = "consul"
    region          = "eu-central-1"
    access_key_file = "/etc/lictor/s3-access-key"
    secret_key_file = "/etc/lictor/s3-secret-key"

    # The bucket is dear: less stays there.
    keep {
      last  = 1
      daily = 30
    }
  }

  # This machine may read what it has made; without `identity_file` another one has to try them.
  drill {
    cron          = "30 3 * * *"
    consul        = "/usr/bin/consul"
    identity_file = "/etc/lictor/drill-key.txt"
  }
}
