//! What the names of actions mean, by the definition that an order was made under.
//!
//! A reload can give a name another meaning while orders of the old one are still on their
//! way: an order does what was configured when it was made, or nothing.

use std::collections::BTreeMap;

use lictor_config::{Action, Config};
use lictor_core::{ActionName, Order, StepKind};

/// The actions of one configuration, each with the definition of its remedy.
#[derive(Clone, Debug, Default)]
pub struct Actions(BTreeMap<ActionName, (String, Action)>);

impl Actions {
    /// The actions of a configuration.
    pub fn of(config: &Config) -> Self {
        let remedies = config.plan.remedies.values();
        let named = remedies.flat_map(|remedy| {
            remedy.steps.iter().filter_map(|step| match &step.kind {
                StepKind::Act { action, .. } => Some((action, &remedy.definition)),
                StepKind::Wait { .. } => None,
            })
        });
        named
            .filter_map(|(name, definition)| {
                let action = config.actions.get(name)?.clone();
                Some((name.clone(), definition.clone(), action))
            })
            .collect()
    }

    fn find(&self, order: &Order) -> Option<&Action> {
        let (definition, action) = self.0.get(order.action.as_ref()?)?;
        (*definition == order.definition).then_some(action)
    }
}

impl FromIterator<(ActionName, String, Action)> for Actions {
    fn from_iter<I: IntoIterator<Item = (ActionName, String, Action)>>(actions: I) -> Self {
        Self(actions.into_iter().map(|(name, definition, action)| (name, (definition, action))).collect())
    }
}

/// The actions that orders on their way can mean.
#[derive(Debug)]
pub(super) struct Known {
    in_force: Actions,
    /// Of a configuration that is being put in force: it may order at once.
    coming: Option<Actions>,
    /// Of the configuration before: its last orders may only now have been recorded.
    before: Option<Actions>,
}

impl Known {
    pub(super) fn new(in_force: Actions) -> Self {
        Self { in_force, coming: None, before: None }
    }

    pub(super) fn announce(&mut self, actions: Actions) {
        self.coming = Some(actions);
    }

    pub(super) fn take_up(&mut self) {
        if let Some(coming) = self.coming.take() {
            self.before = Some(std::mem::replace(&mut self.in_force, coming));
        }
    }

    pub(super) fn find(&self, order: &Order) -> Option<Action> {
        let sets = [Some(&self.in_force), self.coming.as_ref(), self.before.as_ref()];
        sets.into_iter().flatten().find_map(|set| set.find(order)).cloned()
    }
}
