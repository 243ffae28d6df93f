//! Which monitors this node ever had, so that their state is removed when it is of no use any
//! more: `retain` after the monitor was removed from the configuration, or when a person says so.

use lictor_config::Monitor;
use lictor_consul::Client;
use lictor_core::Wall;
use lictor_store::kv::{Kv, KvError, Op};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::Forget;
use super::share::{Last, Share};

/// Keys removed in one transaction.
const AT_ONCE: usize = 60;

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    v: u32,
    prefix: String,
    retain_ms: u64,
    /// When it was found to be removed, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_ms: Option<i64>,
}

/// One monitor whose state is kept, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: String,
    /// Where its state lies in Consul.
    pub(crate) prefix: String,
    /// When its state is removed; `None`: it is configured.
    pub(crate) until: Option<Wall>,
    /// How many keys there are; `None`: Consul cannot say.
    pub(crate) keys: Option<usize>,
}

pub(super) struct Registry {
    local: Kv,
    consul: Option<Client>,
    /// This node and its store, as a record names them.
    writer: (String, String),
}

/// Who wants a state to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Person,
    /// It has been kept for long enough.
    Time,
}

impl Registry {
    pub(super) fn new(local: Kv, consul: Option<Client>, writer: (String, String)) -> Self {
        Self { local, consul, writer }
    }

    fn shared(&self, prefix: &str) -> Option<Kv> {
        self.consul.clone().map(|client| Kv::consul(client, prefix))
    }

    async fn all(&self) -> Result<Vec<(String, Known)>, KvError> {
        let listing = self.local.list("lictor/monitor/").await?;
        let known = listing.pairs.into_iter().filter_map(|pair| {
            let name = pair.key.strip_prefix("lictor/monitor/")?.to_owned();
            Some((name, serde_json::from_slice(&pair.value).ok()?))
        });
        Ok(known.collect())
    }

    async fn put(&self, name: &str, known: &Known) -> Result<(), KvError> {
        let value = serde_json::to_vec(known).map_err(|error| KvError::Refused { why: error.to_string() })?;
        self.local.txn(&[Op::put(format!("lictor/monitor/{name}"), value)]).await.map(drop)
    }

    /// Notes which monitors there are now.
    pub(super) async fn sync(&self, monitors: &[Monitor], now: Wall) -> Result<(), KvError> {
        let known = self.all().await?;
        for monitor in monitors {
            let retain_ms = u64::try_from(monitor.retain.as_millis()).unwrap_or(u64::MAX);
            let new = Known { v: 1, prefix: monitor.prefix.clone(), retain_ms, removed_ms: None };
            if !known.iter().any(|(name, old)| *name == monitor.name && *old == new) {
                self.put(&monitor.name, &new).await?;
            }
        }
        for (name, mut old) in known {
            if old.removed_ms.is_none() && !monitors.iter().any(|monitor| monitor.name == name) {
                old.removed_ms = Some(now.as_unix_millis());
                self.put(&name, &old).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn list(&self) -> Result<Vec<Listed>, String> {
        let mut listed = Vec::new();
        for (name, known) in self.all().await.map_err(|error| error.to_string())? {
            let keys = match self.shared(&known.prefix) {
                Some(kv) => kv.list("").await.ok().map(|listing| listing.pairs.len()),
                None => None,
            };
            let until = known.removed_ms.map(|removed| {
                let retain = i64::try_from(known.retain_ms).unwrap_or(i64::MAX);
                Wall::from_unix_millis(removed.saturating_add(retain))
            });
            listed.push(Listed { name, prefix: known.prefix, until, keys });
        }
        Ok(listed)
    }

    /// Removes what has been kept for long enough.
    pub(super) async fn expire(&self, now: Wall) -> Result<(), String> {
        for one in self.list().await? {
            if one.until.is_some_and(|until| until <= now) {
                match self.remove(&one.name, By::Time).await {
                    Ok(told) => info!(monitor = one.name, "{told}"),
                    Err(Forget::Failed(why)) => return Err(why),
                    Err(Forget::InUse | Forget::Unknown) => {}
                }
            }
        }
        Ok(())
    }

    /// Removes the state of one, here and in Consul.
    pub(super) async fn forget(&self, name: &str) -> Result<String, Forget> {
        self.remove(name, By::Person).await
    }

    async fn remove(&self, name: &str, by: By) -> Result<String, Forget> {
        let words = |error: KvError| Forget::Failed(error.to_string());
        let all = self.all().await.map_err(words)?;
        let Some((_, known)) = all.iter().find(|(one, _)| one == name) else {
            return Err(Forget::Unknown);
        };
        // Another one may have its keys at the same place by now.
        let shared = all
            .iter()
            .any(|(one, other)| one != name && other.prefix == known.prefix && other.removed_ms.is_none());
        let mut removed = 0;
        if let Some(kv) = self.shared(&known.prefix).filter(|_| !shared) {
            let (node, lineage) = self.writer.clone();
            let mut share = Share::new(kv.clone(), name.to_owned(), node, lineage);
            let listing = kv.list("").await.map_err(words)?;
            share.seen(listing.clone());
            let mut keys: Vec<&str> = listing.pairs.iter().map(|pair| pair.key.as_str()).collect();
            if by == By::Time {
                // Another node or program may go on with it, and what a person wrote stays.
                let ours = share.last() == Last::Us;
                keys.retain(|key| ours && !key.starts_with("control/"));
            }
            for part in keys.chunks(AT_ONCE) {
                let ops: Vec<Op> = part.iter().map(|key| Op::delete(*key)).collect();
                kv.txn(&ops).await.map_err(words)?;
                removed += part.len();
            }
        }
        self.local.txn(&[Op::delete(format!("lictor/monitor/{name}"))]).await.map_err(words)?;
        let keys = if removed == 1 { "1 key".to_owned() } else { format!("{removed} keys") };
        Ok(format!("the state of `{name}` was removed, with {keys} below {} in Consul", known.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(name: &str) -> Monitor {
        let text = format!(
            "consul {{\n}}\nconnection_monitor {name:?} {{\n retain = \"10d\"\n prefix = \"x/{name}\"\n qbittorrent {{\n url = \"http://127.0.0.1:1\"\n }}\n}}"
        );
        lictor_config::parse("x.hcl", &text).unwrap().config.monitors.remove(0)
    }

    #[tokio::test]
    async fn what_was_removed_is_kept_for_a_while_and_then_forgotten() {
        let registry = Registry::new(Kv::memory(), None, ("node1".into(), "lineage".into()));
        let day = |day: i64| Wall::from_unix_millis(day * 86_400_000);
        registry.sync(&[monitor("a"), monitor("b")], day(0)).await.unwrap();
        registry.sync(&[monitor("a")], day(1)).await.unwrap();
        registry.sync(&[monitor("a")], day(5)).await.unwrap();
        let until =
            |listed: &[Listed]| listed.iter().map(|one| (one.name.clone(), one.until)).collect::<Vec<_>>();
        let listed = registry.list().await.unwrap();
        assert_eq!(until(&listed), [("a".to_owned(), None), ("b".to_owned(), Some(day(11)))]);
        registry.expire(day(10)).await.unwrap();
        assert_eq!(registry.list().await.unwrap().len(), 2);
        registry.expire(day(11)).await.unwrap();
        assert_eq!(registry.list().await.unwrap().len(), 1);
        // It comes back, and is configured again.
        registry.sync(&[monitor("a"), monitor("b")], day(12)).await.unwrap();
        assert_eq!(until(&registry.list().await.unwrap())[1].1, None);
        assert_eq!(registry.forget("c").await, Err(Forget::Unknown));
    }
}
