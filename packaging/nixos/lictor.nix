# `services.lictor`: the agent.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  words = import ./words.nix { inherit lib; };
  cfg = config.services.lictor;
  lictor = "${cfg.package}/bin/lictor";
  # One file of the directory that every command of lictor looks into.
  file = "lictor.d/nixos.json";
  directory = "/etc/lictor.d";
  allowed = "/run/lictor-allow";
  settings = builtins.toJSON cfg.settings;
in
{
  options.services.lictor = {
    enable = lib.mkEnableOption "Lictor, which keeps services alive";
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = ''
        The configuration, as its JSON form has it: a block is an attribute set, below its labels.
        It is world-readable; name files of `credentials` for what is secret.
      '';
    };
    environmentFile = mkOption {
      type = words.file;
      default = null;
      description = "File of `NAME=value` lines for what the configuration reads by `env(\"NAME\")`.";
    };
    credentials = mkOption {
      type = types.attrsOf types.path;
      default = { };
      description = "Files that the agent may read as `/run/credentials/lictor.service/NAME`, whoever owns them.";
    };
    manageUnits = mkOption {
      type = types.bool;
      default = true;
      description = "Whether polkit lets the agent do to units what its configuration names, and nothing else.";
    };
    openFirewall = mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = "Ports of listeners that other machines may reach.";
    };
  };

  config = mkIf cfg.enable {
    warnings =
      lib.optional (cfg.settings == { }) "services.lictor.settings is empty: nothing is watched"
      ++ words.inStore (
        { "services.lictor.environmentFile" = cfg.environmentFile; }
        // lib.mapAttrs (_name: path: path) cfg.credentials
      );

    environment = {
      systemPackages = [ cfg.package ];
      etc.${file}.text = settings;
    };
    networking.firewall.allowedTCPPorts = cfg.openFirewall;
    systemd.tmpfiles.rules = [ "d ${allowed} 0755 root root -" ];
    security.polkit = mkIf cfg.manageUnits {
      enable = true;
      extraConfig = builtins.readFile ../polkit/60-lictor.rules;
    };

    # The unit in ../systemd says the same, and why.
    systemd.services.lictor = {
      description = "Lictor, keeps services alive";
      after = [ "network.target" ];
      wantedBy = [ "multi-user.target" ];
      # A changed configuration is read anew; nothing that runs is cut off.
      reloadTriggers = [ settings ];
      unitConfig.StartLimitIntervalSec = 0;
      environment.MALLOC_ARENA_MAX = "1";
      # Its commands may be written in languages that compile as they run, and it looks at others' processes.
      serviceConfig = removeAttrs (import ./sandbox.nix).serviceConfig [ "MemoryDenyWriteExecute" "ProtectProc" ] // {
        Type = "notify";
        ExecStartPre = [ "-+${lictor} units --config ${directory} --write ${allowed}/units" ];
        ExecStart = "${lictor} run --config ${directory}";
        ExecReload = [
          "-+${lictor} units --config ${directory} --write ${allowed}/units"
          "${pkgs.coreutils}/bin/kill -HUP $MAINPID"
        ];
        RestartSec = "1s";
        TimeoutStartSec = "60s";
        WatchdogSec = "30s";
        KillMode = "process";
        OOMPolicy = "continue";
        User = "lictor";
        StateDirectory = "lictor";
        StateDirectoryMode = "0700";
        SupplementaryGroups = "systemd-journal";
        EnvironmentFile = mkIf (cfg.environmentFile != null) [ (words.literal cfg.environmentFile) ];
        LoadCredential = mkIf (cfg.credentials != { }) (lib.mapAttrsToList words.credential cfg.credentials);
      };
    };
  };
}
