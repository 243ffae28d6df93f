//! Addresses and ports that nothing else uses.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

/// How many ports are tried before giving up.
const TRIES: usize = 100;

/// Where they are drawn: below those that the system gives to connections, and to whoever asks for any.
///
/// Source: `net.ipv4.ip_local_port_range`, which begins at 32768 unless somebody has set it.
const DRAWN: Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 that was free for TCP and UDP a moment ago.
///
/// # Panics
/// If this machine has no free port.
#[must_use]
pub fn free() -> u16 {
    free_on(Ipv4Addr::LOCALHOST)
}

/// A port of `address` that was free for TCP and UDP a moment ago.
///
/// # Panics
/// If `address` has no free port, or is not this machine's.
#[must_use]
pub fn free_on(address: Ipv4Addr) -> u16 {
    let mut last = None;
    for _ in 0..TRIES {
        match try_one(address) {
            Ok(port) => return port,
            Err(error) => last = Some(error),
        }
    }
    panic!("no free port on {address}: {last:?}");
}

/// A loopback address of its own, drawn from 127.0.0.0/8.
///
/// A server that listens on such an address keeps its ports while it is down: outgoing connections
/// start at 127.0.0.1, and another server draws another address. 127.0.x.y is left to people.
#[must_use]
pub fn loopback() -> Ipv4Addr {
    let host = rand::random_range(1..=254);
    Ipv4Addr::new(127, rand::random_range(1..=254), rand::random(), host)
}

fn try_one(address: Ipv4Addr) -> io::Result<u16> {
    let port = rand::random_range(DRAWN);
    let _tcp = TcpListener::bind((address, port))?;
    UdpSocket::bind((address, port))?;
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn a_drawn_address_is_this_machines_and_not_the_common_one() {
        let address = loopback();
        assert!(address.is_loopback());
        assert_ne!(address, Ipv4Addr::LOCALHOST);
        assert!(TcpListener::bind((address, 0)).is_ok());
    }
}
