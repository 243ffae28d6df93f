//! Changes of what is agreed on, in all datacenters.

use std::fs;
use std::path::PathBuf;

use lictor_consul::{Client, Index, Query};
use lictor_core::service::{Change, Cluster, Vacancy};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::log::safe;
use super::place::Place;
use super::view::{Stored, View};

/// What a check remembers of the looks before it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum Saved {
    #[serde(rename = "1")]
    V1 { looks: u32, since_ms: u64, last_ms: u64 },
}

/// Where one check remembers.
pub(super) struct Memory(PathBuf);

impl Memory {
    pub(super) fn of(place: &Place, service: &str, resource: &str) -> Self {
        Self(place.memory.join(format!("{}.{resource}.json", safe(service))))
    }

    /// Takes that it is so once more, and says whether it was long enough.
    pub(super) fn again(&self, place: &Place) -> Result<bool, String> {
        let before = fs::read(&self.0).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let ms = std::time::Duration::from_millis;
        let before = before.map(|Saved::V1 { looks, since_ms, last_ms }| Vacancy {
            looks,
            since: ms(since_ms),
            last: ms(last_ms),
        });
        let now = clock_gettime(ClockId::Boottime);
        let now = std::time::Duration::try_from(now).unwrap_or_default();
        let (vacancy, due) = place.patience.again(before, now);
        let whole = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let saved =
            Saved::V1 { looks: vacancy.looks, since_ms: whole(vacancy.since), last_ms: whole(vacancy.last) };
        let text = serde_json::to_vec(&saved).map_err(|why| why.to_string())?;
        let aside = self.0.with_extension("new");
        let written = self.0.parent().map_or(Ok(()), fs::create_dir_all);
        let written =
            written.and_then(|()| fs::write(&aside, text)).and_then(|()| fs::rename(&aside, &self.0));
        written.map_err(|why| format!("cannot remember at {}: {why}", self.0.display()))?;
        Ok(due)
    }

    /// It is not so now.
    pub(super) fn forget(&self) {
        // That there is nothing to forget is the usual case.
        fs::remove_file(&self.0).ok();
    }
}

/// Carries out a change. Each write is bound to the state that the decision rests on: who wrote in between wins.
///
/// # Errors
/// In words, if it did not come about; then nothing is changed, or the text says what is.
pub(super) async fn carry_out(place: &Place, view: &View, change: Change) -> Result<(), String> {
    let Some(own) = &view.own else { return Err("there is no cluster data".to_owned()) };
    match change {
        Change::Unlock => unlock(place, view, own).await,
        Change::Exchange => exchange(place, view, own).await,
    }
}

async fn unlock(place: &Place, view: &View, own: &Stored) -> Result<(), String> {
    let mut faults = Vec::new();
    let others = view.elsewhere.iter().filter_map(|other| {
        Some((place.client.in_datacenter(&other.datacenter), other.found.as_ref().ok()?.as_ref()?))
    });
    for (client, stored) in others.chain([(place.client.clone(), own)]) {
        let unlocked = stored.data.cluster().unlocked(&place.host).map_err(|why| why.to_string())?;
        if unlocked != *stored.data.cluster() {
            let written = write(&client, &view.key, &stored.data.with(&unlocked), stored.index).await;
            faults.extend(written.err());
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// A write that was made, and what takes it back.
struct Made {
    client: Client,
    before: Option<String>,
    after: String,
}

/// The other datacenters first, this one last: where that fails, what was written is taken back. One that has the roles
/// exchanged already is left as it is: an exchange that was cut off in the middle is brought to its end.
async fn exchange(place: &Place, view: &View, own: &Stored) -> Result<(), String> {
    let behind: Vec<_> = view.elsewhere.iter().filter(|other| !other.is_ahead(own, &place.host)).collect();
    for other in &behind {
        if let Some(why) = other.fault(Some(own)) {
            return Err(format!(
                "the roles stay, because not all datacenters can follow: {}: {why}",
                other.datacenter
            ));
        }
    }
    let exchanged = |cluster: &Cluster| cluster.exchanged(&place.host).map_err(|why| why.to_string());
    let text = own.data.with(&exchanged(own.data.cluster())?);
    let mut made: Vec<Made> = Vec::new();
    let targets = behind.iter().map(|other| {
        (place.client.in_datacenter(&other.datacenter), other.found.as_ref().ok().and_then(Option::as_ref))
    });
    for (client, stored) in targets.chain([(place.client.clone(), Some(own))]) {
        let after = match stored {
            Some(stored) => stored.data.with(&exchanged(stored.data.cluster())?),
            None => text.clone(),
        };
        let index = stored.map_or(Index::ZERO, |stored| stored.index);
        if let Err(why) = write(&client, &view.key, &after, index).await {
            let mut faults = vec![why];
            for made in made.iter().rev() {
                faults.extend(take_back(made, &view.key).await.err());
            }
            return Err(faults.join("; "));
        }
        made.push(Made { client, before: stored.map(|stored| stored.written.clone()), after });
    }
    Ok(())
}

async fn take_back(made: &Made, key: &str) -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("what was written before cannot be taken back: {why}");
    let found = made.client.kv().get(key, &Query::new().consistent()).await.map_err(|why| failed(&why))?;
    let ours = found.value.filter(|pair| pair.value == made.after.as_bytes());
    // Somebody else has written since.
    let Some(pair) = ours else { return Ok(()) };
    let taken = match &made.before {
        Some(before) => made.client.kv().cas(key, before.clone(), pair.modify_index).await,
        None => made.client.kv().delete_cas(key, pair.modify_index).await,
    };
    taken.map(drop).map_err(|why| failed(&why))
}

async fn write(client: &Client, key: &str, text: &str, index: Index) -> Result<(), String> {
    match client.kv().cas(key, text.to_owned(), index).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("`{key}` was changed since it was read")),
        Err(why) => Err(why.to_string()),
    }
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
