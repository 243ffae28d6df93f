//! What was told by others: by a node that was no longer the one that tells, or by one that could not
//! reach it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Desk, Turn};
use crate::alert::message::{Item, Tells};
use crate::alert::row::{Case, Told};
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
            if let Some(id) = self.busy.get(&(notifier.clone(), key.clone())) {
                // It is on its way again, and will be the last. Should that be given up, they have heard
                // this all the same.
                if let Some(delivery) = self.deliveries.get_mut(id).filter(|_| firing) {
                    delivery.unclear = true;
                    turn.dirty.insert(RowKey::Delivery(*id));
                }
                continue;
            }
            let told = Told { status: item.status, firing, at: turn.now, reminders: item.reminders };
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
}

impl Desk {
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
