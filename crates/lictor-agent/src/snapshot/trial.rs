//! The newest snapshot of a block is fetched, as a person would have to, and tried.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use lictor_config::{Drill, Encrypt, Snapshot};
use lictor_snapshot::seal::{Keys, Passphrase, is_sealed};

use super::drill::{DrillMeans, find_consul};
use super::take::{self, Unfinished};
use super::work::Term;

/// So many bytes of a file tell whether it is encrypted.
const BEGIN: u64 = 64;

/// What was tried and what is said of it; else what was to be tried, and why it is not proved.
pub(super) async fn newest(term: &Term) -> Result<(String, String), (String, String)> {
    let settings = &term.work.settings;
    let nothing = |why: String| (String::new(), why);
    let Some(drill) = &settings.drill else { return Err(nothing("no drill is configured".to_owned())) };
    let mut whys = Vec::new();
    for spot in &term.spots {
        let found = spot.ours(&term.series()).await;
        let newest = match found {
            Ok(ours) => ours.last().map(|(_, kept)| kept.name.clone()),
            Err(error) => {
                whys.push(error.to_string());
                continue;
            }
        };
        let Some(name) = newest else {
            whys.push(format!("nothing is in {}", spot.place.shown()));
            continue;
        };
        let shown = format!("{name} of {}", spot.place.shown());
        let fetched = async {
            let (fetched, file) =
                Unfinished::new(&term.work.scratch).map_err(|error| format!("cannot write: {error}"))?;
            let mut file = tokio::fs::File::from_std(file);
            spot.place.fetch(&name, &mut file).await.map_err(|error| error.to_string())?;
            tokio::io::AsyncWriteExt::flush(&mut file)
                .await
                .map_err(|error| format!("cannot write: {error}"))?;
            Ok::<Unfinished, String>(fetched)
        };
        return match fetched.await {
            Ok(fetched) => match tried(term, drill, fetched).await {
                Ok(said) => Ok((shown, said)),
                Err(why) => Err((shown, why)),
            },
            Err(why) => Err((shown, why)),
        };
    }
    Err(nothing(whys.join("; ")))
}

async fn tried(term: &Term, drill: &Drill, fetched: Unfinished) -> Result<String, String> {
    let keys = keys(&term.work.settings, drill)?;
    let folder = term.work.scratch.clone();
    let work = move || {
        let sealed = begins(fetched.path()).map(|begin| is_sealed(&begin));
        match sealed {
            Ok(false) => Ok(fetched),
            Ok(true) => take::unseal(fetched.path(), &folder, &keys),
            Err(error) => Err(format!("cannot read what was fetched: {error}")),
        }
    };
    let done = term.work.tasks.on_thread("snapshot", work).map_err(|error| format!("no thread: {error}"))?;
    let plain = done.await.map_err(|_panicked| "decrypting broke off".to_owned())??;
    let program = drill.consul.clone().or_else(|| find_consul(std::env::var_os("PATH").as_deref()));
    let program =
        program.ok_or("there is no program `consul` in the search path: set `consul` in `drill`")?;
    let means = DrillMeans { limit: drill.limit, ..DrillMeans::new(program) };
    let drilled = super::drill::drill(plain.path(), &means, |_step| ()).await;
    match drilled {
        Ok(drilled) => Ok(format!("{} records, {} compared one by one", drilled.records, drilled.compared())),
        Err(error) => Err(error.to_string()),
    }
}

/// What can read the snapshots of a block on this machine.
fn keys(settings: &Snapshot, drill: &Drill) -> Result<Keys, String> {
    let mut keys = Keys::default();
    if let Some(Encrypt::Passphrase(secret)) = &settings.encrypt {
        let text = secret.reveal().map_err(|error| error.to_string())?;
        keys.add_passphrase(Passphrase::new(text).map_err(|error| error.to_string())?);
    }
    if let Some(secret) = &drill.identity {
        let text = secret.reveal().map_err(|error| error.to_string())?;
        keys.add_identities(&text).map_err(|error| format!("`identity` cannot be used: {error}"))?;
    }
    Ok(keys)
}

/// The first bytes of a file.
fn begins(path: &Path) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    File::open(path)?.take(BEGIN).read_to_end(&mut begin)?;
    Ok(begin)
}
