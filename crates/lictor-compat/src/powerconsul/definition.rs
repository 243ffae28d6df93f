//! What Consul's own configuration says of powerconsul: its checks and its watches.

use serde_json::Value;

use super::cli::{CheckRequest, Request};

/// Something of powerconsul in a configuration of Consul.
#[derive(Clone, Debug)]
pub(super) enum Finding {
    /// A check that it makes.
    Check(CheckRequest),
    /// A watch of a key that tells the wrapper of a service.
    Wrapper {
        /// The wrapper.
        name: String,
        /// The service in Consul.
        consul_service: String,
    },
    /// A watch of checks that runs triggers.
    Triggers,
    /// A command of it that cannot be read.
    Unread {
        /// The command.
        command: String,
        /// Why.
        why: String,
    },
}

/// The members of Consul's configuration in which there may be something.
pub(super) const MEMBERS: [&str; 5] = ["service", "services", "check", "checks", "watches"];

/// Everything of powerconsul in a configuration.
pub(super) fn findings(config: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    for service in each(config, "service").chain(each(config, "services")) {
        checks(service, &mut found);
    }
    checks(config, &mut found);
    found.extend(each(config, "watches").filter_map(watch));
    found
}

fn checks(of: &Value, found: &mut Vec<Finding>) {
    for check in each(of, "check").chain(each(of, "checks")) {
        let words = words(check.get("args").or_else(|| check.get("script")));
        let Some(at) = words.iter().position(|word| is_program(word)) else { continue };
        let rest = words.get(at + 1..).unwrap_or_default();
        found.push(match Request::read(rest) {
            Ok(Request::Check(check)) => Finding::Check(check),
            Ok(_) => Finding::Unread { command: words.join(" "), why: "it is no check".to_owned() },
            Err(why) => Finding::Unread { command: words.join(" "), why: why.text.trim().to_owned() },
        });
    }
}

fn watch(watch: &Value) -> Option<Finding> {
    let words = words(watch.get("args").or_else(|| watch.get("handler")));
    if watch.get("type")?.as_str()? == "checks" {
        return words.iter().any(|word| is_program(word)).then_some(Finding::Triggers);
    }
    let key = watch.get("key")?.as_str()?.strip_prefix("service/")?;
    let mut parts = key.rsplit('/');
    let verb = parts.next().filter(|verb| ["promote", "demote"].contains(verb))?;
    let node = parts.next()?;
    let consul_service = key.strip_suffix(&format!("/{node}/{verb}"))?.to_owned();
    let name = match words.as_slice() {
        [.., name, last] if last == verb => name.rsplit('/').next().unwrap_or(name).to_owned(),
        _ => {
            return Some(Finding::Unread {
                command: words.join(" "),
                why: format!("it does not end with {verb}"),
            });
        }
    };
    Some(Finding::Wrapper { name, consul_service })
}

/// What a member holds: one, or several in a list.
fn each<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let member = of.get(name);
    let several = member.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    several.iter().chain(member.filter(|member| member.is_object()))
}

/// The words of a command: a list of them, or a text as a shell takes it apart.
fn words(command: Option<&Value>) -> Vec<String> {
    match command {
        Some(Value::Array(words)) => {
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        }
        Some(Value::String(text)) => split(text),
        _ => Vec::new(),
    }
}

fn is_program(word: &str) -> bool {
    word.rsplit('/').next() == Some("powerconsul")
}

/// Words parted by blanks; quotes and backslashes keep blanks within one.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), _) if letter == open => quote = None,
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None | Some(_), _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_taken_apart_as_a_shell_does_it() {
        assert_eq!(split(r#"a  'b c' "d \" e"f g\ h '' "#), ["a", "b c", "d \" ef", "g h", ""]);
    }

    #[test]
    fn checks_and_watches_are_found() {
        let config = json!({
            "service": { "name": "web", "checks": [
                { "script": "/usr/bin/env powerconsul check process -n '-C nginx -w 1:' -S web", "interval": "10s" },
                { "script": "curl http://localhost/" },
                { "args": ["powerconsul", "check", "service", "-S", "web"] }
            ]},
            "watches": [
                { "type": "key", "key": "service/web/node1/demote", "handler": "/usr/bin/env service mywrap demote" },
                { "type": "checks", "state": "critical", "handler": "/usr/local/bin/powerconsul watch critical" },
                { "type": "key", "key": "other", "handler": "x" }
            ]
        });
        let found = findings(&config);
        let [
            Finding::Check(check),
            Finding::Unread { why, .. },
            Finding::Wrapper { name, consul_service },
            Finding::Triggers,
        ] = found.as_slice()
        else {
            panic!("{found:?}")
        };
        assert_eq!(check.resource, super::super::cli::Resource::Process("-C nginx -w 1:".to_owned()));
        assert!(why.starts_with("Local service name required"), "{why}");
        assert_eq!((name.as_str(), consul_service.as_str()), ("mywrap", "web"));
    }
}
