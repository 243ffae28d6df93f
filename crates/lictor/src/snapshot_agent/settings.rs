//! What the old program was told, as settings of ours.

use std::time::Duration;

use lictor_compat::snapshot_agent::{Mode, Start};
use lictor_config::{Names, Snapshot, When};
use lictor_core::SnapshotName;
use lictor_core::snapshot::Keep;

use crate::old_places::{absolute, place};

/// The name of the one block.
const NAME: &str = "consul-snapshot";

/// How often one is taken where it is taken once; nobody waits for it.
const ONCE: Duration = Duration::from_hours(1);

/// One is old when so many pauses between them have passed.
const MISSED: u32 = 3;

/// By how many hundredths one may be larger or smaller than the one before.
const MAX_CHANGE: u32 = 50;

/// The block `snapshot`, with the old program's meaning. One that is taken once is neither registered nor locked.
///
/// # Errors
/// In words, what cannot be used.
pub(crate) fn snapshot(start: &Start) -> Result<Snapshot, String> {
    let keep = Keep { last: start.retain, ..Keep::ALL };
    let (every, goes_on) = match start.mode {
        Mode::Daemon(every) => (every, true),
        Mode::Once => (ONCE, false),
    };
    let scratch = match &start.scratch {
        Some(path) => absolute(path)?,
        None => std::env::temp_dir(),
    };
    Ok(Snapshot {
        name: SnapshotName::new(NAME).expect("the name is one"),
        when: When::Every(every),
        stale: start.stale,
        places: start.stores.iter().map(|store| place(store, keep)).collect::<Result<_, _>>()?,
        encrypt: None,
        scratch: Some(scratch),
        max_age: goes_on.then(|| every.saturating_mul(MISSED)),
        max_change: MAX_CHANGE,
        max_failures: start.max_failures,
        service: goes_on.then(|| start.service.clone()),
        deregister_after: start.deregister_after.filter(|_| goes_on),
        lock: goes_on.then(|| start.lock_key.clone()),
        stamp: None,
        drill: None,
        names: Names::Enterprise,
    })
}

#[cfg(test)]
mod tests {
    use lictor_compat::snapshot_agent::{Request, flags};
    use lictor_config::PlaceKind;

    use super::*;

    fn made(line: &str) -> Snapshot {
        let Ok(Request::Run(flags)) = flags::parse(&line.split_whitespace().collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        snapshot(&Start::new(&flags, &[], |_| None).unwrap()).unwrap()
    }

    #[test]
    fn a_daemon_is_registered_and_locks_its_key() {
        let found = made("-interval=30m -retain=7 -stale -max-failures=5");
        assert_eq!(
            (found.when, found.max_age),
            (When::Every(Duration::from_mins(30)), Some(Duration::from_mins(90)))
        );
        assert!(found.stale && found.max_failures == 5 && found.names == Names::Enterprise);
        assert_eq!(
            (found.service.as_deref(), found.lock.as_deref()),
            (Some("consul-snapshot"), Some("consul-snapshot/lock"))
        );
        assert_eq!(found.deregister_after, Some(Duration::from_hours(72)));
        let [place] = found.places.as_slice() else { panic!() };
        assert_eq!(place.keep, Keep { last: 7, ..Keep::ALL });
        let PlaceKind::Folder(path) = &place.at else { panic!("{place:?}") };
        assert_eq!(found.scratch.as_ref(), Some(path));
    }

    #[test]
    fn one_that_is_taken_once_is_not() {
        let found = made("-interval=0 -retain=0");
        assert_eq!(
            (found.service, found.lock, found.deregister_after, found.max_age),
            (None, None, None, None)
        );
        assert_eq!(found.places[0].keep, Keep::ALL);
    }

    #[test]
    fn a_name_for_all_is_one_from_the_root_of_the_bucket() {
        let found = made(
            "-aws-s3-bucket=b -aws-s3-region=r -aws-access-key-id=a -aws-secret-access-key=s \
             -aws-s3-static-snapshot-name=x/latest.snap",
        );
        let [place] = found.places.as_slice() else { panic!() };
        let PlaceKind::S3(s3) = &place.at else { panic!("{place:?}") };
        assert_eq!((place.file.as_deref(), s3.prefix.as_str()), (Some("x/latest.snap"), ""));
        assert_eq!(found.scratch, Some(std::env::temp_dir()));
    }
}
