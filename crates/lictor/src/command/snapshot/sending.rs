//! A file that is sent as it was checked, or not to its end.

use std::io::{self, Read};

use bytes::Bytes;
use futures::stream;
use sha2::{Digest as _, Sha256};

/// What is read of a file at a time.
const PIECE: usize = 64 << 10;

/// The checksum of what comes.
pub(super) fn sum_of(mut bytes: impl Read) -> io::Result<[u8; 32]> {
    let (mut sum, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match bytes.read(&mut piece)? {
            0 => return Ok(sum.finalize().into()),
            read => sum.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// What is sent of a file. It breaks off before its end if that is not what was checked: Consul then takes nothing.
pub(super) struct Sending {
    bytes: Box<dyn Read + Send>,
    sum: Sha256,
    /// Until its end was seen.
    checked: Option<[u8; 32]>,
    /// Read, and not sent yet.
    next: Bytes,
}

impl Sending {
    pub(super) fn new(bytes: Box<dyn Read + Send>, checked: [u8; 32]) -> Self {
        Self { bytes, sum: Sha256::new(), checked: Some(checked), next: Bytes::new() }
    }

    pub(super) fn pieces(self) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, async |mut sending| Ok(sending.piece()?.map(|piece| (piece, sending))))
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let mut piece = vec![0; PIECE];
            let read = self.bytes.read(&mut piece)?;
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
    use std::fs::File;

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
        let sending = |checked| Sending::new(Box::new(File::open(&path).unwrap()), checked);
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            std::fs::write(&path, &bytes).unwrap();
            let checked = sum_of(File::open(&path).unwrap()).unwrap();
            assert_eq!(sent(sending(checked)).unwrap(), bytes);
            std::fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
            let mut changed = sending(checked);
            let mut all = 0;
            let why = loop {
                match changed.piece() {
                    Ok(piece) => all += piece.unwrap().len(),
                    Err(why) => break why,
                }
            };
            assert!(all < length + 4 && why.to_string().contains("another one"), "{all} of {length}: {why}");
        }
    }
}
