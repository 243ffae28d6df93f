# The agent, `services.lictor` (docs/install.md), and the services `sentinella-probe` and `sentinella-watcher`,
# run by Lictor (docs/peers-nixos.md).
#
# Import this directory in a NixOS configuration. There are two sets of options of probe and watcher,
# as machines have them today: `hectic.sentinella` (both services in one go) and
# `hectic.services."sentinèlla".{probe,watcher}`. The first only fills in the second, so both may be
# used beside each other, and what the second says wins.
{
  imports = [
    ./lictor.nix
    ./package.nix
    ./probe.nix
    ./watcher.nix
    ./both.nix
  ];
}
