//! How long something must have been so before roles are exchanged for it.

use std::time::Duration;

/// How often and how long a standby must have run the service with nobody active passing. Else a check that is made in
/// the moment between two others would give the roles back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// In so many looks, one after the other.
    pub looks: u32,
    /// From the first of them for so long.
    pub lasting: Duration,
    /// Two looks further apart than this are not one after the other.
    pub gap: Duration,
}

/// What was seen so far. Times are on the axis of the machine's boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// In how many looks.
    pub looks: u32,
    /// When first.
    pub since: Duration,
    /// When last.
    pub last: Duration,
}

impl Patience {
    /// Three looks within at least 20 s.
    pub const USUAL: Self =
        Self { looks: 3, lasting: Duration::from_secs(20), gap: Duration::from_secs(120) };

    /// Takes that it was so once more, `now`. Gives what is to be remembered, and whether it was so long enough.
    #[must_use]
    pub fn again(&self, before: Option<Vacancy>, now: Duration) -> (Vacancy, bool) {
        let follows = |before: &Vacancy| {
            // A time in the future is from before the machine was started.
            before.last <= now && now.saturating_sub(before.last) <= self.gap
        };
        let vacancy = match before.filter(follows) {
            Some(before) => Vacancy { looks: before.looks.saturating_add(1), last: now, ..before },
            None => Vacancy { looks: 1, since: now, last: now },
        };
        let long = now.saturating_sub(vacancy.since) >= self.lasting;
        (vacancy, vacancy.looks >= self.looks && long)
    }
}
