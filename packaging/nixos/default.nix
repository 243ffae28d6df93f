# The services `sentinella-probe` and `sentinella-watcher`, run by Lictor.
#
# Import this directory in a NixOS configuration; docs/peers-nixos.md says how. There are two sets
# of options, as machines have them today: `hectic.sentinella` (both services in one go) and
# `hectic.services."sentinèlla".{probe,watcher}`. The first only fills in the second, so both may be
# used beside each other, and what the second says wins.
{
  imports = [
    ./package.nix
    ./probe.nix
    ./watcher.nix
    ./both.nix
  ];
}
