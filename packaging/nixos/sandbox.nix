# What both services share: how they are kept running, and all that they may not do.
# The units in ../systemd say the same.
{
  # The old services began after this target too; a machine without network is one to tell of.
  after = [ "network.target" ];
  wantedBy = [ "multi-user.target" ];

  # Never given up: nobody may be there to start it by hand.
  unitConfig.StartLimitIntervalSec = 0;

  serviceConfig = {
    Type = "exec";
    Restart = "always";
    RestartSec = "5s";
    TimeoutStopSec = "30s";
    KillMode = "mixed";

    # A user that exists while the service runs.
    DynamicUser = true;
    UMask = "0077";
    MemoryMax = "512M";
    TasksMax = 512;
    LimitNOFILE = 65536;
    LimitCORE = 0;

    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    NoNewPrivileges = true;
    RestrictSUIDSGID = true;
    PrivateUsers = true;

    ProtectSystem = "strict";
    PrivateMounts = true;
    # Not hidden: the fill of /home would be that of an empty stand-in.
    ProtectHome = "read-only";
    PrivateTmp = true;
    PrivateDevices = true;
    ProtectKernelTunables = true;
    ProtectKernelModules = true;
    ProtectKernelLogs = true;
    ProtectControlGroups = true;
    ProtectClock = true;
    ProtectHostname = true;
    ProtectProc = "invisible";

    # IP, local sockets for name resolution and the journal, netlink for the machine's own addresses.
    RestrictAddressFamilies = "AF_INET AF_INET6 AF_UNIX AF_NETLINK";
    RestrictNamespaces = true;
    RestrictRealtime = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
    ];
    SystemCallErrorNumber = "EPERM";
  };
}
