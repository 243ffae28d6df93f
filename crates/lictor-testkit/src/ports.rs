//! Addresses and ports that nothing else uses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// How many ports are tried before giving up.
const TRIES: usize = 100;

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
    let tcp = TcpListener::bind(SocketAddr::new(IpAddr::V4(address), 0))?;
    let port = tcp.local_addr()?.port();
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
