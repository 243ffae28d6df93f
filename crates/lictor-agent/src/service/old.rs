//! Nodes on which the program before this one still decides.
//!
//! powerconsul's record of roles names the nodes of a service. Each node that has this program instead writes so; one
//! that has not would start and stop the service as it sees fit, so that no other node may take it over by itself.

use std::collections::BTreeSet;

use lictor_store::kv::{Kv, Listing, Op, Revision};
use lictor_store::wire;
use tokio::sync::watch;
use tokio::time::{Duration, sleep};
use tracing::{debug, warn};

use super::roles;
use crate::clock::Clock;
use crate::task::{OnEnd, Tasks};

/// How long a blocking query waits for a change.
const WATCH: Duration = Duration::from_secs(60);

/// After how long one that failed is begun again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why no node may take a service over by itself, if there is a reason; one without words as long as that is not known.
pub type Bars = watch::Receiver<Option<String>>;

/// None.
pub fn none() -> Bars {
    watch::Sender::new(None).subscribe()
}

/// Writes that this node has this program, and follows who has not: of `nodes`, those that the record of roles at
/// `key` names. `ours`: our own records; `all`: all of them.
pub(super) fn follow(
    (ours, all): (Kv, Kv),
    key: String,
    (node, nodes): (String, BTreeSet<String>),
    clock: Clock,
    tasks: &Tasks,
) -> Bars {
    let (sender, bars) = watch::channel(Some(String::new()));
    let prefix = format!("roles/{key}/");
    tasks.spawn(format!("nodes of {key}"), OnEnd::Fine, async move {
        let (mut roles, mut there) = ((Revision(0), None), (Revision(0), None));
        loop {
            let seen = tokio::select! {
                listing = all.watch(&key, roles.0, WATCH) => listing.map(|listing| {
                    let pair = listing.pairs.iter().find(|pair| pair.key == key);
                    roles = (listing.revision, Some(roles::named(pair.map(|pair| pair.value.as_slice()))));
                }),
                listing = ours.watch(&prefix, there.0, WATCH) => listing.map(|listing| {
                    there = (listing.revision, Some(present(&listing, &prefix)));
                }),
            };
            if let Err(error) = seen {
                debug!(key, %error, "who has this program cannot be read");
                sender.send_if_modified(|before| {
                    let first = before.as_deref() == Some("");
                    if first {
                        warn!(key, %error, "who has this program cannot be read");
                        *before = Some(format!("who has this program cannot be read: {error}"));
                    }
                    first
                });
                // From the start, in case the indexes have gone back.
                (roles.0, there.0) = (Revision(0), Revision(0));
                sleep(AGAIN).await;
                continue;
            }
            let (Some(named), Some(present)) = (&roles.1, &there.1) else { continue };
            if !present.contains(&node)
                && let Err(error) = say(&ours, &format!("{prefix}{node}"), &clock).await
            {
                warn!(key, %error, "the other nodes are not told that this one has this program");
                sleep(AGAIN).await;
            }
            let why = bar(&key, named, &nodes, present);
            sender.send_if_modified(|before| std::mem::replace(before, why.clone()) != why);
        }
    });
    bars
}

async fn say(kv: &Kv, key: &str, clock: &Clock) -> Result<(), lictor_store::kv::KvError> {
    let joined = wire::Joined { since_ms: clock.now().wall.as_unix_millis() };
    // It has nothing that cannot be encoded.
    let value = wire::encode(&joined).unwrap_or_default();
    kv.txn(&[Op::put(key, value)]).await.map(drop)
}

fn present(listing: &Listing, prefix: &str) -> BTreeSet<String> {
    listing.pairs.iter().filter_map(|pair| pair.key.strip_prefix(prefix).map(str::to_owned)).collect()
}

/// Why nobody may take it over by itself.
fn bar(
    key: &str,
    named: &Result<BTreeSet<String>, String>,
    nodes: &BTreeSet<String>,
    present: &BTreeSet<String>,
) -> Option<String> {
    let named = match named {
        Ok(named) => named,
        Err(why) => return Some(format!("{key} cannot be read: {why}")),
    };
    let old: Vec<&str> =
        named.intersection(nodes).filter(|node| !present.contains(*node)).map(String::as_str).collect();
    (!old.is_empty()).then(|| {
        let which = old.join(", ");
        format!(
            "{key} names {which}, where this service was never run by lictor: powerconsul may decide there"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cluster/web";

    fn nodes() -> BTreeSet<String> {
        ["n1", "n2"].map(str::to_owned).into()
    }

    async fn until(bars: &mut Bars, so: impl FnMut(&Option<String>) -> bool) -> Option<String> {
        let found = tokio::time::timeout(Duration::from_secs(20), bars.wait_for(so)).await;
        found.expect("it never is so").unwrap().clone()
    }

    #[tokio::test]
    async fn a_node_that_never_had_this_program_keeps_the_others_from_taking_over_until_it_has() {
        let (kv, tasks) = (Kv::memory(), Tasks::new());
        let roles = r#"{"active_nodes":["n1"],"standby_nodes":["n2","n9"]}"#;
        kv.txn(&[Op::put(KEY, roles)]).await.unwrap();
        let of = |node: &str| {
            let both = (kv.clone(), kv.clone());
            follow(both, KEY.to_owned(), (node.to_owned(), nodes()), Clock::fresh(), &tasks)
        };
        let mut first = of("n1");
        let why = until(&mut first, |why| why.as_ref().is_some_and(|why| why.contains("n2"))).await.unwrap();
        assert_eq!(
            why,
            "cluster/web names n2, where this service was never run by lictor: powerconsul may decide there",
            "and not n9, which is no node of this service"
        );
        let mut second = of("n2");
        assert_eq!(until(&mut first, Option::is_none).await, None);
        assert_eq!(until(&mut second, Option::is_none).await, None);
        kv.txn(&[Op::put(KEY, "junk")]).await.unwrap();
        let why = until(&mut first, Option::is_some).await.unwrap();
        assert!(why.starts_with("cluster/web cannot be read: it is not JSON"), "{why}");
        tasks.stopping().cancel();
    }

    #[tokio::test]
    async fn without_a_record_there_is_nobody_else() {
        let (kv, tasks) = (Kv::memory(), Tasks::new());
        let mut bars =
            follow((kv.clone(), kv), KEY.to_owned(), ("n1".to_owned(), nodes()), Clock::fresh(), &tasks);
        assert_eq!(until(&mut bars, Option::is_none).await, None);
        tasks.stopping().cancel();
    }
}
