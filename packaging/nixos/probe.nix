# `sentinella-probe`: what this machine says of itself to whoever asks.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkMerge mkOption types;
  words = import ./words.nix { inherit lib; };
  sandbox = import ./sandbox.nix;

  inherit (config.hectic.services."sentinèlla") package;
  cfg = config.hectic.services."sentinèlla".probe;
  path = ''hectic.services."sentinèlla".probe'';

  # Only root, or who has this, may listen below 1024, and only in the machine's own name space of users.
  low = {
    CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
    AmbientCapabilities = "CAP_NET_BIND_SERVICE";
    PrivateUsers = false;
  };
in
{
  options.hectic.services."sentinèlla".probe = {
    enable = lib.mkEnableOption "the probe, which tells of this machine over HTTP";

    port = mkOption {
      type = types.port;
      default = 5988;
      description = "The TCP port it listens on.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the firewall lets others reach the port. Switch it off behind a proxy on this machine.";
    };

    urls = mkOption {
      type = types.listOf words.word;
      default = [ ];
      example = [ "https://example.com/health" ];
      description = "URLs that are looked at.";
    };

    volumes = mkOption {
      type = types.listOf words.word;
      default = [ ];
      example = [ "/" "/srv" ];
      description = "Mount points whose fill is told. None: all that `df` shows.";
    };

    authFile = mkOption {
      type = words.file;
      default = null;
      description = ''
        File of `user:password` lines; without one everybody may ask. It is read when the service starts,
        so restart that when the file changes. One that cannot be read keeps the service from starting.
      '';
    };

    environmentFile = mkOption {
      type = words.file;
      default = null;
      description = ''
        File of `NAME=value` lines with PORT, URLS, VOLUMES, TIMEOUT or AUTH_FILE; what it says wins.
        The firewall is opened for the option `port` only, and an AUTH_FILE that is named here must be
        readable by the service itself: better use the option.
      '';
    };
  };

  config = mkIf cfg.enable {
    warnings = words.inStore {
      "${path}.authFile" = cfg.authFile;
      "${path}.environmentFile" = cfg.environmentFile;
    };

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [ cfg.port ];

    systemd.services.sentinella-probe = mkMerge [
      sandbox
      {
        description = "sentinèlla probe, tells of this machine";
        environment = {
          PORT = toString cfg.port;
          URLS = mkIf (cfg.urls != [ ]) (words.list cfg.urls);
          VOLUMES = mkIf (cfg.volumes != [ ]) (words.list cfg.volumes);
          AUTH_FILE = mkIf (cfg.authFile != null) (words.credentialPath "auth");
        };
        serviceConfig = {
          # Open as the old one: to everybody the firewall lets through, unless AUTH_FILE asks for a password.
          ExecStart = "${package}/bin/lictor probe --open";
          LoadCredential = mkIf (cfg.authFile != null) [ (words.credential "auth" cfg.authFile) ];
          EnvironmentFile = mkIf (cfg.environmentFile != null) [ (words.literal cfg.environmentFile) ];
        };
      }
      (mkIf (cfg.port < 1024) { serviceConfig = lib.mapAttrs (_name: lib.mkForce) low; })
    ];
  };
}
