//! What must be true.

use lictor_core::lease::Next;

use super::super::machine::Units;
use super::World;

impl World<'_> {
    /// What must be true when the units of a machine begin to do something.
    pub(super) fn judge(&mut self, number: usize, before: Units) -> Result<(), String> {
        let units = self.machines[number].units;
        if before != Units::Stopped || units == Units::Stopped {
            return Ok(());
        }
        for other in (0..self.machines.len()).filter(|&other| other != number) {
            if self.machines[other].units != Units::Stopped {
                return Err(format!("it runs on n{number} and n{other} at once"));
            }
        }
        if let Units::Starting { token: Some(token) } = units {
            match self.highest {
                Some((highest, at)) if token < highest || (token == highest && at != number) => {
                    return Err(format!(
                        "it starts on n{number} with token {token} after {highest} on n{at}"
                    ));
                }
                Some((highest, at)) if token == highest && at == number => {}
                Some((_, at)) => self.report.moves += u64::from(at != number),
                None => {}
            }
            self.highest = Some((token, number));
        }
        Ok(())
    }

    /// Where the service runs when all is well: on one machine that holds the lease, or on none
    /// if somebody asked for that.
    pub(super) fn check(&mut self) -> Result<Option<usize>, String> {
        if let Some((operation, _)) = &self.operation
            && !operation.is_over()
        {
            return Err(format!("{operation:?} is still open although all is well"));
        }
        let runs = |number: &usize| {
            let machine = &self.machines[*number];
            matches!(machine.units, Units::Running { token } if token == machine.belief(self.now).map(|one| one.token))
        };
        let running: Vec<usize> = (0..self.machines.len()).filter(runs).collect();
        let stopped = self.lease.0.released == Some(Next::Nobody);
        match running.as_slice() {
            [] if stopped => Ok(None),
            &[number] if self.machines[number].is_hidden(self.now) => {
                Err(format!("it runs on n{number}, where nobody can see it"))
            }
            &[number] if !stopped => Ok(Some(number)),
            others => {
                Err(format!("it runs on {others:?} although all is well; the record: {:?}", self.lease.0))
            }
        }
    }
}
