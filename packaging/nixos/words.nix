# Values on their way into a unit.
{ lib }:
rec {
  # What systemd would take for a specifier, such as the %20 of a URL, reaches the program as it is.
  literal = text: builtins.replaceStrings [ "%" ] [ "%%" ] (toString text);

  # The programs split lists at blanks. One variable holds them all: NixOS writes `environment`
  # quoted, so systemd does not cut it.
  list = items: literal (lib.concatStringsSep " " items);

  # A piece of such a list.
  word = lib.types.strMatching "[^[:space:]]+";

  # A file that is read when the service starts. `toString` and never "${file}", which would copy it
  # into the store, where everybody may read it.
  file = lib.types.nullOr lib.types.path;

  # Gives a service the file as a credential: systemd reads it as root and shows it to that service alone.
  credential = name: file: "${name}:${literal file}";

  # Where the service finds it (%d is the directory of its credentials).
  credentialPath = name: "%d/${name}";

  # A warning for each of these that is in the store.
  inStore =
    files:
    map (name: "${name} is a file in the Nix store, where everybody may read it") (
      lib.filter (name: files.${name} != null && lib.hasPrefix builtins.storeDir (toString files.${name})) (
        lib.attrNames files
      )
    );
}
