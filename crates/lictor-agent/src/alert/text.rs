//! Messages that the desk does not make.

use lictor_core::NotifierName;
use lictor_core::alert::{Failing, Item, Message, Occasion, SubjectKey, Tells, label, text};
use lictor_core::{Status, Wall};

/// That nothing can be recorded.
pub(super) fn cannot_record(notifier: &NotifierName, cluster: &str, why: &str, at: Wall) -> Message {
    let check = "recording";
    let key = SubjectKey::of(&["lictor", check]);
    let item = Item {
        incident: key.to_string(),
        key,
        title: "Lictor cannot record its alerts".to_owned(),
        labels: text(&[(label::SOURCE, "lictor"), (label::CHECK, check)]),
        tags: [].into(),
        tells: Tells::Firing,
        over: None,
        status: Status::Critical,
        before: None,
        since: at,
        opened: at,
        lasted: None,
        output: format!("{why}\nNothing else is told until this is over."),
        notes: String::new(),
        reminders: 0,
    };
    let failing = Failing { critical: 1, ..Failing::default() };
    Message { items: vec![item], failing, ..empty(notifier, cluster, Occasion::Change, at) }
}

/// That we live.
pub(super) fn life_sign(notifier: &NotifierName, cluster: &str, at: Wall) -> Message {
    empty(notifier, cluster, Occasion::LifeSign, at)
}

fn empty(notifier: &NotifierName, cluster: &str, occasion: Occasion, at: Wall) -> Message {
    Message {
        id: format!("{}-{}", occasion.as_str(), at.as_unix_millis()),
        notifier: notifier.clone(),
        occasion,
        cluster: cluster.to_owned(),
        items: Vec::new(),
        omitted: 0,
        failing: Failing::default(),
        at,
        attempt: 1,
    }
}
