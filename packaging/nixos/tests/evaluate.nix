# What NixOS would be told with a configuration: the services, and the units as it writes them.
#
#   nix-instantiate --eval --strict --json evaluate.nix --arg configuration '{ hectic.sentinella.enable = true; }'
{
  configuration,
  # Where Lictor is installed.
  lictor ? "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-lictor",
}:
let
  lib = import ./lib.nix;
  inherit (lib) mkOption types;

  # What the modules need of NixOS.
  nixos.options = {
    assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    warnings = mkOption { type = types.listOf types.str; default = [ ]; };
    environment.systemPackages = mkOption { type = types.listOf types.package; default = [ ]; };
    environment.etc = mkOption {
      default = { };
      type = types.attrsOf (types.submodule { text = mkOption { type = types.str; }; });
    };
    security.polkit.enable = mkOption { type = types.bool; default = false; };
    security.polkit.extraConfig = mkOption { type = types.str; default = ""; };
    systemd.tmpfiles.rules = mkOption { type = types.listOf types.str; default = [ ]; };
    networking.firewall.allowedTCPPorts = mkOption { type = types.listOf types.port; default = [ ]; };
    systemd.services = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          description = mkOption { type = types.str; default = ""; };
          after = mkOption { type = types.listOf types.str; default = [ ]; };
          reloadTriggers = mkOption { type = types.listOf types.str; default = [ ]; };
          wantedBy = mkOption { type = types.listOf types.str; default = [ ]; };
          environment = mkOption { type = types.attrsOf (types.nullOr types.str); default = { }; };
          unitConfig = mkOption { type = types.attrsOf types.unspecified; default = { }; };
          serviceConfig = mkOption { type = types.attrsOf types.unspecified; default = { }; };
        }
      );
    };
  };

  config = lib.evalModules [ nixos ../default.nix configuration ] {
    inherit lib;
    pkgs.lictor.outPath = lictor;
    pkgs.coreutils.outPath = "";
  };

  # As NixOS writes units: a line for each item of a list, and variables in double quotes.
  word = value: if builtins.isBool value then (if value then "true" else "false") else toString value;
  lines = name: value: map (item: "${name}=${word item}") (if builtins.isList value then value else [ value ]);
  section = name: set: [ "[${name}]" ] ++ builtins.concatLists (lib.mapAttrsToList lines set);
  variables = set: lib.mapAttrsToList (name: value: "Environment=${builtins.toJSON "${name}=${value}"}") set;
  unit =
    service:
    lib.concatStringsSep "\n" (
      section "Unit" (service.unitConfig // { Description = service.description; After = service.after; })
      ++ section "Service" service.serviceConfig
      ++ variables (lib.filterAttrs (_name: value: value != null) service.environment)
    )
    + "\n";
in
{
  services = config.systemd.services;
  units = builtins.mapAttrs (_name: unit) config.systemd.services;
  ports = config.networking.firewall.allowedTCPPorts;
  failed = map (assertion: assertion.message) (lib.filter (assertion: !assertion.assertion) config.assertions);
  inherit (config) warnings;
  files = builtins.mapAttrs (_name: file: file.text) config.environment.etc;
  polkit = config.security.polkit.extraConfig;
  tmpfiles = config.systemd.tmpfiles.rules;
}
