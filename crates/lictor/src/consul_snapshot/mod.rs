//! Called as `consul-snapshot`, this program takes the place of the one that had that name.
//!
//! What its environment says becomes settings of ours; what takes snapshots knows nothing of it.

mod backup;
mod health;
mod restore;

use std::ffi::OsString;
use std::process::ExitCode;

use lictor_compat::LogLevel;
use lictor_compat::consul_snapshot::health::KEY;
use lictor_compat::consul_snapshot::{ACCEPTANCE_FILE, CommandError, Request, Start, text};
use lictor_config::{Consul, Encrypt, Env as _, Names, Place, PlaceKind, ProcessEnv, Secret, Snapshot, When};
use lictor_consul::{Client, Config};
use lictor_core::SnapshotName;
use lictor_core::snapshot::Keep;
use tracing::{info, warn};

use crate::called::by_name;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::{old_log, old_places};

/// The name of the program, and of the one block.
const NAME: &str = "consul-snapshot";

/// By how many hundredths one may be larger or smaller than the one before.
const MAX_CHANGE: u32 = 50;

/// One backup is old when so many pauses between them have passed.
const MISSED: u32 = 3;

/// The arguments after the name, if it is called by that: as a program, or as a command of this one.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    by_name(args, NAME)
}

/// The program under its old name.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(false);
    let done = match request(args) {
        Ok(Request::Help) => Terminal::data(text::USAGE),
        Ok(Request::Version) => Terminal::data(&text::version(env!("CARGO_PKG_VERSION"))),
        Ok(Request::Backup { once }) => begin().and_then(|told| backup::run(told, once, &terminal)),
        Ok(Request::Restore { path }) => begin().and_then(|told| restore::run(&told, &path, &terminal)),
        Err(why) => {
            terminal.say(&format!("{why}\n\n{}", text::USAGE));
            return ExitCode::from(why.code());
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show(&terminal);
            // It had no other.
            Exit::Failed.into()
        }
    }
}

/// Begins to log, and reads the environment.
fn begin() -> Result<Told, Failure> {
    old_log::start(LogLevel::Info, None)?;
    info!("{}", text::starting());
    let told = Told::new(|name| ProcessEnv.var(name)).map_err(failed)?;
    for remark in &told.start.remarks {
        warn!("{remark}");
    }
    old_places::look(&told.snapshot).map_err(failed)?;
    Ok(told)
}

fn failed(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, why)
}

/// What was asked for by the arguments after the name.
///
/// # Errors
/// A command line that makes no sense.
fn request(args: &[OsString]) -> Result<Request, CommandError> {
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    Request::parse(&words)
}

/// What it runs with.
#[derive(Debug)]
pub(crate) struct Told {
    /// As it was said: what encrypts, and what is worth a warning.
    pub(crate) start: Start,
    /// What is taken, and where it is kept.
    pub(crate) snapshot: Snapshot,
    /// The Consul agent, as a block says it.
    pub(crate) consul: Consul,
    /// How a client reaches it.
    pub(crate) client: Config,
}

impl Told {
    /// Reads the environment.
    ///
    /// # Errors
    /// In words, what cannot be used.
    pub(crate) fn new(environment: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let start = Start::new(environment).map_err(|why| why.to_string())?;
        Ok(Self {
            snapshot: snapshot(&start)?,
            consul: old_places::settings(&start.consul),
            client: old_places::client(&start.consul)?,
            start,
        })
    }

    /// Who reaches Consul, and its address.
    fn consul(&self) -> Result<(Client, String), Failure> {
        let address = self.client.address.to_string();
        Client::new(self.client.clone())
            .map(|client| (client, address))
            .map_err(|error| failed(error.to_string()))
    }

    /// Where a backup lies that is to be restored, and its name there. The path is one from the root of the bucket.
    ///
    /// # Errors
    /// In words, what cannot be used.
    pub(crate) fn backup(&self, path: &str) -> Result<(Place, String), String> {
        let store = self.start.restores_from().ok_or("there is no bucket")?;
        let mut place = old_places::place(store, Keep::ALL)?;
        match &mut place.at {
            PlaceKind::S3(s3) => s3.prefix.clear(),
            PlaceKind::Google(google) => google.prefix.clear(),
            PlaceKind::Azure(_) | PlaceKind::Folder(_) => {}
        }
        let name = if self.start.acceptance { ACCEPTANCE_FILE } else { path };
        Ok((place, name.to_owned()))
    }
}

/// The block `snapshot`, with the old program's meaning: nothing is ever removed, and nobody looks whether another one works.
fn snapshot(start: &Start) -> Result<Snapshot, String> {
    let place = |store| {
        let place = old_places::place(store, Keep::ALL)?;
        Ok(Place { file: start.acceptance.then(|| ACCEPTANCE_FILE.to_owned()), ..place })
    };
    Ok(Snapshot {
        name: SnapshotName::new(NAME).expect("the name is one"),
        when: When::Every(start.every),
        stale: false,
        places: start.stores.iter().map(place).collect::<Result<_, String>>()?,
        encrypt: start
            .password
            .as_ref()
            .map(|password| Encrypt::Passphrase(Secret::value(password.expose()))),
        scratch: Some(old_places::absolute(&start.scratch)?),
        max_age: Some(start.every.saturating_mul(MISSED)),
        max_change: MAX_CHANGE,
        max_failures: u32::MAX,
        service: None,
        deregister_after: None,
        lock: None,
        stamp: Some(KEY.to_owned()),
        drill: None,
        names: Names::Pshima,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const S3: [(&str, &str); 4] =
        [("S3BUCKET", "b"), ("S3REGION", "r"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];

    fn told(variables: &[(&str, &str)]) -> Result<Told, String> {
        let variables = [&S3[..], variables].concat();
        Told::new(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_becomes_a_block() {
        let told =
            told(&[("BACKUPINTERVAL", "5"), ("CRYPTO_PASSWORD", "pw"), ("SNAPSHOT_TMP_DIR", "/scratch")]);
        let Told { snapshot, consul, client, .. } = told.unwrap();
        assert_eq!(
            (consul.address.as_str(), client.address.to_string().as_str()),
            ("http://127.0.0.1:8500", "http://127.0.0.1:8500")
        );
        assert_eq!((snapshot.when, snapshot.names), (When::Every(Duration::from_secs(5)), Names::Pshima));
        assert_eq!(snapshot.encrypt, Some(Encrypt::Passphrase(Secret::value("pw"))));
        assert_eq!((snapshot.service, snapshot.lock), (None, None));
        assert_eq!(snapshot.scratch, Some("/scratch".into()));
        assert_eq!((snapshot.places.len(), snapshot.places[0].keep), (1, Keep::ALL));
    }

    #[test]
    fn what_is_restored_is_named_from_the_root_of_googles_bucket_or_of_s3s() {
        let path = "backups/2026/11/22/h.consul.snapshot.1.tar.gz";
        let (place, name) = told(&[]).unwrap().backup(path).unwrap();
        let PlaceKind::S3(s3) = place.at else { panic!() };
        assert_eq!((s3.prefix.as_str(), name.as_str()), ("", path));
        let both = [("GCSBUCKET", "g"), ("GOOGLE_APPLICATION_CREDENTIALS", "/k")];
        let (place, name) = told(&both).unwrap().backup(path).unwrap();
        let PlaceKind::Google(google) = place.at else { panic!() };
        assert_eq!((google.prefix.as_str(), name.as_str()), ("", path));
    }

    #[test]
    fn a_test_neither_sends_nor_fetches() {
        let told = told(&[("ACCEPTANCE_TEST", "1"), ("SNAPSHOT_TMP_DIR", "/scratch")]).unwrap();
        let [place] = told.snapshot.places.as_slice() else { panic!() };
        assert_eq!(
            (&place.at, place.file.as_deref()),
            (&PlaceKind::Folder("/scratch".into()), Some("acceptancetest.tar.gz"))
        );
        assert_eq!(told.backup("x").unwrap().1, "acceptancetest.tar.gz");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        assert!(told(&[("BACKUPINTERVAL", "x")]).unwrap_err().starts_with("BACKUPINTERVAL is \"x\""));
        assert!(
            told(&[("CONSUL_HTTP_TOKEN_FILE", "/nowhere/at/all")]).unwrap_err().contains("/nowhere/at/all")
        );
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(request(&args(&["backup", "-once"])), Ok(Request::Backup { once: true }));
        assert_eq!(request(&args(&["save"])).unwrap_err().code(), 127);
    }
}
