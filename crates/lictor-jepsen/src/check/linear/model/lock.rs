//! A lock: held by one session at a time.

use std::collections::{BTreeMap, HashMap};

use super::sight::{NIL, Values};
use super::{Kind, Model, NEVER, Timed};
use crate::history::Op;

/// A lock with `acquire`, `release`, `expire` and `read`, which is free at first. The value is the session; a read finds
/// the holder, or `null`.
///
/// An `expire` is a session that ends: if it ends by itself, at some time that nobody knows, its call is left open where
/// that may be first; if it is destroyed, `ok` says that by then it holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock {
    /// Whether the holder may acquire it once more, as with Consul; one release frees it all the same.
    pub reentrant: bool,
}

/// What is done to a lock, by which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAction {
    /// It holds it from now on.
    Acquire(u32),
    /// It held it, and does so no more.
    Release(u32),
    /// Its session ended; if it held it, it does so no more.
    Expire(u32),
    /// It holds it, or with 0 nobody does.
    Read(u32),
}

/// A lock that certain operations are done to.
#[derive(Debug)]
pub struct LockModel {
    actions: Vec<LockAction>,
    reentrant: bool,
}

impl LockAction {
    const fn session(self) -> u32 {
        match self {
            Self::Acquire(session) | Self::Release(session) | Self::Expire(session) | Self::Read(session) => {
                session
            }
        }
    }
}

impl Kind for Lock {
    type Action = LockAction;
    type Model = LockModel;
    type Names = Values;

    fn name(&self) -> &'static str {
        if self.reentrant { "reentrant-lock" } else { "lock" }
    }

    fn functions(&self) -> &'static [&'static str] {
        &["acquire", "release", "expire", "read"]
    }

    /// A session that ends does so for all its locks.
    fn spreads(&self, f: &str) -> bool {
        f == "expire"
    }

    fn action(
        &self,
        sessions: &mut Values,
        invoke: &Op,
        end: Option<&Op>,
    ) -> Result<Option<LockAction>, String> {
        let mut session = || {
            let value = if invoke.value.is_null() { end.map(|end| &end.value) } else { Some(&invoke.value) };
            match value.map(|value| sessions.number(value)) {
                None | Some(NIL) => Err(format!("the value of `{}` is the session, not null", invoke.f)),
                Some(session) => Ok(session),
            }
        };
        Ok(match invoke.f.as_str() {
            "acquire" => Some(LockAction::Acquire(session()?)),
            "release" => Some(LockAction::Release(session()?)),
            "expire" => Some(LockAction::Expire(session()?)),
            "read" => end.map(|end| LockAction::Read(sessions.number(&end.value))),
            other => return Err(format!("a lock knows acquire, release, expire and read, not `{other}`")),
        })
    }

    /// What nobody knows of is left out where nothing needs it: an acquire of a session that released nothing and was not
    /// seen to hold it, and the end of a session that released as often as it acquired. If that one had ended while it
    /// held the lock, one of the releases would have found nothing.
    fn simplify(&self, operations: &mut Vec<Timed<LockAction>>) {
        #[derive(Default)]
        struct Known {
            acquired: u32,
            released: u32,
            seen: bool,
        }
        let mut sessions: HashMap<u32, Known> = HashMap::new();
        for operation in operations.iter().filter(|operation| operation.end != NEVER) {
            match operation.action {
                LockAction::Release(session) => sessions.entry(session).or_default().released += 1,
                LockAction::Read(session) => sessions.entry(session).or_default().seen = true,
                LockAction::Acquire(_) | LockAction::Expire(_) => {}
            }
        }
        operations.retain(|operation| match operation.action {
            LockAction::Acquire(session) => {
                let known = sessions.entry(session).or_default();
                let stays = operation.end != NEVER || known.seen || known.released > 0;
                known.acquired += u32::from(stays);
                stays
            }
            LockAction::Release(_) | LockAction::Expire(_) | LockAction::Read(_) => true,
        });
        operations.retain(|operation| match operation.action {
            LockAction::Release(session) | LockAction::Expire(session) if operation.end == NEVER => {
                sessions.get(&session).is_some_and(|known| known.acquired > known.released)
            }
            LockAction::Acquire(_) | LockAction::Release(_) | LockAction::Expire(_) | LockAction::Read(_) => {
                true
            }
        });
    }

    fn model(&self, operations: &[Timed<LockAction>]) -> LockModel {
        let actions = operations.iter().map(|operation| operation.action).collect();
        LockModel { actions, reentrant: self.reentrant }
    }

    fn reads(&self, action: &LockAction) -> bool {
        matches!(action, LockAction::Read(_))
    }

    /// First whole sessions, then what a session did between getting it and letting go of it, and reads.
    fn groups(&self, operations: &[Timed<LockAction>]) -> Vec<Vec<Vec<usize>>> {
        let mut sessions: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut single = Vec::new();
        for (position, operation) in operations.iter().enumerate() {
            match operation.action {
                LockAction::Read(_) => single.push(vec![position]),
                action => sessions.entry(action.session()).or_default().push(position),
            }
        }
        for own in sessions.values() {
            single.extend(own.windows(2).filter(|pair| turn(operations, pair)).map(<[usize]>::to_vec));
        }
        vec![sessions.into_values().collect(), single]
    }

    fn sees(&self, action: &LockAction) -> Vec<u32> {
        match action {
            LockAction::Read(holder) if *holder != NIL => vec![*holder],
            LockAction::Read(_) | LockAction::Acquire(_) | LockAction::Release(_) | LockAction::Expire(_) => {
                Vec::new()
            }
        }
    }

    fn makes(&self, action: &LockAction) -> Option<u32> {
        match action {
            LockAction::Acquire(session) => Some(*session),
            LockAction::Release(_) | LockAction::Expire(_) | LockAction::Read(_) => None,
        }
    }
}

/// Whether two operations of a session that began one after the other are an acquire and its release.
fn turn(operations: &[Timed<LockAction>], pair: &[usize]) -> bool {
    let [Some(first), Some(second)] = [0, 1].map(|at| pair.get(at).and_then(|at| operations.get(*at))) else {
        return false;
    };
    let actions = (first.action, second.action);
    matches!(actions, (LockAction::Acquire(_), LockAction::Release(_)))
        && first.end < second.begin
        && second.end != NEVER
}

impl Model for LockModel {
    /// Who holds it, or 0.
    type State = u32;

    fn initial(&self) -> u32 {
        NIL
    }

    fn step(&mut self, holder: u32, operation: usize) -> Option<u32> {
        match self.actions[operation] {
            LockAction::Acquire(session) => {
                let free = holder == NIL || (self.reentrant && holder == session);
                free.then_some(session)
            }
            LockAction::Release(session) => (holder == session).then_some(NIL),
            LockAction::Expire(session) => Some(if holder == session { NIL } else { holder }),
            LockAction::Read(seen) => (holder == seen).then_some(holder),
        }
    }

    fn at_once(&self, _: u32, operation: usize, _: u32, _: impl Iterator<Item = usize>) -> bool {
        matches!(self.actions[operation], LockAction::Read(_))
    }
}
