# A stand-in for the `lib` of nixpkgs: as much of it as the modules beside it use, with the same names
# and meanings, so that they can be evaluated where nixpkgs cannot be had. Options are declared,
# definitions are merged by priority, types are checked, and what nobody declared is refused. It is
# no proof that the real one agrees in everything.
let
  inherit (builtins)
    all any attrNames attrValues concatLists concatMap elem elemAt filter foldl' head isAttrs isBool
    isInt isList isString length listToAttrs match toJSON;

  kind = value: if isAttrs value then value._type or "" else "";
  unique = foldl' (seen: item: if elem item seen then seen else seen ++ [ item ]) [ ];
  named = name: value: { inherit name value; };

  # What stands at a place, out of its `mkMerge`s and `mkIf`s: values with their priority. A condition is
  # handed down to what an attribute set holds and not looked at before, so that it may depend on options.
  below =
    definition:
    let
      handed = {
        merge = concatMap below definition.contents;
        "if" = map (builtins.mapAttrs (_name: mkIf definition.condition)) (below definition.content);
      };
    in
    handed.${kind definition} or [ definition ];

  values =
    definition:
    let
      found = {
        merge = concatMap values definition.contents;
        "if" = if definition.condition then values definition.content else [ ];
        override = map (value: value // { inherit (definition) priority; }) (values definition.content);
      };
    in
    found.${kind definition} or [ { priority = 100; value = definition; } ];

  # The values that count: those of the lowest number.
  strongest =
    found:
    let
      least = foldl' (least: item: if item.priority < least then item.priority else least) 9999 found;
    in
    map (item: item.value) (filter (item: item.priority == least) found);

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };

  # The value of an option at `path`, from what was said at that place.
  decided =
    path: option: definitions:
    let
      found = concatMap values definitions;
      defaults = if option ? default then [ { priority = 1500; value = option.default; } ] else [ ];
      chosen = strongest (found ++ defaults);
      wrong = filter (value: !option.type.check value) chosen;
    in
    if chosen == [ ] then
      throw "The option `${path}' was accessed but has no value defined."
    else if wrong != [ ] then
      throw "A definition for option `${path}' is not of type `${option.type.name}': ${toJSON (head wrong)}"
    else
      option.type.merge path chosen;

  # The values of all options of a tree.
  filled =
    path: options: definitions:
    let
      sets = concatMap below definitions;
      at = name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;
      unknown = filter (name: !(options ? ${name})) (unique (concatMap attrNames sets));
      here = name: if path == "" then name else "${path}.${name}";
    in
    if unknown != [ ] then
      throw "The option `${here (head unknown)}' does not exist."
    else
      builtins.mapAttrs (
        name: option:
        if kind option == "option" then decided (here name) option (at name) else filled (here name) option (at name)
      ) options;

  # Two trees of options as one.
  joined =
    one: other:
    one
    // builtins.mapAttrs (
      name: value: if one ? ${name} && kind value != "option" then joined one.${name} value else value
    ) other;

  same =
    path: chosen:
    if all (value: value == head chosen) chosen then
      head chosen
    else
      throw "The option `${path}' has conflicting definition values: ${toJSON chosen}";

  type = name: check: { inherit name check; merge = same; };
in
rec {
  inherit mkIf mkOverride;
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkOption = option: option // { _type = "option"; };
  mkEnableOption = what: mkOption {
    type = types.bool;
    default = false;
    description = "Whether to enable ${what}.";
  };
  literalExpression = text: { _type = "literalExpression"; inherit text; };

  inherit (builtins) attrNames concatStringsSep filter mapAttrs;
  mapAttrsToList = f: set: attrValues (builtins.mapAttrs f set);
  filterAttrs =
    keep: set: listToAttrs (map (name: named name set.${name}) (filter (name: keep name set.${name}) (attrNames set)));
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  optional = condition: item: if condition then [ item ] else [ ];

  types = rec {
    bool = type "boolean" isBool;
    str = type "string" isString;
    path = type "path" (value: (isString value || builtins.isPath value) && hasPrefix "/" (toString value));
    package = type "package" (value: value ? outPath);
    port = type "16 bit unsigned integer" (value: isInt value && value >= 0 && value <= 65535);
    ints.positive = type "positive integer" (value: isInt value && value > 0);
    enum = words: type "one of ${toJSON words}" (value: elem value words);
    strMatching = pattern: type "string matching ${pattern}" (value: isString value && match pattern value != null);
    nullOr = inner: {
      name = "null or ${inner.name}";
      check = value: value == null || inner.check value;
      merge = path: chosen: if any (value: value == null) chosen then same path chosen else inner.merge path chosen;
    };
    listOf = inner: {
      name = "list of ${inner.name}";
      check = value: isList value && all inner.check value;
      merge = _path: concatLists;
    };
    # Values below a name each; a list in one definition is joined with those of others.
    attrsOf = inner: {
      name = "attribute set of ${inner.name}";
      check = isAttrs;
      merge =
        path: chosen:
        let
          sets = concatMap below chosen;
          names = unique (concatMap attrNames sets);
          said = name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;
          kept = filter (name: concatMap values (said name) != [ ]) names;
        in
        listToAttrs (map (name: named name (decided "${path}.${name}" { type = inner; } (said name))) kept);
    };
    # Sets are joined, however deep; all else must be the same wherever it is said.
    anything = {
      name = "anything";
      check = _value: true;
      merge = path: chosen: if all isAttrs chosen then (attrsOf anything).merge path chosen else same path chosen;
    };
    unspecified = {
      name = "unspecified";
      check = _value: true;
      merge = path: chosen: if all isList chosen then concatLists chosen else same path chosen;
    };
    submodule = options: {
      name = "submodule";
      check = isAttrs;
      merge = path: chosen: filled path options chosen;
    };
  };

  # The values of all options that a module and those it imports declare, with what they define.
  evalModules =
    modules: arguments:
    let
      opened =
        module:
        let
          file = if builtins.isPath module then import module else module;
          parts = if builtins.isFunction file then file (arguments // { inherit config; }) else file;
        in
        if parts ? options || parts ? config || parts ? imports then
          concatMap opened (parts.imports or [ ])
          ++ [ { options = parts.options or { }; config = parts.config or { }; } ]
        else
          [ { options = { }; config = parts; } ];
      parts = concatMap opened modules;
      config = filled "" (foldl' joined { } (map (part: part.options) parts)) (map (part: part.config) parts);
    in
    config;
}
