//! How something stands for those who are to be told.

use super::agree::{self, Agreed};
use super::entry::Entry;
use super::mesh::{Mesh, Verdict};
use super::plan::WhoTells;
use super::rank::rank;
use crate::check::Status;
use crate::time::Now;

impl Mesh {
    /// How a peer stands for those who are to be told, and whether this node tells that it is down. `None`: they
    /// know already, or nobody knows yet.
    pub(super) fn verdict(&self, entry: &Entry, now: Now) -> (Option<Verdict>, bool) {
        let Some((status, since)) = entry.stood else { return (None, false) };
        if entry.vanished.is_some() {
            let stood = if status == Status::Passing { "well" } else { "down" };
            let output = format!("discovery no longer names it; it was {stood} when it was last looked at");
            return (Some(Verdict { status: Status::Warning, output, detail: "vanished".to_owned() }), false);
        }
        let Some((seen, _)) = entry.seen.as_ref().filter(|_| !entry.is_turning()) else {
            // Not looked at since the start, or not often enough.
            return (None, entry.told);
        };
        if status == Status::Passing {
            return (Some(well(seen.to_string())), false);
        }
        let down = |output: String| Verdict { status: Status::Critical, output, detail: entry.detail(seen) };
        if seen.is_there() {
            // It says so itself: nobody needs to confirm it.
            return self.told_by_rank(entry, since, now, down(seen.to_string()));
        }
        let opinions: Vec<_> = self.opinions(&entry.peer.id, now).collect();
        let (asked, needed) = (agree::heard(&opinions, since), self.plan.confirm.get());
        let unconfirmed = || {
            (asked < needed as usize)
                .then(|| format!("unconfirmed: {asked} of {needed} nodes could be asked"))
        };
        let said: Vec<_> =
            opinions.iter().copied().filter(|one| !one.up || one.at.boot >= since.boot).collect();
        let more = agree::words(&said).into_iter().chain(unconfirmed()).collect::<Vec<_>>();
        let output = [vec![seen.to_string()], more].concat().join("; ");
        if entry.told {
            return (Some(down(output)), true);
        }
        if self.cut_off.is_some() && needed > 1 {
            // That it sees too few is told instead.
            return (None, false);
        }
        match agree::agree(&opinions, since, needed, self.plan.patience(), now) {
            Agreed::Down | Agreed::Unconfirmed => self.told_by_rank(entry, since, now, down(output)),
            Agreed::Wait => (None, false),
            Agreed::Disputed => (Some(well(output)), false),
        }
    }

    /// A verdict that it is down, if it is this node's turn to say so.
    fn told_by_rank(&self, entry: &Entry, since: Now, now: Now, verdict: Verdict) -> (Option<Verdict>, bool) {
        let id = &entry.peer.id;
        if entry.told || self.plan.tell == WhoTells::Each {
            return (Some(verdict), true);
        }
        // One whose word nobody accepts is waited for as well, but not for ever.
        let tellers = self.opinions(id, now).filter(|opinion| opinion.told);
        let unheard: Option<Vec<_>> =
            tellers.map(|teller| Some(now.boot.since(teller.waits?.boot))).collect();
        let Some(unheard) = unheard else { return (None, false) };
        // Only those that can say that they told are waited for.
        let others = self
            .entries
            .values()
            .filter(|other| other.is_there() && other.says.get(id).is_some_and(|opinion| !opinion.told));
        let others: Vec<&str> = others.filter_map(|other| other.node.as_deref()).collect();
        let place = rank(id, &self.plan.node, others);
        let share =
            (self.plan.round() + self.plan.timeout).saturating_mul(u32::try_from(place).unwrap_or(u32::MAX));
        let turn = match unheard.into_iter().min() {
            None => now.boot.since(since.boot) >= share,
            Some(waited) => waited >= self.plan.patience() + share,
        };
        if turn { (Some(verdict), true) } else { (None, false) }
    }

    /// How finding peers goes.
    pub(super) fn judge_finding(&self) -> Verdict {
        let known = self.entries.values().filter(|entry| entry.vanished.is_none()).count();
        let bad = |status, output, detail: &str| Verdict { status, output, detail: detail.to_owned() };
        match &self.lost {
            Some((why, _)) if known == 0 => {
                bad(Status::Critical, format!("peers cannot be found, and none is known: {why}"), "lost")
            }
            Some((why, _)) if self.failures >= self.plan.fail_after.get().max(2) => {
                let output = format!("peers cannot be found; the last {known} known are watched on: {why}");
                bad(Status::Warning, output, "kept")
            }
            None if self.nobody && known == 0 => {
                let output = "there is nobody to watch: discovery names no peer but this node".to_owned();
                bad(Status::Critical, output, "nobody")
            }
            Some(_) | None => well(format!("{known} peers are known")),
        }
    }

    /// Whether this node is cut off, when it sees so many of so many.
    pub(super) fn judge_alone(&self, seen: usize, of: usize) -> Verdict {
        if let Some((why, rounds)) = &self.blind
            && *rounds >= self.plan.fail_after.get()
        {
            let output = format!("this node cannot ask its peers: {why}");
            return Verdict { status: Status::Critical, output, detail: "blind".to_owned() };
        }
        if self.cut_off.is_none() {
            return well(format!("this node sees {seen} of {of} peers"));
        }
        let unseen = self.entries.values().filter(|entry| entry.is_looked_at() && entry.is_lost());
        let unseen: Vec<_> = unseen.map(|entry| entry.peer.id.as_str()).collect();
        let output = if seen == 0 {
            format!("this node sees none of its {of} peers: it is probably cut off itself")
        } else {
            format!(
                "this node sees {seen} of {of} peers, too few to confirm what it sees ({} nodes are needed); it does not see {}",
                self.plan.confirm,
                agree::list(&unseen).unwrap_or_default()
            )
        };
        Verdict { status: Status::Critical, output, detail: "alone".to_owned() }
    }
}

fn well(output: String) -> Verdict {
    Verdict { status: Status::Passing, output, detail: "up".to_owned() }
}
