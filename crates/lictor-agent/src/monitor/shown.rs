//! How monitors stand, as the web shows it.

use futures::future::BoxFuture;
use lictor_core::Holding;

use super::{Forget, Monitors, word};
use crate::web::rfc3339;
use crate::web::{Forgotten, Kept, KeptState, MonitorState};

impl Kept for Monitors {
    fn monitors(&self) -> Vec<MonitorState> {
        let standings = self.standings().into_iter().map(|(name, standing)| {
            let record = standing.record;
            MonitorState {
                name,
                connection: record.stable.map(|stable| if stable { "stable" } else { "unstable" }),
                phase: word(record.phase),
                given_up: record.given_up,
                acts: standing.holding.as_ref().map(|holding| match holding {
                    Holding::Ours => "ours",
                    Holding::Other { .. } => "other",
                    Holding::Unknown { .. } => "unknown",
                }),
                acts_text: standing.holding.map(|holding| holding.to_string()),
                behind: standing.behind,
                stopped_torrents: record.torrents.map_or(0, |stopped| stopped.torrents.len()),
                vpn: record.vpn,
                public_ip: record.ip,
                place: record.place,
            }
        });
        standings.collect()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<KeptState>, String>> {
        Box::pin(async move {
            let listed = Self::list(self).await?.into_iter().map(|one| KeptState {
                name: one.name,
                prefix: one.prefix,
                configured: one.until.is_none(),
                until: one.until.map(rfc3339),
                keys: one.keys,
            });
            Ok(listed.collect())
        })
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Forgotten> {
        Box::pin(async move {
            match Self::forget(self, name).await {
                Ok(done) => Forgotten::Done(done),
                Err(Forget::InUse) => Forgotten::InUse(format!(
                    "the monitor `{name}` is in the configuration: remove it there and reload first"
                )),
                Err(Forget::Unknown) => {
                    Forgotten::Unknown(format!("no state of a monitor `{name}` is kept here"))
                }
                Err(Forget::Failed(why)) => Forgotten::Failed(why),
            }
        })
    }
}
