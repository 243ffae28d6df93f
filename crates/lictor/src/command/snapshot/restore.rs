//! A snapshot takes the place of all there is. It is decoded to its end before anything is sent: one with right sums and a
//! state that cannot be decoded ends the process of Consul's leader.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use futures::stream;
use lictor_agent::text::one_line;
use lictor_consul::{Client, Error};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::diff::{Summary, compare};
use lictor_snapshot::{Kind, Report, Shape, Source, verify};
use sha2::{Digest as _, Sha256};

use super::save::{Unverified, fill};
use super::{ask, only, open, unsound};
use crate::cli::SnapshotRestore;
use crate::command::consul;
use crate::command::status::span;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// What is read of a file at a time.
const PIECE: usize = 64 << 10;

pub(super) async fn run(args: &SnapshotRestore, terminal: &Terminal) -> Result<(), Failure> {
    let source = open(&args.file)?;
    let (client, shown) = consul(args.http_addr.as_deref(), args.token_file.as_deref())?;
    let client = match &args.datacenter {
        Some(name) => client.in_datacenter(name.as_str()),
        None => client,
    };
    if !args.only.is_empty() {
        return only::run(args, &source, &client, &shown, terminal).await;
    }
    if source.shape() != Shape::Archive {
        let why = "only an archive of Consul can take the place of what its servers know";
        return Err(unsound(&args.file, &why).help("--only PREFIX puts keys back"));
    }
    let checked = sum_of(&args.file).map_err(|error| unsound(&args.file, &error))?;
    let report = verify(&source, &Limits::default(), None).map_err(|error| unsound(&args.file, &error))?;
    let place = Place { client, shown };
    place.takes(&report, &args.file).await?;

    // Also what will be replaced is shown by it.
    let before = place.save(&args.file).await?;
    let now = Source::open(before.path()).map_err(|error| unsound(before.path(), &error))?;
    let summary = compared(&now, &source)?;
    explain(&report, &summary, &place, args)?;
    if args.dry_run {
        return Ok(());
    }
    if !args.yes {
        ask(terminal, "everything would be replaced").await?;
    }
    if !args.no_backup {
        let backup = before.kept_beside(&args.file).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("what there is now cannot be kept: {error}; nothing was restored"),
            )
        })?;
        terminal.say(&format!("what there was is in {}", backup.display()));
    }
    let sending = Sending::new(&args.file, checked).map_err(|error| unsound(&args.file, &error))?;
    place
        .client
        .snapshot()
        .restore(sending.pieces())
        .await
        .map_err(|why| place.failed("it is not known to be restored", why))?;

    let after = place.save(&args.file).await?;
    let after = Source::open(after.path()).map_err(|error| unsound(after.path(), &error))?;
    let left = compared(&source, &after)?;
    if !left.is_same() {
        terminal.say(&format!("others have changed something since, or the servers themselves:\n{left}"));
    }
    Terminal::data(&format!("Restored snapshot: {} records", report.whole.records))
}

/// Whose state is replaced.
struct Place {
    client: Client,
    shown: String,
}

impl Place {
    fn failed(&self, what: &str, why: Error) -> Failure {
        Failure::new(Exit::Failed, format!("{what} at {}: {why}", self.shown))
    }

    /// Whether its servers take every record.
    async fn takes(&self, report: &Report, file: &Path) -> Result<(), Failure> {
        let info = self.client.agent().info().await;
        let version =
            info.map_err(|why| self.failed("the version of Consul is not known", why))?.config.version;
        let mut numbers = version.split('.').map(|part| part.parse::<u16>().ok());
        let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
            let why = format!(
                "the version of Consul at {} cannot be told: `{}`",
                self.shown,
                one_line(&version, 40)
            );
            return Err(Failure::new(Exit::Failed, why));
        };
        let refused: Vec<String> =
            report.inspection.refused_by((major, minor)).into_iter().map(called).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let why = format!(
            "Consul {version} does not know records of the kind {}, and would end",
            refused.join(", ")
        );
        Err(unsound(file, &why).help("restore it to servers that are at least as new as those that wrote it"))
    }

    /// All there is now.
    async fn save(&self, beside: &Path) -> Result<Unverified, Failure> {
        let saved = Unverified::beside(beside).map_err(|error| unsound(beside, &error))?;
        fill(&saved, &self.client, false).await.map_err(|why| why.said(&self.shown, saved.path()))?;
        Ok(saved)
    }
}

fn called(kind: Kind) -> String {
    kind.name().map_or_else(|| kind.byte().to_string(), str::to_owned)
}

fn compared(one: &Source, other: &Source) -> Result<Summary, Failure> {
    let compared = compare(one, other, &Limits::default(), |_change| std::ops::ControlFlow::Continue(()));
    compared.map_err(|error| Failure::new(Exit::Failed, format!("what there is cannot be compared: {error}")))
}

fn explain(report: &Report, summary: &Summary, place: &Place, args: &SnapshotRestore) -> Result<(), Failure> {
    let meta = report.whole.meta.clone().unwrap_or_default();
    let now = jiff::Timestamp::now().as_millisecond();
    let age = meta.taken_unix_ms().and_then(|taken| u64::try_from(now).ok()?.checked_sub(taken));
    let age =
        age.map_or_else(|| "at a time that is not known".to_owned(), |age| format!("{} ago", span(age)));
    let what = if args.dry_run { "would replace" } else { "replaces" };
    Terminal::data(&format!(
        "{} was saved {age}, at index {}, and has {} records. It {what} everything that Consul at {} knows:",
        args.file.display(),
        meta.index,
        report.whole.records,
        place.shown
    ))?;
    Terminal::data(&match summary.is_same() {
        true => "nothing becomes another".to_owned(),
        false => summary.to_string(),
    })
}

fn sum_of(path: &Path) -> io::Result<[u8; 32]> {
    let (mut file, mut sum, mut piece) = (File::open(path)?, Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(sum.finalize().into()),
            read => sum.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// What is sent of a file. It breaks off before its end if that is not what was checked: Consul then takes nothing.
struct Sending {
    file: File,
    sum: Sha256,
    /// Until its end was seen.
    checked: Option<[u8; 32]>,
    /// Read, and not sent yet.
    next: Bytes,
}

impl Sending {
    fn new(path: &Path, checked: [u8; 32]) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, sum: Sha256::new(), checked: Some(checked), next: Bytes::new() })
    }

    fn pieces(self) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, async |mut sending| Ok(sending.piece()?.map(|piece| (piece, sending))))
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let mut piece = vec![0; PIECE];
            let read = self.file.read(&mut piece)?;
            piece.truncate(read);
            self.sum.update(&piece);
            if read == 0
                && let Some(checked) = self.checked.take()
                && checked != <[u8; 32]>::from(self.sum.finalize_reset())
            {
                return Err(io::Error::other("the file has become another one since it was checked"));
            }
            let ready = std::mem::replace(&mut self.next, piece.into());
            if !ready.is_empty() || read == 0 {
                return Ok(Some(ready).filter(|ready| !ready.is_empty()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(mut sending: Sending) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = sending.piece()? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[test]
    fn what_is_sent_is_what_was_checked_or_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.snap");
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            std::fs::write(&path, &bytes).unwrap();
            let checked = sum_of(&path).unwrap();
            assert_eq!(sent(Sending::new(&path, checked).unwrap()).unwrap(), bytes);
            std::fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
            let mut sending = Sending::new(&path, checked).unwrap();
            let mut all = 0;
            let why = loop {
                match sending.piece() {
                    Ok(piece) => all += piece.unwrap().len(),
                    Err(why) => break why,
                }
            };
            assert!(all < length + 4 && why.to_string().contains("another one"), "{all} of {length}: {why}");
        }
    }
}
