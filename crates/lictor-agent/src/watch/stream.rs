//! A connection to a target, plain or within TLS, and how it is made.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lictor_core::Status;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::fault::{Fault, Plain, Stage, is_ours};

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Waits until there may be something to read. Within TLS there may be already: that waits
    /// in the read itself.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.readable().await,
            Self::Tls(_) => Ok(()),
        }
    }

    /// Whether a connection that should be silent has been closed, or has something to say
    /// that nobody asked for. Within TLS unread bytes may be harmless, so only its end counts.
    pub(super) fn is_spent(&self) -> bool {
        let mut byte = [0];
        let (tcp, tls) = match self {
            Self::Plain(tcp) => (tcp, false),
            Self::Tls(tls) => (tls.get_ref().0, true),
        };
        match tcp.try_peek(&mut byte) {
            Ok(0) => true,
            Ok(_) => !tls,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

trait TryPeek {
    /// Looks at the next bytes without waiting and without taking them.
    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl TryPeek for TcpStream {
    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::net::{RecvFlags, recv};
        self.try_io(tokio::io::Interest::READABLE, || {
            let (_start, count) = recv(self, buffer, RecvFlags::PEEK)?;
            Ok(count)
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Connects to the first of `addresses` that accepts. Each may take an equal share of the time
/// that is left until `deadline`, so that a silent one does not keep the others from being tried.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    deadline: Instant,
    stage: &mut Stage,
) -> Result<TcpStream, Fault> {
    let mut failed: Option<Fault> = None;
    for (tried, address) in addresses.iter().copied().enumerate() {
        let left = addresses.len() - tried;
        let begun = stage.enter(format!("connect to {address}"));
        let attempt = TcpStream::connect(address);
        let result = if left == 1 {
            // The time limit of the whole look ends it.
            attempt.await
        } else {
            let parts = u32::try_from(left).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(begun) / parts;
            match tokio::time::timeout(share, attempt).await {
                Ok(result) => result,
                Err(_late) => Err(io::Error::other(stage.late_message(share))),
            }
        };
        match result {
            Ok(tcp) => return Ok(tcp),
            Err(error) => failed = Some(merge(failed, address, &error)),
        }
    }
    Err(failed.unwrap_or_else(|| Fault::critical("there is no address to connect to")))
}

/// Adds a failed attempt to those before it. One address that was tried in earnest is enough
/// to judge the target, even when another could not be tried for a reason of ours.
fn merge(before: Option<Fault>, address: SocketAddr, error: &io::Error) -> Fault {
    let Some(before) = before else {
        return Fault::io(format_args!("cannot connect to {address}"), error);
    };
    let status = if is_ours(error) { before.status } else { Status::Critical };
    Fault { status, message: format!("{}; to {address}: {}", before.message, Plain(error)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::io::Errno;
    use tokio::net::TcpListener;

    use super::*;

    async fn to(addresses: &[&str], port: u16) -> Result<TcpStream, Fault> {
        let with_port = |text: &&str| SocketAddr::new(text.parse().unwrap(), port);
        let addresses: Vec<SocketAddr> = addresses.iter().map(with_port).collect();
        let mut stage = Stage::start();
        connect(&addresses, Instant::now() + Duration::from_secs(5), &mut stage).await
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = to(&["127.8.7.6", "127.0.0.1"], port).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().to_string(), format!("127.0.0.1:{port}"));
    }

    #[tokio::test]
    async fn every_address_that_failed_is_told_of() {
        let port = lictor_testkit::ports::free();
        let fault = to(&["127.8.7.6", "127.8.7.5"], port).await.unwrap_err();
        assert_eq!(fault.status, Status::Critical);
        let wanted = format!(
            "cannot connect to 127.8.7.6:{port}: connection refused; to 127.8.7.5:{port}: connection refused"
        );
        assert_eq!(fault.message, wanted);
    }

    #[test]
    fn one_address_that_was_really_tried_is_a_verdict() {
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        let ours = io::Error::from(Errno::ADDRNOTAVAIL);
        let theirs = io::Error::from(Errno::CONNREFUSED);
        let both = merge(Some(merge(None, address, &ours)), address, &theirs);
        assert_eq!(both.status, Status::Critical);
        let turned = merge(Some(merge(None, address, &theirs)), address, &ours);
        assert_eq!(turned.status, Status::Critical);
        let neither = merge(Some(merge(None, address, &ours)), address, &ours);
        assert_eq!(neither.status, Status::Unknown);
    }

    #[tokio::test]
    async fn a_connection_the_peer_closed_is_spent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, _address) = listener.accept().await.unwrap();
        let stream = Stream::Plain(tcp);
        assert!(!stream.is_spent());
        drop(peer);
        let Stream::Plain(tcp) = &stream else { unreachable!() };
        tcp.readable().await.unwrap();
        assert!(stream.is_spent());
    }
}
