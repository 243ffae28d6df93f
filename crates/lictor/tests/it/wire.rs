//! A way to a server that can be cut: connections stay, and nothing goes through them any more.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a cut wire, or one without traffic, is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A way to a server.
pub(crate) struct Wire {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Wire {
    /// A way to this server.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (stalled, ended) = (Arc::clone(&cut), Arc::clone(&over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = stream else { return };
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let flags = || (Arc::clone(&stalled), Arc::clone(&ended));
                let (one, other) = (flags(), flags());
                thread::spawn(move || carry(client, server, &one));
                thread::spawn(move || carry(forth, back, &other));
            }
        });
        Self { address, cut, over }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing goes through.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// From now on everything does, over new connections.
    pub(crate) fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // So that the listener looks.
        drop(TcpStream::connect(self.address));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, (cut, over): &(Arc<AtomicBool>, Arc<AtomicBool>)) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = [0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(_) => break,
        };
        let stalled = cut.load(Ordering::Relaxed);
        while cut.load(Ordering::Relaxed) && !over.load(Ordering::Relaxed) {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own that hangs")]
            thread::sleep(LOOK);
        }
        // What was sent meanwhile is lost, and the connection with it.
        if stalled || over.load(Ordering::Relaxed) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
