//! A `connection_monitor` written out: as the watchers, the check and the remedies it stands
//! for. They are ordinary blocks, read like those that an operator writes.

#[cfg(test)]
mod tests;
mod write;

use std::fmt::Write as _;

use crate::block::connection_monitor::{self, CURES};
use crate::code::Code;
use crate::env::Env;
use crate::model::Monitor;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::report::Report;
use crate::schema::{Attribute as Known, Kind};
use crate::scope::Scope;
use crate::source::Source;
use crate::syntax::hcl;
use crate::syntax::tree::{Attribute, Block, Body};
use write::{Facts, monitor, write};

/// How a connection to somebody's server is made and shown to be ours.
const ACCESS: [&str; 11] = [
    "url",
    "api_key",
    "api_key_file",
    "api_key_env",
    "api_key_credential",
    "basic_auth",
    "ca_file",
    "cert_file",
    "key_file",
    "server_name",
    "insecure",
];

/// Adds what the monitors of a configuration stand for to it. One with a mistake is left as
/// it is: the mistake is found where it was written.
pub(crate) fn expand(
    body: &mut Body,
    sources: &mut Vec<Source>,
    env: &dyn Env,
    problems: &mut Vec<Draft>,
) -> Vec<Monitor> {
    let mut monitors = Vec::new();
    let written: Vec<Block> =
        body.blocks.iter().filter(|block| block.kind.is == connection_monitor::BLOCK.name).cloned().collect();
    if written.is_empty() {
        return monitors;
    }
    let consul = body.blocks.iter().any(|block| block.kind.is == "consul" && block.labels.is_empty());
    for block in &written {
        let [label] = block.labels.as_slice() else { continue };
        let scratch = Report::default();
        let scope = Scope { consul, ..Scope::default() };
        let expansion = {
            let decoder = Decoder::new(sources, env, &scratch, &scope);
            let reader = Reader::new(&decoder, block, &connection_monitor::SCHEMA);
            connection_monitor::check(&reader, label);
            if scratch.has_errors() {
                continue;
            }
            Expansion::new(&reader, &label.is, consul)
        };
        let Some(expansion) = expansion else { continue };
        let ours = expansion.monitor.prefix.as_str();
        let there = |other: &&Monitor| other.prefix.starts_with(ours) || ours.starts_with(&other.prefix);
        if let Some(other) = monitors.iter().find(there).filter(|_| consul) {
            let message = format!("`{}` keeps its state where `{}` does", label.is, other.name);
            let draft = Draft::new(Code::Twice, label.span, message);
            problems.push(draft.help("give one of them a `prefix` of its own"));
        }
        let file = sources.len();
        let mut found = hcl::read(file, &expansion.text, problems);
        let shown = expansion.shown(sources);
        sources.push(Source::new(&block.title(), &expansion.text));
        found.blocks.iter_mut().for_each(|block| fill(&mut block.body, &expansion.parts));
        body.blocks.append(&mut found.blocks);
        monitors.push(Monitor { expansion: shown, ..expansion.monitor });
    }
    monitors
}

/// Puts the attributes of a part in the place of each `copy = "PART"`.
fn fill(body: &mut Body, parts: &[(&'static str, Vec<Attribute>)]) {
    for block in &mut body.blocks {
        fill(&mut block.body, parts);
    }
    let mut attributes = Vec::with_capacity(body.attributes.len());
    for attribute in body.attributes.drain(..) {
        match copied(&attribute, parts) {
            Some(copies) => attributes.extend(copies.iter().cloned()),
            None => attributes.push(attribute),
        }
    }
    body.attributes = attributes;
}

fn copied<'p>(attribute: &Attribute, parts: &'p [(&'static str, Vec<Attribute>)]) -> Option<&'p [Attribute]> {
    let crate::syntax::tree::Is::Text(name) = &attribute.value.is else { return None };
    let part = parts.iter().find(|(part, _)| attribute.name.is == "copy" && part == name);
    part.map(|(_, attributes)| attributes.as_slice())
}

struct Expansion {
    text: String,
    /// What is copied as it was written.
    parts: Vec<(&'static str, Vec<Attribute>)>,
    /// The attributes among them that hold a secret.
    monitor: Monitor,
}

impl Expansion {
    fn new(reader: &Reader<'_>, name: &str, consul: bool) -> Option<Self> {
        let part = |name: &str| connection_monitor::part(reader, name).map(|body| body.attributes);
        let (qbittorrent, nomad, vpn, ip) =
            (part("qbittorrent")?, part("nomad"), part("vpn"), part("public_ip"));
        let gluetun = connection_monitor::has_gluetun(reader);
        let access = |attributes: &[Attribute]| -> Vec<Attribute> {
            attributes.iter().filter(|one| ACCESS.contains(&one.name.is.as_str())).cloned().collect()
        };
        let mut parts = vec![("qbittorrent", qbittorrent)];
        if let Some(vpn) = &vpn {
            parts.push(("vpn access", access(vpn)));
            parts.push(("vpn", vpn.clone()));
        }
        let has_ip = ip.is_some() || gluetun;
        match (ip, &vpn) {
            (Some(ip), _) => parts.push(("public_ip", ip)),
            (None, Some(vpn)) if gluetun => parts.push(("public_ip", access(vpn))),
            (None, _) => {}
        }
        let has_nomad = nomad.is_some();
        if let Some(nomad) = nomad {
            let whole = nomad.iter().filter(|one| one.name.is != "tasks").cloned().collect();
            parts.push(("nomad", whole));
            parts.push(("nomad tasks", nomad));
        }
        let named = reader.texts("cures");
        let mut cures: Vec<&'static str> =
            named.iter().filter_map(|cure| CURES.into_iter().find(|known| *known == cure.is)).collect();
        if cures.is_empty() {
            cures.push(match (has_nomad, gluetun) {
                (true, _) => "allocation_restart",
                (false, true) => "vpn_restart",
                (false, false) => "port_bounce",
            });
        }
        let lease = consul.then(|| format!("connection_monitor/{name}"));
        let facts = Facts { reader, name, has_vpn: vpn.is_some(), has_ip, cures, lease };
        let text = write(&facts).ok()?;
        let monitor = monitor(&facts)?;
        Some(Self { text, parts, monitor })
    }

    /// The text with what is copied as it was written, without secrets.
    fn shown(&self, sources: &[Source]) -> String {
        let mut shown = String::new();
        // A lease is held for a monitor, and not for what stands in its place.
        for line in self.text.lines().filter(|line| !line.starts_with("  lease = ")) {
            let marker = line.trim_start().strip_prefix("copy = \"").and_then(|rest| rest.strip_suffix('"'));
            let Some((_, attributes)) =
                marker.and_then(|name| self.parts.iter().find(|(part, _)| *part == name))
            else {
                shown.push_str(line);
                shown.push('\n');
                continue;
            };
            let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
            for attribute in attributes {
                let span = attribute.value.span;
                let literal = sources.get(span.file).and_then(|source| source.text.get(span.start..span.end));
                let value = if is_secret(&attribute.name.is) { "\"***\"" } else { literal.unwrap_or("…") };
                writeln!(shown, "{indent}{} = {value}", attribute.name.is).ok();
            }
        }
        shown
    }
}

/// Whether what is written there is a secret itself, or holds one.
fn is_secret(name: &str) -> bool {
    let mut found = false;
    crate::block::visit(&crate::block::TOP, &mut |schema| {
        found |= schema.attributes().any(|known: &Known| {
            known.name == name && matches!(known.kind, Kind::Secret | Kind::Secrets | Kind::Object(_))
        });
    });
    found
}
