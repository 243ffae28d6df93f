//! What follows when a clustered service comes to this node or leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Engine, Turn};
use crate::event::{Hold, What};
use crate::name::{RemedyName, RunId, ServiceName};
use crate::plan::Remedy;
use crate::reading::Captures;
use crate::role::{Change, Role, Roles};
use crate::run::RunState;
use crate::step::RowKey;

impl Engine {
    /// What is remembered of the roles of this node.
    pub fn roles(&self) -> &BTreeMap<ServiceName, Roles> {
        &self.roles
    }

    /// Takes in what part this node has in a service.
    pub(super) fn role(&mut self, service: ServiceName, role: Role, turn: &mut Turn) {
        if self.told_roles.insert(service.clone()) {
            turn.advance.extend(self.roles.get(&service).and_then(|known| known.run));
        }
        if self.roles.get(&service).map_or(Role::Standby, |known| known.seen) == role {
            return;
        }
        let known = self.roles.entry(service.clone()).or_default();
        known.seen = role;
        if let Role::Active { token } = role {
            known.token = token;
        }
        turn.dirty.insert(RowKey::Role(service));
    }

    /// Starts what is due because a role is another now; whether anything was done. What waits is looked at again
    /// after each step, since whatever it waits for is one.
    pub(super) fn follow_roles(&mut self, turn: &mut Turn) -> bool {
        let due = self.roles.iter().filter(|(_, known)| known.followed != Some(known.seen));
        let due: Vec<ServiceName> = due.map(|(service, _)| service.clone()).collect();
        let mut done = false;
        for service in &due {
            done |= self.follow_role(service, turn);
        }
        done
    }

    /// Whether this is the role, for all that is known. While the agent was away the service may have left, and may
    /// not have come: nothing but the agent starts it.
    fn stands(&self, service: &ServiceName, role: Role) -> bool {
        let seen = self.roles.get(service).map_or(Role::Standby, |known| known.seen);
        seen == role && (role == Role::Standby || self.told_roles.contains(service))
    }

    /// Whether a run may act: the role that it follows is so still, or it only clears up.
    pub(super) fn role_stands(&self, id: RunId) -> bool {
        let Some(run) = self.runs.get(&id).filter(|run| !run.cleaning) else { return true };
        run.change.as_ref().is_none_or(|change| self.stands(&change.service, change.role))
    }

    fn follow_role(&mut self, service: &ServiceName, turn: &mut Turn) -> bool {
        let plan = Arc::clone(&self.plan);
        let Some(known) = self.roles.get(service) else { return false };
        let change = Change { service: service.clone(), role: known.seen, token: known.token };
        if let Some(run) = known.run.and_then(|id| self.runs.get(&id)).filter(|run| !run.ended()) {
            // Never two at once for one service, and what follows a role that is over is of no use any more.
            let (id, parked) = (run.id, matches!(run.state, RunState::Parked { .. }));
            if run.cancelled.is_some() && !parked {
                return false;
            }
            self.call_off(id, &change.to_string(), turn);
            if let Some(known) = self.roles.get_mut(service) {
                known.followed = None;
                turn.dirty.insert(RowKey::Role(service.clone()));
            }
            return true;
        }
        let hook = plan.services.get(service).and_then(|hooks| hooks.of(change.role));
        let Some((name, remedy)) = hook.and_then(|name| plan.remedies.get_key_value(name)) else {
            self.followed(service, change.role, None, turn);
            return true;
        };
        if !self.stands(service, change.role) {
            return false;
        }
        if let Some(hold) = self.kept_waiting(remedy) {
            self.waits(name, remedy, hold, turn);
            return false;
        }
        let incident = self.incident_of(remedy, None);
        let (cause, role) = (change.to_string(), change.role);
        let run = self.start(name, remedy, (&cause, Captures::default(), Some(change)), incident, turn);
        self.followed(service, role, run, turn);
        true
    }

    /// Knows again what an earlier store of this node had started last for a service.
    pub(super) fn adopt_role(&mut self, change: Change, run: RunId, turn: &mut Turn) {
        let Change { service, role, token } = change;
        let found = || Roles { seen: role, followed: Some(role), token, run: None };
        let known = self.roles.entry(service.clone()).or_insert_with(found);
        if known.run.is_none() {
            (known.followed, known.run) = (Some(role), Some(run));
            turn.dirty.insert(RowKey::Role(service));
        }
    }

    fn followed(&mut self, service: &ServiceName, role: Role, run: Option<RunId>, turn: &mut Turn) {
        if let Some(known) = self.roles.get_mut(service) {
            (known.followed, known.run) = (Some(role), run);
            turn.dirty.insert(RowKey::Role(service.clone()));
        }
    }

    /// What a change of role does not set aside. It happens once, and what follows it is no cure that did not help:
    /// neither cooldown, budget nor guard keep it from following.
    fn kept_waiting(&self, remedy: &Remedy) -> Option<Hold> {
        if self.withheld {
            return Some(Hold::Unconfirmed);
        }
        if !self.may_act(remedy) {
            return Some(Hold::Lease);
        }
        self.index.busy.contains_key(&remedy.target).then_some(Hold::Busy)
    }

    /// Says once what keeps it waiting.
    fn waits(&mut self, name: &RemedyName, remedy: &Remedy, by: Hold, turn: &mut Turn) {
        let Some(flood) = self.floods.get_mut(name) else { return };
        if flood.held_by.replace(by) == Some(by) {
            return;
        }
        turn.dirty.insert(RowKey::Flood(name.clone()));
        let (remedy, target) = (name.clone(), remedy.target.clone());
        turn.note(None, None, What::Suppressed { remedy, target, by, deferred: true });
    }
}
