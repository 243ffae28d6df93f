# `hectic.sentinella`: probe and watcher in one go.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  words = import ./words.nix { inherit lib; };
  cfg = config.hectic.sentinella;

  optional = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };

  # What was not given leaves the longer option at its default.
  given = value: mkIf (value != null) (mkDefault value);
in
{
  options.hectic.sentinella = {
    enable = lib.mkEnableOption "the probe of this machine and the watcher of the others";
    package = optional types.package "The package of Lictor.";

    peersSrv = optional types.str "SRV name of all probes, such as `_sentinella._tcp.example.com`. Wins over `peersDns`.";
    peersDns = optional types.str "Name with an A or AAAA record for each machine, such as `peers.example.com`.";
    peersPort = optional types.port "The port of all probes that `peersDns` names, where it is not `port`.";
    peersScheme = optional (types.enum [ "http" "https" ]) "How the probes are asked: `http` where nothing is said.";
    peersTokenFile = optional types.path "File with what each probe is shown as `Authorization: Basic …`: `user:password` in base64.";
    self = optional types.str "This machine's own addresses, separated by blanks. They are found where none is given.";
    port = mkOption {
      type = types.port;
      default = 5988;
      description = "The port of this probe, and of all others unless `peersPort` is given.";
    };
    authFile = optional types.path "File of `user:password` lines for this probe; without one everybody may ask.";
    urls = mkOption {
      type = types.listOf words.word;
      default = [ ];
      description = "URLs that the probe looks at.";
    };
    volumes = mkOption {
      type = types.listOf words.word;
      default = [ ];
      description = "Mount points that the probe tells of. None: all that `df` shows.";
    };
    pollingIntervalSec = mkOption {
      type = types.ints.positive;
      default = 3;
      description = "Seconds between the rounds of the watcher.";
    };

    tgToken = optional types.str "Token of the Telegram bot. It ends in the Nix store: better use `tgTokenFile`.";
    tgTokenFile = optional types.path "File with the token of the Telegram bot.";
    tgChatId = optional types.str "The chat that is told.";
    tgChatIdFile = optional types.path "File with the chat that is told.";
    environmentFile = optional types.path "File of `NAME=value` lines for the watcher; what it says wins.";
  };

  config.hectic.services."sentinèlla" = mkIf cfg.enable {
    package = given cfg.package;
    probe = {
      enable = mkDefault true;
      port = mkDefault cfg.port;
      urls = mkDefault cfg.urls;
      volumes = mkDefault cfg.volumes;
      authFile = given cfg.authFile;
    };
    watcher = {
      enable = mkDefault true;
      peersSrv = given cfg.peersSrv;
      peersDns = given cfg.peersDns;
      peersPort = mkDefault (if cfg.peersPort == null then cfg.port else cfg.peersPort);
      peersScheme = given cfg.peersScheme;
      peersTokenFile = given cfg.peersTokenFile;
      self = given cfg.self;
      pollingIntervalSec = mkDefault cfg.pollingIntervalSec;
      tgToken = given cfg.tgToken;
      tgTokenFile = given cfg.tgTokenFile;
      tgChatId = given cfg.tgChatId;
      tgChatIdFile = given cfg.tgChatIdFile;
      environmentFile = given cfg.environmentFile;
    };
  };
}
