# Which Lictor runs.
{ lib, pkgs, ... }:
{
  options.hectic.services."sentinèlla".package = lib.mkOption {
    type = lib.types.package;
    default =
      pkgs.lictor or (throw ''
        nixpkgs has no package of Lictor: set hectic.services."sentinèlla".package, or add one named lictor by an overlay
      '');
    defaultText = lib.literalExpression "pkgs.lictor";
    description = "The package of Lictor, with the program bin/lictor.";
  };
}
