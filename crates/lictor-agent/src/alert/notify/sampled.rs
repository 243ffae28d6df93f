//! Messages and notifiers for tests.

use lictor_config::{Notifier, parse, view};
use lictor_core::alert::{Message, Occasion, SubjectKey, Tells};
use lictor_core::{NotifierName, Status, Wall};

/// A message of so many alerts.
pub(super) fn message(items: usize) -> Message {
    let name = NotifierName::new("n").unwrap();
    let at = Wall::from_unix_millis(1_700_000_000_000);
    let mut message = view::sample(&name, "d17", "dc1", at, Tells::Firing);
    message.occasion = Occasion::Change;
    let one = message.items.remove(0);
    for number in 1..=items {
        let mut item = one.clone();
        item.key = SubjectKey::consul("dc1", &format!("web{number}"), "shop-1", "service:shop");
        item.incident = format!("i{number}/x");
        item.title = format!("shop: Service 'shop' check on web{number}");
        let labels = [
            ("source", "consul"),
            ("datacenter", "dc1"),
            ("service", "shop"),
            ("service_id", "shop-1"),
            ("check", "Service 'shop' check"),
            ("check_id", "service:shop"),
        ];
        item.labels = lictor_core::alert::text(&labels);
        item.labels.insert("node".to_owned(), format!("web{number}"));
        item.output = "HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more".to_owned();
        message.items.push(item);
    }
    message.failing.critical = items;
    message
}

/// The same alerts, over.
pub(super) fn over(mut message: Message) -> Message {
    for item in &mut message.items {
        item.tells = Tells::Resolved;
        (item.status, item.before) = (Status::Passing, Some(Status::Critical));
    }
    message.failing = Default::default();
    message.id.push('r');
    message
}

/// The only notifier of a configuration.
pub(super) fn notifier(text: &str) -> Notifier {
    let config = parse("x.hcl", text)
        .unwrap_or_else(|failure| panic!("{:?}", failure.lines().collect::<Vec<_>>()))
        .config;
    Notifier::clone(config.notifiers.values().next().unwrap())
}
