//! An environment file of the old programs as configuration of Lictor's.
//!
//! What is printed does the same as far as Lictor has the same; where it has not, a comment says so.
//! Secrets are printed, since they are the operator's own, and each is pointed out.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use super::env::{EnvError, Named, PORT, Sentinel, TG_API_URL, Watcher};
use super::envfile::variables;
use crate::Secret;
use crate::hcl::{Writer, list, quoted};

/// By which the files of the three programs are known.
const PROBE: [&str; 4] = ["PORT", "URLS", "VOLUMES", "AUTH_FILE"];
const WATCHER: [&str; 6] = ["PEERS_SRV", "PEERS_DNS", "PEERS_TOKEN", "SELF", "TG_TOKEN", "TG_CHAT_ID"];
const SENTINEL: &str = "SERVERS";

/// Stands for the name that a file does not have.
const NAME: &str = "_sentinella._tcp.example.com";

/// Why a file cannot become configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Nothing of the old programs is in it.
    #[error(
        "it has no variable of the probe ({}), the watcher ({}) or sentinel ({SENTINEL})",
        PROBE.join(", "), WATCHER.join(", ")
    )]
    Nothing,
    /// A value of it cannot be used.
    #[error(transparent)]
    Value(#[from] EnvError),
}

/// The configuration that does what the programs did which this file was the environment of.
///
/// # Errors
/// When nothing of them is in it, or a value cannot be used.
pub fn import(text: &str) -> Result<String, ImportError> {
    let found = variables(text);
    let has = |names: &[&str]| names.iter().any(|name| found.contains_key(*name));
    let sentinel = has(&[SENTINEL]) && !has(&["PEERS_SRV", "PEERS_DNS"]);
    let (probe, watcher) = (has(&PROBE), has(&WATCHER) && !sentinel);
    if !(probe || watcher || sentinel) {
        return Err(ImportError::Nothing);
    }
    let mut out = Writer::default();
    out.comment(
        "Made from an environment of sentinèlla. Read it before it is used: what is marked with TODO",
    );
    out.comment(
        "needs a decision, and what is marked with SECRET is better kept in a file (`NAME_file = \"…\"`).",
    );
    out.blank();
    if probe {
        self::probe(&found, &mut out)?;
    }
    if watcher {
        self::watcher(&found, &mut out)?;
    }
    if sentinel {
        let read = Sentinel::read(|name| found.get(name).cloned())?;
        self::sentinel(&read, &mut out);
        telegram(Some(&read.token), Some(&read.chat_id), TG_API_URL, &mut out);
    }
    Ok(out.end())
}

fn probe(found: &BTreeMap<String, String>, out: &mut Writer) -> Result<(), EnvError> {
    let get = |name: &str| found.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let words = |name: &str| get(name).unwrap_or_default().split_whitespace().map(str::to_owned);
    let timeout = super::env::timeout(&|name| get(name).map(str::to_owned))?;
    let port = match get("PORT") {
        None => PORT,
        Some(value) => value.trim().parse().map_err(|_not_a_port| EnvError::Junk {
            name: "PORT",
            value: value.to_owned(),
            wanted: "a port",
        })?,
    };
    out.block("probe", |out| {
        out.set("address", &quoted(&format!("0.0.0.0:{port}")));
        let with_scheme = |url: String| if url.contains("://") { url } else { format!("http://{url}") };
        let urls: Vec<String> = words("URLS").map(|url| quoted(&with_scheme(url))).collect();
        if !urls.is_empty() {
            out.set("urls", &list(&urls));
        }
        let volumes: Vec<String> = words("VOLUMES").map(|path| quoted(&absolute(&path))).collect();
        if !volumes.is_empty() {
            out.set("volumes", &list(&volumes));
        }
        out.set("timeout", &quoted(&written(timeout)));
        match get("AUTH_FILE") {
            Some(path) => out.set("auth_file", &quoted(&absolute(path))),
            None => {
                out.comment("As before: whoever reaches it may ask. `auth_file` asks for a password.");
                out.set("open", "true");
            }
        }
    });
    Ok(())
}

fn watcher(found: &BTreeMap<String, String>, out: &mut Writer) -> Result<(), EnvError> {
    let set = |name: &str| found.get(name).filter(|value| !value.is_empty());
    let named = set("PEERS_SRV").or(set("PEERS_DNS")).is_some();
    // What is missing may stand in another file: it is said, and the rest is written.
    let read = Watcher::read(|name| match (name, found.get(name)) {
        ("PEERS_SRV", _) if !named => Some(NAME.to_owned()),
        ("TG_TOKEN" | "TG_CHAT_ID", None) => Some("?".to_owned()),
        ("TG_TOKEN" | "TG_CHAT_ID", Some(value)) if value.is_empty() => Some("?".to_owned()),
        (_, value) => value.cloned(),
    })?;
    for remark in &read.remarks {
        out.comment(&format!("TODO: {remark}."));
    }
    if !named {
        out.comment("TODO: neither PEERS_SRV nor PEERS_DNS is in the file: name the record.");
    }
    out.block("peers", |out| {
        match &read.peers {
            Named::Srv(name) => out.set("srv", &quoted(name)),
            Named::Dns { name, port } => {
                out.set("dns", &quoted(name));
                out.set("port", &port.to_string());
            }
        }
        if !read.own.is_empty() {
            let own: Vec<String> = read.own.iter().map(|address| quoted(&address.to_string())).collect();
            out.set("own", &list(&own));
        }
        programs(&read, out);
        let announce = if read.spam { "always" } else { "changes" };
        asking(read.https, read.token.as_ref(), (read.timeout, read.interval), announce, out);
    });
    telegram(
        set("TG_TOKEN").map(|_| &read.tg_token),
        set("TG_CHAT_ID").map(|_| read.tg_chat_id.as_str()),
        &read.tg_api_url,
        out,
    );
    Ok(())
}

fn programs(read: &Watcher, out: &mut Writer) {
    let srv = matches!(read.peers, Named::Srv(_));
    for (name, command) in [("dig", read.dig.as_deref().filter(|_| srv)), ("getent", read.getent.as_deref())]
    {
        match command {
            Some(path) if path.starts_with('/') && !path.contains(char::is_whitespace) => {
                out.set(name, &quoted(path));
            }
            Some(other) => {
                out.comment(&format!("TODO: `{name}` takes the path of a program, not {}.", quoted(other)));
            }
            None => {}
        }
    }
}

/// How and how often peers are asked.
fn asking(
    https: bool,
    token: Option<&Secret>,
    (timeout, interval): (Duration, Duration),
    announce: &str,
    out: &mut Writer,
) {
    if https {
        out.set("tls", "true");
    }
    if let Some(token) = token {
        out.secret("token", token.expose());
    }
    out.set("every", &quoted(&written(interval.max(timeout))));
    out.set("timeout", &quoted(&written(timeout)));
    out.set("announce", &quoted(announce));
    if interval < timeout {
        out.comment("A look ends before the next begins, so `every` is TIMEOUT, not POLLING_INTERVAL_SEC.");
    }
    out.comment("The old program told after one failed look: `fail_after = 1`. Here two must fail.");
}

fn sentinel(read: &Sentinel, out: &mut Writer) {
    let places: Vec<Place<'_>> =
        read.servers.iter().map(|(url, token)| Place::of(url, token.as_ref())).collect();
    let alike = |a: &Place<'_>, b: &Place<'_>| a.https == b.https && a.token == b.token;
    let plain = places.iter().all(|place| place.peer.is_some());
    if let (true, Some(first), true) =
        (plain, places.first(), places.windows(2).all(|two| matches!(two, [a, b] if alike(a, b))))
    {
        return out.block("peers", |out| {
            let peers: Vec<String> =
                places.iter().filter_map(|place| place.peer.as_deref()).map(quoted).collect();
            out.set("static", &list(&peers));
            asking(first.https, first.token, (read.timeout, read.interval), "changes", out);
        });
    }
    out.comment("The servers differ in more than their addresses, so each is watched by itself.");
    let mut taken = BTreeMap::new();
    for place in &places {
        watch(place, read, &mut taken, out);
    }
}

/// One probe as a watcher of its own.
fn watch(place: &Place<'_>, read: &Sentinel, taken: &mut BTreeMap<String, u32>, out: &mut Writer) {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-.:@/".contains(c) { c } else { '-' };
    let bare = place.url.split("://").last().unwrap_or_default().trim_end_matches('/');
    let name: String = bare.chars().filter(|c| !"[]".contains(*c)).map(fits).take(100).collect();
    let count = taken.entry(name.clone()).or_insert(0);
    *count += 1;
    let name = if *count == 1 { name } else { format!("{name}-{count}") };
    out.block(&format!("watch \"http\" {}", quoted(&name)), |out| {
        out.set("url", &quoted(&format!("{}/status", place.url.trim_end_matches('/'))));
        if let Some(token) = place.token {
            let value = quoted(&format!("Basic {}", token.expose()));
            out.secret_written("headers", &format!("{{ Authorization = {value} }}"));
        }
        out.set("body_matches", &quoted("\"summary\":"));
        out.set("body_lacks", &quoted("\"ok\":false"));
        out.set("every", &quoted(&written(read.interval.max(read.timeout))));
        out.set("timeout", &quoted(&written(read.timeout)));
    });
}

/// A server of sentinel's.
struct Place<'a> {
    /// Its base URL, with a scheme.
    url: String,
    /// `host:port`, if there is no more to it.
    peer: Option<String>,
    https: bool,
    token: Option<&'a Secret>,
}

impl<'a> Place<'a> {
    fn of(url: &str, token: Option<&'a Secret>) -> Self {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
        let https = scheme == "https";
        let usual = if https { 443 } else { 80 };
        let authority = rest.trim_end_matches('/');
        let odd = |c: char| "/?#@".contains(c) || c.is_whitespace();
        let port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
        let peer = match authority.rsplit_once(':') {
            Some((host, _)) if authority.contains(odd) || host.is_empty() => None,
            // The colon is one of the address.
            Some(_) if authority.ends_with(']') => Some(format!("{authority}:{usual}")),
            Some((_, written)) => port(written).then(|| authority.to_owned()),
            None if authority.is_empty() || authority.contains(odd) => None,
            None => Some(format!("{authority}:{usual}")),
        };
        let peer = peer.filter(|_| matches!(scheme, "http" | "https"));
        Self { url, peer, https, token }
    }
}

/// Who is told.
fn telegram(token: Option<&Secret>, chat: Option<&str>, url: &str, out: &mut Writer) {
    let (Some(token), Some(chat)) = (token, chat) else {
        return out.comment(
            "TODO: TG_TOKEN and TG_CHAT_ID are not both in the file: say who is told with `notify`.",
        );
    };
    out.block("notify \"telegram\" \"telegram\"", |out| {
        out.secret("token", token.expose());
        out.set("chat_id", &quoted(chat));
        if url != TG_API_URL {
            out.set("url", &quoted(url));
        }
    });
    out.block("route", |out| out.set("to", &list(&[quoted("telegram")])));
}

/// Services had `/` as their directory.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// A duration as the configuration has it.
fn written(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ms", time.as_millis().max(1))
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
