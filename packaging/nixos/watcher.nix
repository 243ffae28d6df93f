# `sentinella-watcher`: watches the probes of the other machines and tells a Telegram chat.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkMerge mkOption types;
  words = import ./words.nix { inherit lib; };
  sandbox = import ./sandbox.nix;

  inherit (config.hectic.services."sentinèlla") package;
  cfg = config.hectic.services."sentinèlla".watcher;
  path = ''hectic.services."sentinèlla".watcher'';

  text = description: mkOption {
    type = types.nullOr types.str;
    default = null;
    inherit description;
  };

  file = description: mkOption {
    type = words.file;
    default = null;
    inherit description;
  };

  # Variable and credential of what may be given as a file.
  secrets = {
    TG_TOKEN_FILE = { name = "tg-token"; file = cfg.tgTokenFile; };
    TG_CHAT_ID_FILE = { name = "tg-chat-id"; file = cfg.tgChatIdFile; };
    PEERS_TOKEN_FILE = { name = "peers-token"; file = cfg.peersTokenFile; };
  };
  given = lib.filterAttrs (_variable: secret: secret.file != null) secrets;

  plain = value: mkIf (value != null) (words.literal value);
in
{
  options.hectic.services."sentinèlla".watcher = {
    enable = lib.mkEnableOption "the watcher of the other machines' probes";

    peersSrv = text "SRV name of all probes, such as `_sentinella._tcp.example.com`. Wins over `peersDns`.";
    peersDns = text "Name with an A or AAAA record for each probe.";
    peersPort = mkOption {
      type = types.port;
      default = 5988;
      description = "The port of all probes that `peersDns` names. SRV records have their own.";
    };
    peersScheme = mkOption {
      type = types.enum [ "http" "https" ];
      default = "http";
      description = "How the probes are asked.";
    };
    peersTokenFile = file "File with what each probe is shown as `Authorization: Basic …`: `user:password` in base64.";

    self = text "Own addresses, separated by blanks, in place of those of the interfaces: a probe there is this machine.";

    pollingIntervalSec = mkOption {
      type = types.ints.positive;
      default = 3;
      description = "Seconds between rounds.";
    };

    tgToken = text "Token of the Telegram bot. It ends in the Nix store, where everybody may read it: better use `tgTokenFile`.";
    tgTokenFile = file "File with the token of the Telegram bot.";
    tgChatId = text "The chat that is told.";
    tgChatIdFile = file "File with the chat that is told.";

    environmentFile = file ''
      File of `NAME=value` lines with any variable of the watcher, such as TG_TOKEN, TG_CHAT_ID, PEERS_TOKEN,
      PEERS_SRV or SELF; what it says wins.
    '';
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.peersSrv != null || cfg.peersDns != null || cfg.environmentFile != null;
        message = "${path} has neither peersSrv nor peersDns, nor an environmentFile that could name the peers";
      }
      {
        assertion = cfg.tgToken == null || cfg.tgTokenFile == null;
        message = "${path} has both tgToken and tgTokenFile";
      }
      {
        assertion = cfg.tgChatId == null || cfg.tgChatIdFile == null;
        message = "${path} has both tgChatId and tgChatIdFile";
      }
      {
        assertion = cfg.tgToken != null || cfg.tgTokenFile != null || cfg.environmentFile != null;
        message = "${path} has neither tgToken nor tgTokenFile, nor an environmentFile that could hold the token";
      }
      {
        assertion = cfg.tgChatId != null || cfg.tgChatIdFile != null || cfg.environmentFile != null;
        message = "${path} has neither tgChatId nor tgChatIdFile, nor an environmentFile that could name the chat";
      }
    ];

    warnings =
      lib.optional (cfg.tgToken != null) "${path}.tgToken ends in the Nix store, where everybody may read it; use tgTokenFile"
      ++ words.inStore {
        "${path}.tgTokenFile" = cfg.tgTokenFile;
        "${path}.peersTokenFile" = cfg.peersTokenFile;
        "${path}.environmentFile" = cfg.environmentFile;
      };

    systemd.services.sentinella-watcher = mkMerge [
      sandbox
      {
        description = "sentinèlla watcher, watches the other machines";
        environment = {
          PEERS_SRV = plain cfg.peersSrv;
          PEERS_DNS = plain cfg.peersDns;
          PEERS_PORT = toString cfg.peersPort;
          PEERS_SCHEME = cfg.peersScheme;
          SELF = plain cfg.self;
          TG_TOKEN = plain cfg.tgToken;
          TG_CHAT_ID = plain cfg.tgChatId;
          POLLING_INTERVAL_SEC = toString cfg.pollingIntervalSec;
          STATE_DIR = "/var/lib/sentinella";
        }
        // lib.mapAttrs (_variable: secret: words.credentialPath secret.name) given;
        serviceConfig = {
          ExecStart = "${package}/bin/lictor watcher";
          # An old directory of that name is taken over, its owner changed.
          StateDirectory = "sentinella";
          StateDirectoryMode = "0700";
          LoadCredential = mkIf (given != { }) (
            lib.mapAttrsToList (_variable: secret: words.credential secret.name secret.file) given
          );
          EnvironmentFile = mkIf (cfg.environmentFile != null) [ (words.literal cfg.environmentFile) ];
        };
      }
    ];
  };
}
