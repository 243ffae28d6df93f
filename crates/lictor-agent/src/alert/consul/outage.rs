//! When Consul cannot be asked: for how long, and what was said of it.

use std::time::Duration;

use lictor_consul::Error;
use tokio::time::Instant;

use super::doubt::Doubt;
use crate::text;

/// Of an error, characters that are told.
const TOLD: usize = 300;

/// What a token needs, for who has to give it.
const RIGHTS: &str = "the token needs `node_prefix \"\"` and `service_prefix \"\"` with policy `read`";

/// Why there is no list that can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    kind: Kind,
    why: String,
}

/// Reasons that are the same are told once, whatever their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Denied,
    Unreachable,
    Silent,
    Broken,
    Status(u16),
    Senseless,
    Empty,
    Hidden,
    Shrunk,
}

/// The present outage, if there is one.
#[derive(Debug)]
pub(super) struct Outage {
    /// So long nothing is said of it.
    grace: Duration,
    /// Since when, and the latest reason.
    lasting: Option<(Instant, Reason)>,
    told: Option<Kind>,
}

impl Reason {
    /// An answer without an index.
    pub(super) fn no_index() -> Self {
        let why = "an answer without an index: this is not Consul's".to_owned();
        Self { kind: Kind::Senseless, why }
    }

    /// An answer that does not say which datacenter it is of.
    pub(super) fn no_datacenter() -> Self {
        let why = format!("Consul does not say which datacenter it is of: name it, or {RIGHTS}");
        Self { kind: Kind::Empty, why }
    }

    /// A doubt, with what else is known of it.
    pub(super) fn doubt(doubt: Doubt, more: &str) -> Self {
        let (kind, help) = match doubt {
            Doubt::Empty => (Kind::Empty, format!("{more}: {RIGHTS}")),
            Doubt::Hidden => (Kind::Hidden, format!(": {RIGHTS}; if it is to see less, restart the agent")),
            Doubt::Shrunk { .. } => (Kind::Shrunk, String::new()),
        };
        Self { kind, why: format!("{doubt}{help}") }
    }

    /// Whether waiting would not make it better.
    const fn is_certain(&self) -> bool {
        matches!(self.kind, Kind::Denied | Kind::Hidden | Kind::Shrunk)
    }
}

impl From<&Error> for Reason {
    fn from(error: &Error) -> Self {
        let kind = match error {
            _ if error.is_denied() => Kind::Denied,
            Error::Unreachable { .. } => Kind::Unreachable,
            Error::TimedOut { .. } => Kind::Silent,
            Error::Broken { .. } => Kind::Broken,
            Error::Status { status, .. } => Kind::Status(*status),
            _ => Kind::Senseless,
        };
        let mut why = text::one_line(&error.to_string(), TOLD);
        if kind == Kind::Denied {
            why = format!("{why}; {RIGHTS}");
        }
        Self { kind, why }
    }
}

impl Outage {
    /// There is none; the first `grace` of one is not told.
    pub(super) const fn new(grace: Duration) -> Self {
        Self { grace, lasting: None, told: None }
    }

    /// Takes that it cannot be asked now; what is to be told of that. `at_once` if what was known
    /// until now is certainly not known any more.
    pub(super) fn failed(&mut self, now: Instant, reason: Reason, at_once: bool) -> Option<String> {
        let since = self.lasting.as_ref().map_or(now, |(since, _)| *since);
        let certain = at_once || reason.is_certain();
        self.lasting = Some((since, reason));
        if certain || now >= since + self.grace { self.tell() } else { None }
    }

    /// When the outage will have lasted so long that it is told.
    pub(super) fn due(&self) -> Option<Instant> {
        let (since, _) = self.lasting.as_ref().filter(|_| self.told.is_none())?;
        Some(*since + self.grace)
    }

    /// What is to be told now that it is due; nothing if that was told before.
    pub(super) fn tell(&mut self) -> Option<String> {
        let (_, reason) = self.lasting.as_ref()?;
        if self.told == Some(reason.kind) {
            return None;
        }
        self.told = Some(reason.kind);
        Some(reason.why.clone())
    }

    /// Takes that it could be asked; whether it was told that it cannot.
    pub(super) fn over(&mut self) -> bool {
        self.lasting = None;
        self.told.take().is_some()
    }

    /// Whether it was told that the list is empty.
    pub(super) fn told_empty(&self) -> bool {
        self.told == Some(Kind::Empty)
    }
}

/// Pauses that double up to a longest one; of each, a random part between a half and the whole.
#[derive(Debug)]
pub(super) struct Pauses {
    longest: Duration,
    taken: u32,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(100);

    pub(super) const fn new(longest: Duration) -> Self {
        Self { longest, taken: 0 }
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let whole = Self::FIRST.saturating_mul(2_u32.saturating_pow(self.taken)).min(self.longest);
        self.taken = self.taken.saturating_add(1);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Begins with the shortest again.
    pub(super) const fn reset(&mut self) {
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn outage() -> Outage {
        Outage::new(GRACE)
    }

    fn reason(kind: Kind) -> Reason {
        Reason { kind, why: format!("{kind:?}") }
    }

    /// What is told of failures at these seconds.
    fn play(failures: &[(u64, Kind)]) -> Vec<(u64, String)> {
        let (begun, mut outage) = (Instant::now(), outage());
        let told = failures.iter().filter_map(|&(second, kind)| {
            let now = begun + Duration::from_secs(second);
            outage.failed(now, reason(kind), false).map(|why| (second, why))
        });
        told.collect()
    }

    #[test]
    fn an_election_is_not_told_and_what_lasts_longer_is() {
        let refused = Kind::Unreachable;
        assert!(play(&[(0, refused), (4, refused), (9, refused)]).is_empty());
        let told = play(&[(0, refused), (4, refused), (10, refused), (20, refused)]);
        assert_eq!(told, [(10, "Unreachable".to_owned())]);
    }

    #[test]
    fn another_reason_is_told_too_and_the_same_one_again_only_after_it_was_over() {
        let (a, b) = (Kind::Status(500), Kind::Unreachable);
        let told = play(&[(0, a), (11, a), (12, b), (13, b), (14, a)]);
        let told: Vec<u64> = told.into_iter().map(|(second, _)| second).collect();
        assert_eq!(told, [11, 12, 14]);

        let (now, mut outage) = (Instant::now(), outage());
        assert!(outage.failed(now, reason(Kind::Denied), false).is_some());
        assert!(outage.failed(now, reason(Kind::Denied), false).is_none());
        assert!(outage.over() && !outage.over());
        assert!(outage.failed(now, reason(Kind::Denied), false).is_some());
    }

    #[test]
    fn it_is_due_once() {
        let (now, mut outage) = (Instant::now(), outage());
        assert_eq!(outage.due(), None);
        assert_eq!(outage.failed(now, reason(Kind::Broken), false), None);
        assert_eq!(outage.failed(now + Duration::from_secs(3), reason(Kind::Silent), false), None);
        assert_eq!(outage.due(), Some(now + GRACE));
        assert_eq!(outage.tell().as_deref(), Some("Silent"));
        assert_eq!((outage.due(), outage.tell()), (None, None));
    }

    #[test]
    fn an_empty_list_is_told_at_once_when_there_was_one_and_after_a_while_at_the_start() {
        let (now, empty) = (Instant::now(), || Reason::doubt(Doubt::Empty, ", and no node"));
        assert_eq!(outage().failed(now, empty(), false), None);
        let mut outage = outage();
        let told = outage.failed(now, empty(), true).unwrap();
        assert!(told.starts_with("Consul shows no check at all, and no node: the token needs"), "{told}");
        assert!(outage.told_empty());
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut pauses = Pauses::new(Duration::from_secs(1));
        for whole in [100, 200, 400, 800, 1_000, 1_000] {
            let pause = pauses.next().as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
        pauses.reset();
        assert!(pauses.next() <= Duration::from_millis(100));
    }
}
