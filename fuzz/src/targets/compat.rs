//! What old programs left behind: templates in Go's language, trees of keys, and configuration files.

use lictor_compat::consul_alerts::{
    CheckRef, Message, PREFIX, Settings, import, state::CheckState, template_data,
};
use lictor_compat::consul_replicate::{Flags, Given, Note, Start};
use lictor_compat::gotemplate::{Mode, OUTPUT_LIMIT, Template};

use super::Target;

/// Templates, in both modes.
pub(super) const TEMPLATE: Target =
    Target { name: "gotemplate", about: "templates in Go's language", dictionary: WORDS, run: template };

/// The keys of consul-alerts: a line is a key, a tab and its value.
pub(super) const KEYS: Target = Target {
    name: "consul-alerts",
    about: "keys and records of consul-alerts",
    dictionary: KEY_WORDS,
    run: keys,
};

/// The configuration files of consul-replicate, in HCL's first version or in JSON.
pub(super) const REPLICATE: Target = Target {
    name: "consul-replicate",
    about: "configuration files and notes of consul-replicate",
    dictionary: FILE_WORDS,
    run: replicate,
};

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{/*",
    "*/}}",
    "{{end}}",
    "{{else}}",
    "{{if .IsCritical}}",
    "{{range $i, $x := .Nodes}}",
    "{{with .Nodes}}",
    "{{define \"x\"}}",
    "{{template \"x\" .}}",
    "{{block \"x\" .}}",
    "{{break}}",
    "{{continue}}",
    ".Timestamp.Format",
    ".Nodes",
    ".Check",
    "$x",
    ":=",
    "|",
    "(",
    ")",
    "print",
    "printf \"%9.3d%v%q\"",
    "index",
    "slice",
    "html",
    "urlquery",
    "js",
    "eq",
    "\\u00e9",
    "'",
    "`",
    "<a href=\"",
    "<p style='",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<title>",
    "</title>",
];

const KEY_WORDS: &[&str] = &[
    "\nconsul-alerts/config/",
    "\t",
    "checks/blacklist/nodes",
    "checks/single/n/_/c/change-threshold",
    "notif-profiles/default",
    "notif-selection/services",
    "notifiers/slack/url",
    "notifiers/custom/x",
    "{\"Interval\":",
    "\"NotifList\":",
    "\"VarOverrides\":",
    "[\"(",
    "true",
    "-1",
    "{",
    "}",
    "[",
    "]",
    "\"",
];

const FILE_WORDS: &[&str] = &[
    "prefix = \"a@dc1:b\"\n",
    "prefix {",
    "source = ",
    "datacenter",
    "consul {",
    "retry {",
    "consul \"ssl\" {",
    "exclude = [",
    "wait = \"5s:10s\"",
    "max_stale = ",
    "LastReplicated",
    "true",
    "0x1f",
    "1e3",
    "<<EOF\n",
    "<<-EOF\n",
    "\nEOF\n",
    "${",
    "/*",
    "*/",
    "//",
    "#",
    "\\u00e9",
    "\\x41",
    "{",
    "}",
    "[",
    "]",
    "\"",
];

/// Whatever the template, it ends, and its result is bounded.
fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let message = |node: &str, status: &str| Message {
        node: node.to_owned(),
        status: status.to_owned(),
        output: "<95%> & \"more\"".to_owned(),
        ..Message::default()
    };
    let data = template_data("c", &[message("n1", "critical"), message("n2", "passing")]);
    for mode in [Mode::Text, Mode::Html] {
        let page = Template::parse(&text, mode).and_then(|template| template.render(&data));
        assert!(page.map_or(0, |page| page.len()) <= OUTPUT_LIMIT, "a result is too long");
    }
}

/// Any tree gives settings; a record that was read is the same after it was written and read again.
fn keys(bytes: &[u8]) {
    let pairs = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let (key, value) = line.split_at(tab);
        Some((std::str::from_utf8(key).ok()?, value.get(1..).unwrap_or_default()))
    });
    let settings = Settings::read(PREFIX, pairs);
    drop(settings.told(&CheckRef { node: "n", service_id: "s", check_id: "c", status: "critical" }));
    drop(import(&settings, None));
    if let Ok(state) = CheckState::from_json(bytes) {
        let again = state.to_json().map(|json| CheckState::from_json(json.as_bytes()));
        assert_eq!(again, Ok(Ok(state)), "a state changed on its way through Consul");
    }
    if let Ok(message) = Message::from_json(bytes) {
        let again = message.to_json().map(|json| Message::from_json(json.as_bytes()));
        assert_eq!(again, Ok(Ok(message)), "a reminder changed on its way through Consul");
    }
}

/// Whatever stands in a file, it is read or refused; no two prefixes of what is read write to the same keys. A note that was
/// read is the same after it was written and read again.
fn replicate(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(given) = Given::read("x", &text)
        && let Ok(start) = Start::new(&Flags::default(), &[given], |_| None)
    {
        let mut places: Vec<_> = start.prefixes.iter().map(|prefix| &prefix.destination).collect();
        places.sort();
        assert!(places.is_sorted_by(|one, other| one < other), "two prefixes write to the same keys");
    }
    if let Ok(note) = Note::read(bytes) {
        let again = note.to_json().map(|json| Note::read(json.as_bytes()));
        assert!(matches!(again, Ok(Ok(read)) if read == note), "a note changed on its way through Consul");
    }
}
