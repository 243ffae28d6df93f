//! Names of hosts to addresses, by the system's own resolver (getaddrinfo), which knows all
//! that this machine is told to use: hosts file, DNS, mDNS, directory services.
//!
//! getaddrinfo cannot be given up: when the resolver hangs it blocks its thread for half a
//! minute. So there is one lookup of a name at a time, which all who want it wait for, and
//! at most [`LOOKUPS`] of different names; who waits longer than its time limit goes away,
//! the thread stays until it is done.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use lictor_config::Family;
use tokio::sync::{Notify, watch};

use super::fault::{Fault, Plain, is_ours};
use crate::Tasks;

/// Lookups at once: threads that a hanging resolver may hold.
const LOOKUPS: usize = 64;

type Answer = Option<Result<Arc<[SocketAddr]>, Fault>>;

/// Looks up addresses. Nothing is remembered: every look asks anew.
#[derive(Debug)]
pub(super) struct Resolver {
    tasks: Tasks,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Exactly the lookups under way.
    lookups: Mutex<BTreeMap<String, watch::Receiver<Answer>>>,
    /// Notified when one of them ends.
    ended: Notify,
}

impl Resolver {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { tasks, shared: Arc::new(Shared::default()) }
    }

    /// The addresses of `host` with `port`, in the system's order; at least one.
    pub(super) async fn addresses(
        &self,
        host: &str,
        port: u16,
        family: Family,
    ) -> Result<Vec<SocketAddr>, Fault> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let all = self.lookup(host).await?;
        let with_port = |mut address: SocketAddr| {
            // Not made anew: one of a link has its interface with it.
            address.set_port(port);
            address
        };
        let wanted: Vec<SocketAddr> = all
            .iter()
            .copied()
            .filter(|address| match family {
                Family::Any => true,
                Family::V4 => address.is_ipv4(),
                Family::V6 => address.is_ipv6(),
            })
            .map(with_port)
            .collect();
        if wanted.is_empty() {
            let wanted = if family == Family::V6 { "IPv6" } else { "IPv4" };
            return Err(Fault::critical(format!("{host} has no {wanted} address")));
        }
        Ok(wanted)
    }

    /// All addresses of `host`, from a lookup that began no earlier than the one under way.
    async fn lookup(&self, host: &str) -> Result<Arc<[SocketAddr]>, Fault> {
        loop {
            let ended = self.shared.ended.notified();
            let running = self.join_or_start(host)?;
            let Some(mut running) = running else {
                ended.await;
                continue;
            };
            let answer = running.wait_for(Option::is_some).await;
            return match answer.as_deref() {
                Ok(Some(answer)) => answer.clone(),
                Ok(None) | Err(_) => Err(Fault::unknown(format!("the lookup of {host} was lost"))),
            };
        }
    }

    /// The lookup under way, or a new one; `None` when there is no room for one.
    fn join_or_start(&self, host: &str) -> Result<Option<watch::Receiver<Answer>>, Fault> {
        let mut lookups = self.shared.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = lookups.get(host) {
            return Ok(Some(running.clone()));
        }
        if lookups.len() >= LOOKUPS {
            return Ok(None);
        }
        let (answer, answered) = watch::channel(None);
        let (name, shared) = (host.to_owned(), Arc::clone(&self.shared));
        let work = move || {
            let found = ask_system(&name);
            // Out of the table first: who comes now asks anew.
            shared.lookups.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            answer.send_replace(Some(found));
            shared.ended.notify_waiters();
        };
        self.tasks
            .on_thread("resolve", work)
            .map_err(|error| Fault::io(format_args!("cannot look up {host}"), &error))?;
        lookups.insert(host.to_owned(), answered.clone());
        Ok(Some(answered))
    }
}

/// getaddrinfo, blocking.
fn ask_system(host: &str) -> Result<Arc<[SocketAddr]>, Fault> {
    let failed = match (host, 0_u16).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if !addresses.is_empty() {
                return Ok(addresses.into());
            }
            io::Error::other("no address")
        }
        Err(error) => error,
    };
    Err(resolve_fault(host, &failed))
}

fn resolve_fault(host: &str, error: &io::Error) -> Fault {
    if is_ours(error) {
        return Fault::io(format_args!("cannot look up {host}"), error);
    }
    // Without a readable configuration the C library asks this machine itself, and its
    // answer says nothing about the name. A missing one is a choice.
    if let Err(error) = File::open(RESOLV_CONF)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Fault::unknown(format!(
            "cannot look up {host}: cannot read {RESOLV_CONF}: {}",
            Plain(&error)
        ));
    }
    let reason = error.to_string();
    let reason = reason.rsplit(": ").next().unwrap_or_default();
    let reason = Plain(&io::Error::other(reason)).to_string();
    Fault::critical(format!("cannot resolve {host}: {reason}"))
}

/// What the C library's resolver is configured by.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_lookup() {
        let resolver = Resolver::new(Tasks::new());
        let found = resolver.addresses("::1", 80, Family::Any).await.unwrap();
        assert_eq!(found, ["[::1]:80".parse::<SocketAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn localhost_is_looked_up_by_the_system() {
        let resolver = Resolver::new(Tasks::new());
        let found = resolver.addresses("localhost", 80, Family::V4).await.unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse::<SocketAddr>().unwrap()]);
        assert!(resolver.shared.lookups.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_address_of_a_link_keeps_its_interface() {
        let resolver = Resolver::new(Tasks::new());
        let found = resolver.addresses("fe80::1%lo", 80, Family::V6).await.unwrap();
        let [SocketAddr::V6(address)] = found.as_slice() else { panic!("{found:?}") };
        assert!(address.scope_id() > 0 && address.port() == 80, "{address:?}");
    }

    #[tokio::test]
    async fn all_who_want_a_name_wait_for_one_lookup() {
        let resolver = Resolver::new(Tasks::new());
        let (answer, answered) = watch::channel(None);
        resolver.shared.lookups.lock().unwrap().insert("shop".into(), answered);
        let both = async {
            tokio::join!(
                resolver.addresses("shop", 80, Family::Any),
                resolver.addresses("shop", 80, Family::V4)
            )
        };
        let found: Arc<[SocketAddr]> = Arc::new(["192.0.2.1:0".parse().unwrap()]);
        let wanted = ["192.0.2.1:80".parse::<SocketAddr>().unwrap()];
        let told = async { answer.send_replace(Some(Ok(Arc::clone(&found)))) };
        let ((first, second), _before) = tokio::join!(both, told);
        assert_eq!(first.unwrap(), wanted);
        assert_eq!(second.unwrap(), wanted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_resolver_holds_a_bounded_number_of_threads() {
        let resolver = Resolver::new(Tasks::new());
        let (hanging, answered) = watch::channel(None);
        {
            let mut lookups = resolver.shared.lookups.lock().unwrap();
            lookups.extend((0..LOOKUPS).map(|n| (format!("host-{n}"), answered.clone())));
        }
        let waiting = resolver.addresses("localhost", 80, Family::Any);
        let waited = tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await;
        assert!(waited.is_err(), "a lookup was started although all places were taken");
        assert_eq!(resolver.shared.lookups.lock().unwrap().len(), LOOKUPS);
        drop(hanging);
    }
}
