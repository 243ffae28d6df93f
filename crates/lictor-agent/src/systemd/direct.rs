//! The private socket of systemd, without a bus in between.
//!
//! There systemd signs its messages with its well-known name, where the specification wants a unique one,
//! and our library refuses such a message. So the name is exchanged for a unique one of the same length
//! while the bytes are read.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// The field of a message's head that names the sender: number 7, a text (`s`), 24 bytes. It holds zero
/// bytes, so no text within a message can look like it.
const LITTLE: &[u8; 33] = b"\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0";

/// The same on machines that write the higher bytes first.
const BIG: &[u8; 33] = b"\x07\x01s\0\0\0\0\x18org.freedesktop.systemd1\0";

/// What the name becomes, and where it begins in the field.
const UNIQUE: (usize, &[u8; 24]) = (8, b":org.freedesktop.systemd");

/// Read at once.
const CHUNK: usize = 4 * 1_024;

/// A connection to a private socket.
#[derive(Debug)]
pub(super) struct Direct(pub(super) UnixStream);

impl Socket for Direct {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        Split::new(Reader { stream: read, field: field(), bytes: Vec::new() }, Writer(write))
    }
}

/// How the field is written on this machine.
const fn field() -> &'static [u8; 33] {
    if cfg!(target_endian = "little") { LITTLE } else { BIG }
}

#[derive(Debug)]
pub(super) struct Reader {
    stream: OwnedReadHalf,
    field: &'static [u8; 33],
    /// What was read and not handed on.
    bytes: Vec<u8>,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        loop {
            let ready = ready(&mut self.bytes, self.field);
            if ready > 0 || into.is_empty() {
                let count = ready.min(into.len());
                for (to, from) in into.iter_mut().zip(self.bytes.drain(..count)) {
                    *to = from;
                }
                return Ok((count, Vec::new()));
            }
            let mut chunk = [0; CHUNK];
            let count = self.stream.read(&mut chunk).await?;
            if count == 0 {
                // What is held back is no whole message.
                return Ok((0, Vec::new()));
            }
            self.bytes.extend(chunk.iter().take(count));
        }
    }
}

/// Exchanges the name wherever it is; gives how many bytes cannot be the beginning of one.
fn ready(bytes: &mut [u8], field: &[u8; 33]) -> usize {
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(bytes.get(from..).unwrap_or_default(), field) {
        let name = from + at + UNIQUE.0;
        for (to, unique) in bytes.iter_mut().skip(name).zip(UNIQUE.1) {
            *to = *unique;
        }
        from = name;
    }
    let longest = bytes.len().min(field.len() - 1);
    let held = (1..=longest)
        .rev()
        .find(|&count| field.get(..count).is_some_and(|beginning| bytes.ends_with(beginning)));
    bytes.len() - held.unwrap_or(0)
}

#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, bytes: &[u8], _fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_exchanged_however_the_bytes_come() {
        let mut message = b"head".to_vec();
        message.extend(LITTLE);
        message.extend(b"body org.freedesktop.systemd1\0");
        message.extend(LITTLE);
        let mut wanted = message.clone();
        for at in [4, message.len() - LITTLE.len()] {
            wanted[at + 8..at + 32].copy_from_slice(UNIQUE.1);
        }
        for size in 1..message.len() {
            let (mut bytes, mut found) = (Vec::new(), Vec::new());
            for chunk in message.chunks(size) {
                bytes.extend(chunk);
                let count = ready(&mut bytes, LITTLE);
                found.extend(bytes.drain(..count));
            }
            assert_eq!(found, wanted, "{size} bytes at once");
        }
    }

    #[test]
    fn what_may_be_the_beginning_of_the_name_is_held_back_and_no_more() {
        assert_eq!(ready(&mut b"abc\x07\x01s".to_vec(), LITTLE), 3);
        assert_eq!(ready(&mut b"abc\x07\x01t".to_vec(), LITTLE), 6);
        assert_eq!(ready(&mut b"\x07\x07".to_vec(), LITTLE), 1);
    }
}
