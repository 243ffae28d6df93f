//! Configuration texts: whatever is in the file, one gets a configuration or a list of
//! mistakes that can be shown, and never a panic.

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::Target;

/// HCL, as in `*.hcl`.
pub(super) const HCL: Target =
    Target { name: "config-hcl", about: "configuration in HCL", dictionary: WORDS, run: hcl };

/// JSON of the same shape, as in `*.json`.
pub(super) const JSON: Target =
    Target { name: "config-json", about: "configuration in JSON", dictionary: WORDS, run: json };

const WORDS: &[&str] = &[
    "node",
    "http",
    "consul",
    "agent",
    "watch",
    "check",
    "rule",
    "remedy",
    "step",
    "act",
    "match",
    "flap",
    "{\n",
    "}\n",
    "[",
    "]",
    "\"",
    "\"\"",
    " = ",
    " == ",
    " && ",
    " || ",
    "!",
    "(",
    ")",
    ".",
    "#",
    "//",
    "/*",
    "*/",
    "<<E\n",
    "<<-E\n",
    "\nE\n",
    "${",
    "%{",
    "$${",
    "\\u",
    "\\n",
    "check.",
    "value.",
    "match.",
    "step.",
    "remedy.",
    "changed(",
    "no_data(",
    "\"critical\"",
    "\"3 in 1h\"",
    "\"10s\"",
    "\"1h 30m\"",
    "\"10GiB\"",
    "\"85%\"",
    "\"2xx\"",
    "null",
    "true",
    "on",
    "every",
    "url",
    "command",
    "_file",
    "_env",
];

fn hcl(bytes: &[u8]) {
    parse("fuzz.hcl", bytes);
}

fn json(bytes: &[u8]) {
    parse("fuzz.json", bytes);
}

fn parse(name: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // In an empty environment: no variable and no file of this machine is looked at.
    let again = lictor_config::parse(name, &text);
    match lictor_config::parse(name, &text) {
        Ok(loaded) => {
            let digest = again.map(|again| again.digest);
            assert_eq!(digest.ok(), Some(loaded.digest), "the same text gives another digest");
        }
        Err(failure) => {
            assert!(!failure.errors.is_empty(), "refused, and no mistake is named");
            // What `validate` shows must be showable, in all three forms.
            drop(failure.to_json().to_string());
            failure.lines().for_each(drop);
            let mut shown = String::new();
            let rendered = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                .with_width(100)
                .render_report(&mut shown, &failure);
            assert!(rendered.is_ok(), "the mistakes cannot be shown");
        }
    }
}
