//! Archives on their way to a drill's server, and back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, try_unfold};
use lictor_consul::{Client, Error, Query};
use tokio::time::{Instant, sleep};

use super::DrillError;

/// What is read of a file at a time.
const PIECE: usize = 64 << 10;

/// After a restore a server gives itself up as a leader and begins anew. Until it has done so, it knows neither our token nor
/// anything that is new.
const BEGINS: Duration = Duration::from_secs(15);

/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(100);

/// A file, piece by piece.
pub(super) fn pieces(file: File) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    try_unfold(file, async |mut file| {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece)?;
        piece.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    })
}

/// Has a server save all it has into a file. What cannot be written is the inner error.
pub(super) async fn save(client: &Client, to: &Path) -> Result<Result<(), DrillError>, Error> {
    let begun = Instant::now();
    let mut archive = loop {
        match client.snapshot().save(&Query::new()).await {
            Err(Error::Status { .. }) if begun.elapsed() < BEGINS => sleep(AGAIN).await,
            answer => break answer?,
        }
    };
    let failed = |error| Ok(Err(DrillError::io("write what the drill's server saved")(error)));
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(to) {
        Ok(file) => file,
        Err(error) => return failed(error),
    };
    while let Some(piece) = archive.chunk().await? {
        if let Err(error) = file.write_all(&piece) {
            return failed(error);
        }
    }
    Ok(Ok(()))
}
