//! What waits for a notifier. What is only said again lets go first what was never said: of a notifier that
//! is slower than reminders come, nobody would hear anything new.

use std::collections::BTreeSet;

use crate::alert::message::Occasion;
use crate::alert::row::Delivery;
use crate::name::DeliveryId;
use crate::time::Boot;

/// Deliveries that wait, by when they may be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    new: BTreeSet<(Boot, DeliveryId)>,
    reminders: BTreeSet<(Boot, DeliveryId)>,
}

impl Queue {
    /// Takes in one that waits.
    pub(super) fn add(&mut self, delivery: &Delivery) {
        if let Some(due) = delivery.due() {
            self.of(delivery.occasion).insert((due, delivery.id));
        }
    }

    /// Takes out one that has waited, as it was when it was taken in.
    pub(super) fn remove(&mut self, delivery: &Delivery) {
        if let Some(due) = delivery.due() {
            self.of(delivery.occasion).remove(&(due, delivery.id));
        }
    }

    /// The one whose turn is next when its notifier is free then, and when that is.
    pub(super) fn next(&self, free: Boot) -> Option<(Boot, DeliveryId)> {
        let at = |one: Option<&(Boot, DeliveryId)>| one.map(|(due, id)| (free.max(*due), *id));
        match (at(self.new.first()), at(self.reminders.first())) {
            (Some(new), Some(reminder)) if reminder.0 < new.0 => Some(reminder),
            (new, reminder) => new.or(reminder),
        }
    }

    fn of(&mut self, occasion: Occasion) -> &mut BTreeSet<(Boot, DeliveryId)> {
        match occasion {
            Occasion::Change | Occasion::Digest | Occasion::Test | Occasion::LifeSign => &mut self.new,
            Occasion::Reminder => &mut self.reminders,
        }
    }
}
