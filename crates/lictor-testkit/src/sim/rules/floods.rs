//! Starts: cooldown, budget, giving up, modes.

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_core::{Boot, Command, Effect, Input, Mode, Plan, RemedyName, Row, RowKey, What};

use super::{Cause, Entry, demand};

/// What is known of the starts of each remedy.
#[derive(Debug, Default)]
pub(super) struct Floods {
    of: BTreeMap<RemedyName, Starts>,
    plan: Option<Arc<Plan>>,
}

#[derive(Debug, Default)]
struct Starts {
    at: Vec<Boot>,
    /// Starts in a row that left the condition true.
    unhelpful: u32,
}

impl Floods {
    pub(super) fn take(&mut self, entry: &Entry, rows: &BTreeMap<RowKey, Row>) -> Result<(), String> {
        for key in &entry.output.gone {
            if let RowKey::Flood(name) = key {
                self.of.remove(name);
            }
        }
        if self.plan.replace(Arc::clone(&entry.plan)).is_some_and(|old| old != entry.plan) {
            // A remedy whose triggers changed begins anew, by a reload or a restart.
            self.of.values_mut().for_each(|starts| starts.unhelpful = 0);
        }
        let by_hand = match &entry.cause {
            Cause::Input(Input::Command(Command::Start(name))) => Some(name),
            _ => None,
        };
        for event in &entry.output.events {
            let What::RunStarted { remedy, mode, target, .. } = &event.what else { continue };
            let plan = entry.plan.remedies.get(remedy);
            let plan = plan.ok_or_else(|| format!("{remedy} starts although it is in no plan"))?;
            demand!(*target == plan.target, "{remedy} starts on {target}, not on {}", plan.target);
            demand!(*mode == entry.plan.mode.max(plan.mode), "{remedy} starts in mode {mode:?}");
            demand!(event.run.is_some() == (*mode == Mode::Act), "{remedy} has a run exactly when it acts");
            let starts = self.of.entry(remedy.clone()).or_default();
            if by_hand == Some(remedy) {
                starts.unhelpful = 0;
            } else {
                starts.allowed(remedy, plan, entry.now.boot)?;
            }
            starts.at.push(entry.now.boot);
            let held = rows.get(&RowKey::Flood(remedy.clone()));
            if matches!(held, Some(Row::Flood(_, flood)) if flood.held) {
                starts.unhelpful += 1;
            }
        }
        for row in &entry.output.rows {
            if let Row::Flood(name, flood) = row
                && !flood.held
                && let Some(starts) = self.of.get_mut(name)
            {
                starts.unhelpful = 0;
            }
        }
        modes(entry)
    }
}

impl Starts {
    fn allowed(&self, name: &RemedyName, plan: &lictor_core::Remedy, now: Boot) -> Result<(), String> {
        if let Some(last) = self.at.last() {
            let passed = now.since(*last);
            demand!(
                passed >= plan.cooldown,
                "{name} starts {passed:?} after its last start, its cooldown is {:?}",
                plan.cooldown
            );
        }
        if let Some(budget) = plan.budget {
            let recent = self.at.iter().filter(|start| start.after(budget.per) > now).count();
            demand!(
                recent < budget.runs.get() as usize,
                "{name} starts although it had {recent} runs in {:?}",
                budget.per
            );
        }
        if let Some(most) = plan.give_up_after {
            demand!(
                self.unhelpful < most.get(),
                "{name} starts although {} runs did not help",
                self.unhelpful
            );
        }
        Ok(())
    }
}

/// Nothing is done in observe mode.
fn modes(entry: &Entry) -> Result<(), String> {
    for effect in &entry.output.effects {
        let Effect::Act(order) = effect else { continue };
        let remedy = entry.plan.remedies.get(&order.remedy);
        let remedy = remedy.ok_or_else(|| format!("{order} acts for a remedy that is in no plan"))?;
        demand!(entry.plan.mode.max(remedy.mode) == Mode::Act, "{order} acts although it only observes");
    }
    Ok(())
}
