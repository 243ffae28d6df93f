//! Configuration files.

use std::fmt;
use std::time::Duration;

use lictor_core::replicate::{Exclude, Prefix};

use super::given::{Auth, Consul, Given, Retry, Ssl, Syslog, Wait};
use super::prefix::{exclude, exclude_match, prefix};
use super::signal::Signal;
use super::start::STATUS_DIR;
use crate::hcl1::{self, Node, Object, Place, Value};
use crate::{Secret, goduration};

/// A file that cannot be used: every mistake, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    path: String,
    mistakes: Vec<(Place, String)>,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (at, why)) in self.mistakes.iter().enumerate() {
            let before = if number == 0 { "" } else { "\n" };
            write!(f, "{before}from file: {}:{at}: {why}", self.path)?;
        }
        Ok(())
    }
}

impl std::error::Error for FileError {}

/// What may stand in a file outside of all blocks; the last five are of before.
const KEYS: &[&str] = &[
    "consul",
    "delete",
    "exclude",
    "excludematch",
    "kill_signal",
    "log_level",
    "max_stale",
    "pid_file",
    "prefix",
    "reload_signal",
    "repair",
    "status_dir",
    "syslog",
    "wait",
    "auth",
    "path",
    "retry",
    "ssl",
    "token",
];

impl Given {
    /// Reads a file in HCL's first version or in JSON. The path is for messages.
    ///
    /// # Errors
    /// What cannot be read, or is not known, with its place.
    pub fn read(path: &str, text: &str) -> Result<Self, FileError> {
        let failed = |mistakes| FileError { path: path.to_owned(), mistakes };
        let object = hcl1::read(text).map_err(|error| failed(vec![(error.at, error.why)]))?;
        let mut reader = Reader { path, mistakes: Vec::new(), remarks: Vec::new() };
        let mut given = reader.file(&object);
        if !reader.mistakes.is_empty() {
            reader.mistakes.sort();
            return Err(failed(reader.mistakes));
        }
        given.remarks = reader.remarks;
        Ok(given)
    }
}

struct Reader<'a> {
    path: &'a str,
    mistakes: Vec<(Place, String)>,
    remarks: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, object: &Object) -> Given {
        let mut given = Given::default();
        let fields = self.known("", object, KEYS);
        for (key, node) in &fields {
            match *key {
                // Of several blocks the last one counts, and nothing of the others.
                "consul" => given.consul = self.consul(node),
                "syslog" => given.syslog = self.syslog(node),
                "wait" => given.wait = self.wait(node),
                "prefix" => {
                    let read = self.list(node, "prefix", prefix, Self::prefix_block);
                    given.prefixes.extend(read);
                }
                "exclude" | "excludematch" => {
                    let reads = excluder(key);
                    let read = self.list(node, key, reads, |reader, node| reader.exclude_block(key, node));
                    given.excludes.extend(read);
                }
                "kill_signal" => given.kill_signal = self.signal(key, node),
                "reload_signal" => given.reload_signal = self.signal(key, node),
                "log_level" => given.log_level = self.text(key, node),
                "max_stale" => given.max_stale = self.duration(key, node),
                "pid_file" => given.pid_file = self.text(key, node),
                "delete" => given.delete = self.boolean(key, node),
                "repair" => given.repair = self.boolean(key, node),
                "status_dir" => self.status_dir(node),
                _ => {}
            }
        }
        for (key, node) in &fields {
            self.of_before(key, node, &mut given.consul);
        }
        let texts = |(key, node): &&(&str, &Node)| *key == "prefix" && matches!(node.value, Value::Text(_));
        let repeated = fields.iter().filter(texts).nth(1);
        if let Some((_, node)) = repeated {
            let what = "the old program took the last one only, here each counts";
            self.remark(node.at, &format!("`prefix = …` stands there once more; {what}"));
        }
        given
    }

    /// What has its place in the block `consul` now.
    fn of_before(&mut self, key: &str, node: &Node, consul: &mut Consul) {
        match key {
            "auth" => consul.auth = self.auth(node),
            "ssl" => consul.ssl = self.ssl(node),
            "retry" if matches!(node.value, Value::Object(_)) => consul.retry = self.retry(node),
            "retry" => {
                let time = self.duration(key, node);
                consul.retry = Retry { backoff: time, max_backoff: time, ..Retry::default() };
            }
            "token" => consul.token = self.text(key, node).map(Secret::new),
            "path" => {
                self.remark(node.at, "`path` has no effect; -config names files");
                return;
            }
            _ => return,
        }
        self.remark(node.at, &format!("`{key}` is deprecated; it belongs into the block `consul`"));
    }

    fn status_dir(&mut self, node: &Node) {
        // The old program let the default of its flag win over it: where statuses are looked for must stay the same.
        let Some(dir) = self.text("status_dir", node) else { return };
        if dir != STATUS_DIR {
            let what = "it never had an effect in a file, and the statuses stay where they were";
            self.remark(node.at, &format!("`status_dir` is left out: {what}; -status-dir has one"));
        }
    }

    fn consul(&mut self, node: &Node) -> Consul {
        const KEYS: &[&str] =
            &["address", "auth", "namespace", "retry", "ssl", "token", "token_file", "transport"];
        let mut consul = Consul::default();
        if let Value::Text(address) = &node.value {
            self.remark(node.at, "`consul = \"…\"` is deprecated; write `consul { address = \"…\" }`");
            consul.address = Some(address.clone());
            return consul;
        }
        for (key, node) in self.fields("consul", node, KEYS) {
            let name = format!("consul.{key}");
            match key {
                "address" => consul.address = self.text(&name, node),
                "auth" => consul.auth = self.auth(node),
                "namespace" => consul.namespace = self.text(&name, node),
                "retry" => consul.retry = self.retry(node),
                "ssl" => consul.ssl = self.ssl(node),
                "token" => consul.token = self.text(&name, node).map(Secret::new),
                "token_file" => consul.token_file = self.text(&name, node),
                "transport" => self.transport(node, &mut consul),
                _ => {}
            }
        }
        consul
    }

    fn auth(&mut self, node: &Node) -> Auth {
        let mut auth = Auth::default();
        for (key, node) in self.fields("consul.auth", node, &["enabled", "username", "password"]) {
            let name = format!("consul.auth.{key}");
            match key {
                "enabled" => auth.enabled = self.boolean(&name, node),
                "username" => auth.username = self.text(&name, node),
                "password" => auth.password = self.text(&name, node).map(Secret::new),
                _ => {}
            }
        }
        auth
    }

    fn retry(&mut self, node: &Node) -> Retry {
        let mut retry = Retry::default();
        for (key, node) in
            self.fields("consul.retry", node, &["enabled", "attempts", "backoff", "max_backoff"])
        {
            let name = format!("consul.retry.{key}");
            match key {
                "enabled" => retry.enabled = self.boolean(&name, node),
                "attempts" => retry.attempts = self.number(&name, node),
                "backoff" => retry.backoff = self.duration(&name, node),
                "max_backoff" => retry.max_backoff = self.duration(&name, node),
                _ => {}
            }
        }
        retry
    }

    fn ssl(&mut self, node: &Node) -> Ssl {
        const KEYS: &[&str] = &["enabled", "verify", "cert", "key", "ca_cert", "ca_path", "server_name"];
        let mut ssl = Ssl::default();
        for (key, node) in self.fields("consul.ssl", node, KEYS) {
            let name = format!("consul.ssl.{key}");
            match key {
                "enabled" => ssl.enabled = self.boolean(&name, node),
                "verify" => ssl.verify = self.boolean(&name, node),
                "cert" => ssl.cert = self.text(&name, node),
                "key" => ssl.key = self.text(&name, node),
                "ca_cert" => ssl.ca_cert = self.text(&name, node),
                "ca_path" => ssl.ca_path = self.text(&name, node),
                "server_name" => ssl.server_name = self.text(&name, node),
                _ => {}
            }
        }
        ssl
    }

    fn transport(&mut self, node: &Node, consul: &mut Consul) {
        const KEYS: &[&str] = &[
            "dial_keep_alive",
            "dial_timeout",
            "disable_keep_alives",
            "idle_conn_timeout",
            "max_conns_per_host",
            "max_idle_conns",
            "max_idle_conns_per_host",
            "tls_handshake_timeout",
        ];
        for (key, node) in self.fields("consul.transport", node, KEYS) {
            let name = format!("consul.transport.{key}");
            match key {
                "dial_timeout" => consul.dial_timeout = self.duration(&name, node),
                "tls_handshake_timeout" => consul.tls_handshake_timeout = self.duration(&name, node),
                "disable_keep_alives" => consul.idle.extend(self.boolean(&name, node).map(|_| key)),
                "dial_keep_alive" | "idle_conn_timeout" => {
                    consul.idle.extend(self.duration(&name, node).map(|_| key));
                }
                _ => consul.idle.extend(self.number(&name, node).map(|_| key)),
            }
        }
    }

    fn syslog(&mut self, node: &Node) -> Syslog {
        let mut syslog = Syslog::default();
        for (key, node) in self.fields("syslog", node, &["enabled", "facility", "name"]) {
            let name = format!("syslog.{key}");
            match key {
                "enabled" => syslog.enabled = self.boolean(&name, node),
                "facility" => syslog.facility = self.text(&name, node),
                "name" => syslog.name = self.text(&name, node),
                _ => {}
            }
        }
        syslog
    }

    fn wait(&mut self, node: &Node) -> Wait {
        if let Value::Text(text) = &node.value {
            let read = Wait::parse(text);
            return self.checked("wait", node, read).unwrap_or_default();
        }
        let mut wait = Wait::default();
        for (key, node) in self.fields("wait", node, &["enabled", "min", "max"]) {
            let name = format!("wait.{key}");
            match key {
                "enabled" => wait.enabled = self.boolean(&name, node),
                "min" => wait.min = self.duration(&name, node),
                "max" => wait.max = self.duration(&name, node),
                _ => {}
            }
        }
        wait
    }

    /// `name = "one,two"`, `name = ["one", "two"]` or `name { … }`.
    fn list<T, E: fmt::Display>(
        &mut self,
        node: &Node,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
        mut block: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        match &node.value {
            Value::Text(text) if text.is_empty() => Vec::new(),
            Value::Text(text) => {
                text.split(',').filter_map(|text| self.checked(name, node, read(text))).collect()
            }
            Value::Object(_) => block(self, node).into_iter().collect(),
            Value::List(nodes) => {
                let one = |node: &Node| match &node.value {
                    Value::Text(text) => self.checked(name, node, read(text)),
                    _ => block(self, node),
                };
                nodes.iter().filter_map(one).collect()
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                self.wrong_type::<()>(name, node, "a text, a list or a block");
                Vec::new()
            }
        }
    }

    /// `source` may hold the datacenter and the destination as well: all is put together and read as one text.
    fn prefix_block(&mut self, node: &Node) -> Option<Prefix> {
        let Value::Object(object) = &node.value else {
            return self.wrong_type("prefix", node, "a text or a block");
        };
        let (mut source, mut dc, mut datacenter, mut destination) = (None, None, None, None);
        for entry in object {
            let name = format!("prefix.{}", entry.name);
            let place = match entry.name.to_ascii_lowercase().as_str() {
                "source" => &mut source,
                "dc" => &mut dc,
                "datacenter" => &mut datacenter,
                "destination" => &mut destination,
                _ => {
                    self.remark(entry.at, &format!("`{name}` is not known and has no effect"));
                    continue;
                }
            };
            *place = Some(self.text(&name, &entry.node)?);
        }
        let mut text = source.unwrap_or_default();
        if let Some(datacenter) = dc.or(datacenter) {
            text = format!("{text}@{datacenter}");
        }
        if let Some(destination) = destination {
            text = format!("{text}:{destination}");
        }
        self.checked("prefix", node, prefix(&text))
    }

    fn exclude_block(&mut self, name: &'static str, node: &Node) -> Option<Exclude> {
        let source = self.fields(name, node, &["source"]).pop();
        let text = match source {
            Some((_, node)) => self.text(&format!("{name}.source"), node)?,
            None if !matches!(node.value, Value::Object(_)) => return None,
            None => String::new(),
        };
        self.checked(name, node, excluder(name)(&text))
    }

    /// The fields of a block, of which there must be no others. Of several blocks in a list the last one counts.
    fn fields<'n>(
        &mut self,
        name: &str,
        node: &'n Node,
        keys: &'static [&'static str],
    ) -> Vec<(&'static str, &'n Node)> {
        let last = match &node.value {
            Value::List(nodes) => nodes.last().map(|node| &node.value),
            other => Some(other),
        };
        let Some(Value::Object(object)) = last else {
            self.wrong_type::<()>(name, node, "a block");
            return Vec::new();
        };
        self.known(name, object, keys)
    }

    fn known<'n>(
        &mut self,
        name: &str,
        object: &'n Object,
        keys: &'static [&'static str],
    ) -> Vec<(&'static str, &'n Node)> {
        let (mut fields, mut odd) = (Vec::new(), Vec::new());
        for entry in object {
            match keys.iter().find(|key| key.eq_ignore_ascii_case(&entry.name)) {
                Some(key) => fields.push((*key, &entry.node)),
                None => odd.push((entry.at, entry.name.as_str())),
            }
        }
        if let Some((at, _)) = odd.first() {
            let at = *at;
            let mut names: Vec<_> = odd.into_iter().map(|(_, name)| name).collect();
            names.sort_unstable();
            names.dedup();
            self.mistakes.push((at, format!("'{name}' has invalid keys: {}", names.join(", "))));
        }
        fields
    }

    fn text(&mut self, name: &str, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => self.wrong_type(name, node, "a text"),
        }
    }

    fn boolean(&mut self, name: &str, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            _ => self.wrong_type(name, node, "true or false"),
        }
    }

    /// A whole number; a negative one is 0.
    fn number(&mut self, name: &str, node: &Node) -> Option<u32> {
        match &node.value {
            Value::Int(number) => Some(u32::try_from((*number).max(0)).unwrap_or(u32::MAX)),
            _ => self.wrong_type(name, node, "a whole number"),
        }
    }

    /// A text such as `5s`, or nanoseconds. A negative one is zero.
    fn duration(&mut self, name: &str, node: &Node) -> Option<Duration> {
        match &node.value {
            Value::Text(text) => self.checked(name, node, goduration::parse(text)).map(goduration::duration),
            Value::Int(number) => Some(goduration::duration(*number)),
            _ => self.wrong_type(name, node, "a duration such as \"5s\""),
        }
    }

    fn signal(&mut self, name: &str, node: &Node) -> Option<Option<Signal>> {
        let text = self.text(name, node)?;
        self.checked(name, node, Signal::named(&text))
    }

    fn checked<T, E: fmt::Display>(&mut self, name: &str, node: &Node, read: Result<T, E>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(why) => {
                self.mistakes.push((node.at, format!("`{name}`: {why}")));
                None
            }
        }
    }

    fn wrong_type<T>(&mut self, name: &str, node: &Node, wanted: &str) -> Option<T> {
        let why = format!("`{name}` must be {wanted}, not {}", node.value.kind());
        self.mistakes.push((node.at, why));
        None
    }

    fn remark(&mut self, at: Place, what: &str) {
        self.remarks.push(format!("{}:{at}: {what}", self.path));
    }
}

fn excluder(key: &str) -> fn(&str) -> Result<Exclude, &'static str> {
    if key == "exclude" { exclude } else { exclude_match }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
