//! A check of Consul's as a report.

use lictor_consul::Check;
use lictor_core::Status;
use lictor_core::alert::{Report, Subject, SubjectKey, label};

use crate::text;

/// The check that Consul's agent has while its node is in maintenance.
const NODE_MAINTENANCE: &str = "_node_maintenance";

/// The beginning of the check that it has while an instance of a service is; its id follows.
const SERVICE_MAINTENANCE: &str = "_service_maintenance:";

/// Most bytes of an output, and of notes.
const OUTPUT: usize = 4096;

/// Most bytes of a name.
const NAME: usize = 512;

/// The beginning of the keys of all that is in maintenance because of this check: the node's, or those
/// of one instance. `None` for a check like any other.
pub(super) fn maintains(datacenter: &str, check: &Check) -> Option<String> {
    if check.status == lictor_consul::Status::Passing {
        return None;
    }
    let node = ["consul", datacenter, &check.node];
    if check.id == NODE_MAINTENANCE {
        return Some(within(&node));
    }
    let service = check.id.strip_prefix(SERVICE_MAINTENANCE)?;
    let [source, datacenter, node] = node;
    Some(within(&[source, datacenter, node, service]))
}

fn within(parts: &[&str]) -> String {
    format!("{}/", SubjectKey::of(parts))
}

/// What a check says. Whether it is in maintenance because of another check is not known here.
pub(super) fn report(datacenter: &str, check: &Check) -> Report {
    let (status, word) = status(&check.status);
    let mut output = clean(&check.output, OUTPUT);
    if let Some(word) = word {
        output = clean(&format!("Consul says {word:?}, which is not known here\n{output}"), OUTPUT);
    }
    let old_maintenance =
        matches!(&check.status, lictor_consul::Status::Other(word) if word == "maintenance");
    let is_maintenance = check.id == NODE_MAINTENANCE || check.id.starts_with(SERVICE_MAINTENANCE);
    Report {
        subject: subject(datacenter, check),
        status,
        output,
        notes: clean(&check.notes, OUTPUT),
        maintenance: old_maintenance || is_maintenance,
        told: std::collections::BTreeMap::new(),
        judged: false,
        news: None,
    }
}

fn subject(datacenter: &str, check: &Check) -> Subject {
    let labels = [
        (label::SOURCE, "consul"),
        (label::DATACENTER, datacenter),
        (label::NODE, &check.node),
        (label::SERVICE, &check.service_name),
        (label::SERVICE_ID, &check.service_id),
        (label::CHECK, &check.name),
        (label::CHECK_ID, &check.id),
    ];
    let known = labels.into_iter().filter(|(_, value)| !value.is_empty());
    Subject {
        key: SubjectKey::consul(datacenter, &check.node, &check.service_id, &check.id),
        labels: known.map(|(name, value)| (name.to_owned(), clean(value, NAME))).collect(),
        tags: check.service_tags.iter().map(|tag| clean(tag, NAME)).collect(),
    }
}

/// The status, and Consul's word for it if it is not one of today's.
fn status(status: &lictor_consul::Status) -> (Status, Option<String>) {
    match status {
        lictor_consul::Status::Passing => (Status::Passing, None),
        lictor_consul::Status::Warning => (Status::Warning, None),
        lictor_consul::Status::Critical => (Status::Critical, None),
        // The word of Consul's for what is critical because somebody works on it.
        lictor_consul::Status::Other(word) if word == "maintenance" => (Status::Critical, None),
        lictor_consul::Status::Other(word) => (Status::Unknown, Some(text::visible(word, 64))),
    }
}

/// A text of at most so many bytes, with control characters and those that hide text replaced, except
/// line breaks and tabs.
fn clean(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\r' && characters.peek() == Some(&'\n') {
            continue;
        }
        let shown = if text::hidden(c) && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
        if clean.len() + shown.len_utf8() > limit {
            break;
        }
        clean.push(shown);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Check {
        Check::from_row(json.as_bytes()).unwrap()
    }

    fn of(json: &str) -> Report {
        report("dc1", &check(json))
    }

    #[test]
    fn a_check_of_a_service_has_all_its_labels() {
        let report = of(
            r#"{"Node":"n 1","CheckID":"service:web/1","Name":"Web","Status":"warning","Notes":"why",
            "Output":"slow","ServiceID":"web/1","ServiceName":"web","ServiceTags":["b","a","b"],"ModifyIndex":7}"#,
        );
        assert_eq!(report.subject.key.as_str(), "consul/dc1/n%201/web%2F1/service:web%2F1");
        let labels = [
            ("check", "Web"),
            ("check_id", "service:web/1"),
            ("datacenter", "dc1"),
            ("node", "n 1"),
            ("service", "web"),
            ("service_id", "web/1"),
            ("source", "consul"),
        ];
        assert_eq!(report.subject.labels, lictor_core::alert::text(&labels));
        assert_eq!(report.subject.tags, ["a", "b"].map(str::to_owned).into());
        assert_eq!((report.status, &*report.output, &*report.notes), (Status::Warning, "slow", "why"));
        assert!(!report.maintenance && !report.judged);
    }

    #[test]
    fn a_check_of_a_node_has_no_service() {
        let report = of(
            r#"{"Node":"n1","CheckID":"serfHealth","Name":"Serf","Status":"critical","ServiceTags":null}"#,
        );
        assert_eq!(report.subject.key.as_str(), "consul/dc1/n1/_/serfHealth");
        assert!(!report.subject.labels.contains_key("service") && report.subject.tags.is_empty());
        assert_eq!(report.subject.title(), "Serf on n1");
    }

    #[test]
    fn an_unknown_word_is_unknown_and_shown() {
        let report = of(r#"{"Node":"n","CheckID":"c","Status":"dead\u001b","Output":"x"}"#);
        assert_eq!(report.status, Status::Unknown);
        assert!(report.output.starts_with("Consul says ") && report.output.ends_with("not known here\nx"));
        assert!(report.output.contains("dead") && !report.output.contains('\u{1b}'), "{}", report.output);
        let old = of(r#"{"Node":"n","CheckID":"c","Status":"maintenance"}"#);
        assert_eq!((old.status, old.maintenance), (Status::Critical, true));
    }

    #[test]
    fn the_checks_of_maintenance_say_what_they_keep() {
        let keeps = |json: &str| maintains("dc1", &check(json));
        let node = r#"{"Node":"n/1","CheckID":"_node_maintenance","Status":"critical"}"#;
        assert_eq!(keeps(node).unwrap(), "consul/dc1/n%2F1/");
        let service =
            r#"{"Node":"n","CheckID":"_service_maintenance:a b","ServiceID":"a b","Status":"critical"}"#;
        assert_eq!(keeps(service).unwrap(), "consul/dc1/n/a%20b/");
        assert!(of(node).maintenance && of(service).maintenance);
        let over = r#"{"Node":"n","CheckID":"_node_maintenance","Status":"passing"}"#;
        assert_eq!(keeps(over), None);
        assert_eq!(keeps(r#"{"Node":"n","CheckID":"node_maintenance","Status":"critical"}"#), None);
    }

    #[test]
    fn an_output_is_cut_between_characters_and_has_nothing_hidden() {
        let long = clean(&"é".repeat(5_000), OUTPUT);
        assert_eq!((long.len(), long.chars().count()), (4_096, 2_048));
        assert_eq!(clean(&"aé".repeat(5_000), 4).as_str(), "aéa");
        assert_eq!(
            clean("a\u{1b}[2J\r\n\tb\rc\u{202e}\0", OUTPUT),
            "a\u{fffd}[2J\n\tb\u{fffd}c\u{fffd}\u{fffd}"
        );
        assert_eq!(clean(&"\u{1}".repeat(5_000), OUTPUT).len(), 4_095);
    }
}
