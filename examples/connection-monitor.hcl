# qBittorrent behind a VPN, both in one Nomad allocation: when the connection dies, the torrents
# of the private tracker are stopped, the allocation is restarted, and after an hour of stability
# exactly those torrents are started again.
#
#   lictor validate examples/connection-monitor.hcl
#   lictor explain torrents --config examples/connection-monitor.hcl

node {
  name      = "kettle"
  state_dir = "/var/lib/lictor"
}

# The monitor's state lies here too, where qbitcheck keeps its own.
consul {
  address = "http://127.0.0.1:8500"
}

connection_monitor "torrents" {
  # By the end of its host name; never the announce URL, which holds your passkey.
  tracker = "tracker.example"

  # Your own address: if others ever see it, every torrent is stopped at once.
  forbidden = ["203.0.113.7"]

  qbittorrent {
    url           = "http://127.0.0.1:8080"
    user          = "admin"
    password_file = "/etc/lictor/qbittorrent-password"
  }

  # The allocation behind the Consul service `sp`. With `job` (and `group`) no Consul is needed for it.
  nomad {
    url        = "http://127.0.0.1:4646"
    token_file = "/etc/lictor/nomad-token"
    service    = "sp"
  }

  # gluetun's control server; it also says which address others see.
  vpn {
    url          = "http://127.0.0.1:8000"
    api_key_file = "/etc/lictor/gluetun-key"
  }

  # The lighter cure first.
  cures = ["vpn_restart", "allocation_restart"]
}
