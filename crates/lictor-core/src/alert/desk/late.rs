//! What was told by others: by a node that was no longer the one that tells, or by one that could not
//! reach it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Desk, Turn};
use crate::alert::message::{Item, Tells};
use crate::alert::row::{Case, Sending, Told};
use crate::alert::step::RowKey;
use crate::alert::subject::{Source, Subject, SubjectKey, label};
use crate::check::Status;
use crate::name::NotifierName;

impl Desk {
    /// The receiver may have heard this last. Where that is not how it stands, the difference is told.
    pub(super) fn late(&mut self, notifier: &NotifierName, items: Vec<Item>, turn: &mut Turn) {
        if !self.plan.notifiers.contains_key(notifier) {
            return;
        }
        for item in items {
            let firing = item.tells != Tells::Resolved;
            let key = item.key.clone();
            let status = if firing { item.status } else { Status::Passing };
            let told = Told { status, firing, at: turn.now, reminders: item.reminders, news: None };
            self.overtake(notifier, &key, &told);
            match self.cases.get_mut(&key) {
                Some(case) => drop(case.told.insert(notifier.clone(), told)),
                // All is well with it, and that is what the receiver heard.
                None if !firing => continue,
                None => {
                    let case = over(item, turn);
                    let told = [(notifier.clone(), told)].into();
                    self.cases.insert(key.clone(), Case { told, ..case });
                }
            }
            turn.dirty.insert(RowKey::Case(key.clone()));
            turn.look.insert(key);
        }
    }

    /// A message that waits is sent after the late one, and what it tells is then the last. One that
    /// is being sent at this moment may be heard before it: then the late one is the last, and what
    /// differs from how it stands is told once more.
    fn overtake(&mut self, notifier: &NotifierName, key: &SubjectKey, told: &Told) {
        let to = (notifier.clone(), key.clone());
        let Some(delivery) = self.busy.get(&to).and_then(|id| self.deliveries.get(id)) else { return };
        let as_told = |tells: Tells, status: Status| match tells {
            Tells::Resolved => !told.firing,
            Tells::Firing | Tells::Reminder => told.firing && told.status == status,
        };
        let same = delivery.subjects().any(|(of, tells, status)| of == key && as_told(tells, status));
        if delivery.state == Sending::Under && !same {
            self.overtaken.insert(to);
        }
    }

    /// What receivers heard of a subject elsewhere counts where it is newer than what they heard here.
    pub(super) fn told_elsewhere(
        &mut self,
        key: &SubjectKey,
        told: BTreeMap<NotifierName, Told>,
        turn: &mut Turn,
    ) {
        let Some(case) = self.cases.get_mut(key) else { return };
        for (notifier, mut told) in told {
            // Of another machine's axis.
            let age = turn.now.wall.as_unix_millis().saturating_sub(told.at.wall.as_unix_millis());
            told.at.boot = turn.now.boot.before(Duration::from_millis(u64::try_from(age).unwrap_or(0)));
            let newer = case.told.get(&notifier).is_none_or(|here| here.at.wall < told.at.wall);
            if newer && self.plan.notifiers.contains_key(&notifier) {
                case.told.insert(notifier, told);
                turn.dirty.insert(RowKey::Case(key.clone()));
            }
        }
    }
}

/// A case that was over and forgotten.
fn over(item: Item, turn: &Turn) -> Case {
    let now = turn.now;
    let source = Source::new(item.label(label::SOURCE));
    Case {
        subject: Subject { key: item.key, labels: item.labels, tags: item.tags },
        source,
        settled: Status::Passing,
        since: now,
        opened: now,
        live: Status::Passing,
        live_since: now,
        side_since: now,
        judged: false,
        news: None,
        output: String::new(),
        notes: item.notes,
        maintenance: false,
        gone: None,
        acknowledged: None,
        told: [].into(),
        changes: VecDeque::new(),
        flapping: false,
        was_critical: None,
    }
}
