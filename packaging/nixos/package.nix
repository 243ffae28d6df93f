# Which Lictor runs, for the agent and for probe and watcher.
{ lib, pkgs, ... }:
let
  package = option: lib.mkOption {
    type = lib.types.package;
    default =
      pkgs.lictor or (throw ''
        nixpkgs has no package of Lictor: set ${option}, or add one named lictor by an overlay
      '');
    defaultText = lib.literalExpression "pkgs.lictor";
    description = "The package of Lictor, with the program bin/lictor.";
  };
in
{
  options.services.lictor.package = package "services.lictor.package";
  options.hectic.services."sentinèlla".package = package ''hectic.services."sentinèlla".package'';
}
