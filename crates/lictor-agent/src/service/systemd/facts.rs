//! What systemd says of the units of a service and of its guard, and whether that is as it must be.

use lictor_config::UnitName;

use super::super::place::Place;
use crate::systemd::{Bus, Properties, Trouble, UnitState};

/// The longest that a guard which is frozen may go unnoticed, microseconds: so much of it is in the length of a lease.
const WATCHDOG: u64 = 500_000;

/// What is known of the units of a service at one time.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// One for each unit, in their order.
    pub(super) states: Vec<UnitState>,
    /// The guard.
    pub(super) guard: UnitState,
    /// The machine is being shut down.
    pub(super) stopping: bool,
    units: Vec<(UnitName, Ties)>,
    watch: Watch,
}

/// How a unit is bound to others.
#[derive(Clone, Debug, Default)]
struct Ties {
    binds_to: Vec<String>,
    after: Vec<String>,
    slice: String,
    /// Whether it is started with the machine.
    enabled: bool,
    /// Which units start it. Those of the same service are among them.
    wanted_by: Vec<String>,
    /// Its files are not those that systemd has read.
    outdated: bool,
}

/// What PID 1 does with the guard.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    /// How long it may be silent, microseconds. Not told before it is started: then it is the highest number.
    micros: u64,
    /// Something is run when it has ended.
    kills: bool,
}

impl Facts {
    pub(super) async fn of(bus: &Bus, units: &[UnitName], guard: &UnitName) -> Result<Self, Trouble> {
        let (mut states, mut ties) = (Vec::new(), Vec::new());
        for unit in units {
            states.push(bus.unit(unit).await?);
            let general = bus.properties(unit, None).await?;
            let own = match unit.kind() {
                "service" => bus.properties(unit, Some("Service")).await?,
                _ => Properties::default(),
            };
            ties.push((unit.clone(), Ties::of(&general, &own)));
        }
        let own = bus.properties(guard, Some("Service")).await?;
        let watch = Watch { micros: own.number("WatchdogUSec"), kills: own.count("ExecStopPost") > 0 };
        let stopping = bus.system_state().await? == "stopping";
        Ok(Self { states, guard: bus.unit(guard).await?, stopping, units: ties, watch })
    }

    /// Whether each of them runs.
    pub(super) fn all_are_up(&self) -> bool {
        self.states.iter().all(UnitState::is_up)
    }

    /// Whether none of them runs or is about to.
    pub(super) fn all_are_down(&self) -> bool {
        self.states.iter().all(|state| state.is_down() && !state.job)
    }

    /// Whether one of them has failed, also if systemd is about to start it again.
    pub(super) fn is_one_broken(&self) -> bool {
        self.states.iter().any(|state| state.active == "failed" || state.is_between_restarts())
    }

    /// Whether all of them are bound to the guard. One that is not was not started by us, or by an older configuration.
    pub(super) fn are_bound(&self, place: &Place) -> bool {
        let guard = place.guard_unit();
        self.units.iter().all(|(_, ties)| ties.binds_to.contains(&guard))
    }

    /// How they are, for people.
    pub(super) fn describe(&self) -> String {
        let units = self.units.iter().zip(&self.states);
        let told = units.map(|((unit, _), state)| format!("{unit} is {}", state.describe()));
        told.chain([format!("the guard is {}", self.guard.describe())]).collect::<Vec<_>>().join(", ")
    }

    /// Whether they can be started; why not, in words.
    pub(super) fn able(&self, place: &Place) -> Result<(), String> {
        if self.stopping {
            return Err("this machine is being shut down".to_owned());
        }
        let guard = place.guard_unit();
        let init = format!("run `lictor service init {place}`");
        for ((unit, ties), state) in self.units.iter().zip(&self.states) {
            if unit.kind() != "service" {
                return Err(format!("{unit} cannot be part of a service: only units *.service can"));
            }
            match state.load.as_str() {
                "loaded" => {}
                "not-found" => return Err(format!("{unit} is not there: systemd knows no such unit")),
                "masked" => return Err(format!("{unit} is masked: run `systemctl unmask {unit}`")),
                other => return Err(format!("{unit} is not loaded ({other}): {}", state.load_error)),
            }
            if ties.outdated {
                return Err(format!("the files of {unit} have changed: run `systemctl daemon-reload`"));
            }
            if !ties.binds_to.contains(&guard) || !ties.after.contains(&guard) {
                return Err(format!("{unit} is not bound to {guard}: {init}"));
            }
            if ties.slice != place.slice() {
                return Err(format!("{unit} is in {}, not in {}: {init}", ties.slice, place.slice()));
            }
            let mine = |other: &&String| self.units.iter().any(|(unit, _)| unit.as_str() == other.as_str());
            let wanted_by = ties.wanted_by.iter().find(|other| !mine(other));
            if ties.enabled || wanted_by.is_some() {
                let by = wanted_by.map(|other| format!(" by {other}")).unwrap_or_default();
                return Err(format!(
                    "{unit} is started by itself{by}; only its lease may start it: run `systemctl disable {unit}`"
                ));
            }
        }
        match self.guard.load.as_str() {
            "loaded" if self.watch.micros == u64::MAX && self.watch.kills => Ok(()),
            "loaded" => self.guards(place),
            _ => Err(format!("{guard} is {}: {init}", self.guard.describe())),
        }
    }

    /// Whether PID 1 kills the service when the guard that runs does not; why not, in words.
    pub(super) fn guards(&self, place: &Place) -> Result<(), String> {
        match self.watch.micros > 0 && self.watch.micros <= WATCHDOG && self.watch.kills {
            true => Ok(()),
            false => Err(format!(
                "{} would not kill the service in every case: run `lictor service init {place}`",
                place.guard_unit()
            )),
        }
    }
}

impl Ties {
    fn of(general: &Properties, own: &Properties) -> Self {
        let starts = ["WantedBy", "RequiredBy", "UpheldBy"];
        Self {
            binds_to: general.list("BindsTo"),
            after: general.list("After"),
            slice: own.text("Slice"),
            enabled: general.text("UnitFileState").starts_with("enabled"),
            wanted_by: starts.iter().flat_map(|name| general.list(name)).collect(),
            outdated: general.truth("NeedDaemonReload"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let loaded = UnitState { load: "loaded".into(), active: "inactive".into(), ..UnitState::default() };
        let guard = "lictor-guard@shop.service".to_owned();
        let ties = Ties {
            binds_to: vec![guard.clone()],
            after: vec!["basic.target".into(), guard],
            slice: "lictor-shop.slice".into(),
            ..Ties::default()
        };
        let units = ["db", "web"].map(|name| (UnitName::new(name).unwrap(), ties.clone()));
        Facts {
            states: vec![loaded.clone(), loaded.clone()],
            guard: loaded,
            stopping: false,
            units: units.to_vec(),
            watch: Watch { micros: 500_000, kills: true },
        }
    }

    fn told(change: impl FnOnce(&mut Facts)) -> String {
        let mut facts = facts();
        change(&mut facts);
        facts.able(&Place::new("shop").unwrap()).unwrap_err()
    }

    #[test]
    fn units_that_are_bound_and_in_the_slice_can_be_started() {
        assert_eq!(facts().able(&Place::new("shop").unwrap()), Ok(()));
        // By another unit of the service it is no harm.
        let mut facts = facts();
        facts.units[0].1.wanted_by = vec!["web.service".into()];
        assert_eq!(facts.able(&Place::new("shop").unwrap()), Ok(()));
    }

    #[test]
    fn the_watchdog_of_a_guard_is_known_when_it_runs() {
        let place = Place::new("shop").unwrap();
        let mut facts = facts();
        facts.watch.micros = u64::MAX;
        assert_eq!(facts.able(&place), Ok(()));
        assert!(facts.guards(&place).is_err());
        facts.watch.micros = 500_000;
        assert_eq!(facts.guards(&place), Ok(()));
    }

    #[test]
    fn what_is_missing_is_said_with_the_way_out() {
        let init = "run `lictor service init shop`";
        assert_eq!(
            told(|facts| facts.units[1].1.binds_to.clear()),
            format!("web.service is not bound to lictor-guard@shop.service: {init}")
        );
        assert_eq!(
            told(|facts| facts.units[1].1.slice = "system.slice".into()),
            format!("web.service is in system.slice, not in lictor-shop.slice: {init}")
        );
        assert_eq!(
            told(|facts| facts.guard.load = "not-found".into()),
            format!("lictor-guard@shop.service is not found: systemd knows no such unit: {init}")
        );
        for change in [
            (|facts: &mut Facts| facts.watch.micros = 0) as fn(&mut Facts),
            |facts| facts.watch.micros = 30_000_000,
            |facts| facts.watch.kills = false,
        ] {
            assert_eq!(
                told(change),
                format!("lictor-guard@shop.service would not kill the service in every case: {init}")
            );
        }
        assert_eq!(
            told(|facts| facts.states[0].load = "masked".into()),
            "db.service is masked: run `systemctl unmask db.service`"
        );
        assert_eq!(
            told(|facts| facts.states[0].load = "not-found".into()),
            "db.service is not there: systemd knows no such unit"
        );
        assert_eq!(
            told(|facts| facts.units[0].1.outdated = true),
            "the files of db.service have changed: run `systemctl daemon-reload`"
        );
        assert_eq!(
            told(|facts| facts.units[0].0 = UnitName::new("db.mount").unwrap()),
            "db.mount cannot be part of a service: only units *.service can"
        );
    }

    #[test]
    fn a_unit_that_something_else_starts_is_refused() {
        let way_out = "only its lease may start it: run `systemctl disable db.service`";
        assert_eq!(
            told(|facts| facts.units[0].1.enabled = true),
            format!("db.service is started by itself; {way_out}")
        );
        assert_eq!(
            told(|facts| facts.units[0].1.wanted_by = vec!["multi-user.target".into()]),
            format!("db.service is started by itself by multi-user.target; {way_out}")
        );
    }

    #[test]
    fn a_unit_with_a_job_is_not_down() {
        let mut facts = facts();
        assert!(facts.all_are_down() && !facts.all_are_up());
        facts.states[1].job = true;
        assert!(!facts.all_are_down());
    }

    #[test]
    fn a_unit_that_waits_for_its_turn_is_not_broken_and_one_that_failed_is() {
        let mut facts = facts();
        facts.states[0].active = "activating".into();
        assert!(!facts.is_one_broken());
        facts.states[0].sub = "auto-restart".into();
        assert!(facts.is_one_broken());
        facts.states[0].sub = "start".into();
        facts.states[1].active = "failed".into();
        assert!(facts.is_one_broken());
    }
}
