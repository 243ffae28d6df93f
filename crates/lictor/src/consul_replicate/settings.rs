//! What the old program was told, as settings of ours.

use std::time::Duration;

use lictor_compat::consul_replicate::{Connection, Start};
use lictor_config::{Consul, Notes, Replicate, Secret, Tls};
use lictor_consul::{Auth, Config};
use lictor_core::ReplicateName;
use lictor_core::replicate::{Limit, Locks};

/// The name of the one block.
const NAME: &str = "consul-replicate";

/// Where our own keys would lie. With notes in the old way there are none.
const OWN_KEYS: &str = "lictor/consul-replicate/";

/// How far apart the two answers are on which a delete rests. The old program deleted at once.
const CONFIRM: Duration = Duration::from_secs(5);

/// Transactions that are under way at a time.
const PARALLEL: usize = 4;

/// The block `replicate`, with the old program's meaning: what is at the destination alone is deleted, copies that somebody
/// else has changed stay so, and locks are copied without their sessions.
pub(crate) fn replicate(start: &Start) -> Replicate {
    Replicate {
        name: ReplicateName::new(NAME).expect("the name is one"),
        prefixes: start.prefixes.clone(),
        to: Vec::new(),
        excludes: start.excludes.clone(),
        delete: start.delete,
        limit: Limit::Percent(10),
        confirm: CONFIRM,
        canary: None,
        repair: start.repair,
        locks: Locks::Copy,
        // Once is now.
        wait: start.wait.filter(|_| !start.once),
        max_stale: start.max_stale,
        parallel: PARALLEL,
        dry_run: false,
        service: None,
        approved: start.approved.clone(),
        pauses: (start.retry.backoff, start.retry.max_backoff.unwrap_or(Duration::MAX)),
        notes: Some(Notes { directory: start.status_dir.clone(), keys: start.note_keys() }),
    }
}

/// The block `consul`. It cannot say who logs in, nor name a directory of authorities: see [`client`].
pub(crate) fn consul(start: &Start) -> Consul {
    let Connection { address, namespace, token, token_file, verify, .. } = &start.consul;
    let path = |name: &Option<String>| name.as_ref().map(Into::into);
    Consul {
        address: address.clone(),
        token: match (token, token_file) {
            (Some(token), _) => Some(Secret::value(token.expose())),
            (None, file) => file.as_ref().map(Secret::file),
        },
        datacenter: None,
        namespace: namespace.clone(),
        prefix: OWN_KEYS.to_owned(),
        register: None,
        tls: Tls {
            ca_file: path(&start.consul.ca_file),
            cert_file: path(&start.consul.cert_file),
            key_file: path(&start.consul.key_file),
            server_name: start.consul.server_name.clone(),
            insecure: !verify,
        },
    }
}

/// How a client reaches Consul, with everything that was said. The token's file is read now.
///
/// # Errors
/// In words, what cannot be used.
pub(crate) fn client(start: &Start) -> Result<Config, String> {
    let Consul { address, token, namespace, tls, .. } = consul(start);
    let token = token.map(|token| token.reveal()).transpose().map_err(|error| error.to_string())?;
    let auth = start.consul.login.as_ref().map(|(user, password)| Auth {
        user: user.clone(),
        password: password.as_ref().map(|password| lictor_consul::Secret::new(password.expose())),
    });
    let mut config = Config {
        address: address.parse().map_err(|error| format!("{error}"))?,
        token: token.map(lictor_consul::Secret::new),
        auth,
        namespace,
        tls: lictor_consul::Tls {
            ca_file: tls.ca_file,
            ca_dir: start.consul.ca_dir.as_ref().map(Into::into),
            client_cert: tls.cert_file,
            client_key: tls.key_file,
            server_name: tls.server_name,
            skip_verify: tls.insecure,
        },
        ..Config::default()
    };
    if let Some(time) = start.consul.connect_timeout {
        config.limits.connect = time;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use lictor_compat::consul_replicate::{Request, flags};
    use lictor_core::replicate::Exclude;

    use super::*;

    fn start(line: &str) -> Start {
        let Ok(Request::Run(flags)) = flags::parse(&line.split_whitespace().collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        Start::new(&flags, &[], |_| None).unwrap()
    }

    #[test]
    fn what_is_copied_has_the_old_meaning() {
        let found = replicate(&start("-prefix=global/@dc1:backup/ -exclude=a -excludematch=b"));
        assert_eq!(found.name.as_str(), "consul-replicate");
        assert_eq!(found.prefixes, ["global/@dc1:backup/".parse().unwrap()]);
        assert_eq!(found.excludes, [Exclude::Prefix("a".to_owned()), Exclude::Contains("b".to_owned())]);
        assert!(found.delete && !found.repair && !found.dry_run);
        assert_eq!((found.locks, found.limit), (Locks::Copy, Limit::Percent(10)));
        assert_eq!((found.wait, found.max_stale), (None, Some(Duration::from_secs(2))));
        let notes = found.notes.unwrap();
        assert_eq!(notes.directory, "service/consul-replicate/statuses/");
        assert_eq!(notes.keys, ["service/consul-replicate/statuses/b5bd7c1285ebd5c22d36934ca6438ad8"]);
    }

    #[test]
    fn its_new_flags_change_that() {
        let found = replicate(&start("-prefix=a@dc1 -delete=false -repair -wait=5s:10s -max-stale=0s"));
        assert!(!found.delete && found.repair);
        let wait = (Duration::from_secs(5), Duration::from_secs(10));
        assert_eq!((found.wait, found.max_stale), (Some(wait), None));
        assert_eq!(replicate(&start("-prefix=a@dc1 -wait=5s -once")).wait, None);
    }

    #[test]
    fn deletes_are_approved_of_by_their_names() {
        let found = replicate(&start("-prefix=a@dc1 -approve=5c0de1f7 -approve 0011aabb"));
        assert_eq!(found.approved, ["5c0de1f7", "0011aabb"]);
    }

    #[test]
    fn consul_is_reached_as_was_said() {
        let start = start(
            "-consul-addr=c:1 -consul-token=t -consul-auth=me:pw -consul-ssl-verify=false -consul-ssl-cert=/c \
             -consul-ssl-ca-path=/d -consul-transport-dial-timeout=3s",
        );
        let block = consul(&start);
        assert_eq!(
            (block.address.as_str(), block.prefix.as_str()),
            ("https://c:1", "lictor/consul-replicate/")
        );
        assert_eq!(block.token.map(|token| token.reveal().unwrap()).as_deref(), Some("t"));
        assert!(block.tls.insecure && block.tls.key_file == Some("/c".into()));
        let client = client(&start).unwrap();
        assert_eq!(
            (client.address.to_string(), client.auth.unwrap().user),
            ("https://c:1".into(), "me".into())
        );
        assert_eq!((client.tls.ca_dir, client.tls.client_key), (Some("/d".into()), Some("/c".into())));
        assert_eq!(client.limits.connect, Duration::from_secs(3));
    }

    #[test]
    fn an_address_that_is_none_is_told() {
        assert!(client(&start("-consul-addr=ftp://c")).unwrap_err().contains("cannot be used"));
    }
}
