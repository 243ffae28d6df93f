//! The addresses of this machine's interfaces, as `ip addr` shows them.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// Read at once. The kernel makes its messages fit into what is read.
const PIECE: usize = 32 * 1024;

/// Types of messages (rtnetlink(7)).
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

/// REQUEST and DUMP.
const FLAGS: u16 = 0x301;

/// Attributes of an address: that of a point-to-point link's other end has a local one beside it.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// Heads of a message, of what it says of an address, and of an attribute.
const HEAD: usize = 16;
const ABOUT: usize = 8;
const ATTRIBUTE: usize = 4;

/// All addresses, of both families, also those of loopback.
pub(super) fn addresses() -> io::Result<Vec<IpAddr>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &question(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        // The answer is made while it is read, so there is nothing to wait for.
        let (_read, count) = match recv(&socket, piece.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok(read) => read,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if count == 0 || take(piece.get(..count).unwrap_or_default(), &mut found)? {
            return Ok(found);
        }
    }
}

/// Asks for all addresses.
fn question() -> Vec<u8> {
    let length = u32::try_from(HEAD + ABOUT).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(GET_ADDRESS.to_ne_bytes());
    bytes.extend(FLAGS.to_ne_bytes());
    bytes.resize(HEAD + ABOUT, 0);
    bytes
}

/// Takes the addresses out of a piece of the answer, and says whether it was the last.
fn take(mut bytes: &[u8], found: &mut Vec<IpAddr>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (long(bytes, 0), short(bytes, 4)) {
        // One that is shorter than its head ends it too.
        let Some(body) = bytes.get(HEAD..length) else { break };
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = body.get(..4).and_then(|four| four.try_into().ok()).map(i32::from_ne_bytes);
                let code = code.and_then(i32::checked_neg).unwrap_or_default();
                return Err(io::Error::from_raw_os_error(code));
            }
            NEW_ADDRESS => found.extend(address(body)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The address that a message is about.
fn address(body: &[u8]) -> Option<IpAddr> {
    let mut rest = body.get(ABOUT..)?;
    let mut own = None;
    while let (Some(length), Some(kind)) = (short(rest, 0), short(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(ATTRIBUTE..length) else { break };
        match kind {
            LOCAL => return parse(value),
            ADDRESS => own = parse(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    own
}

fn parse(value: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at + 2)?;
    two.try_into().ok().map(u16::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?;
    let number = four.try_into().ok().map(u32::from_ne_bytes)?;
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_is_found_can_be_listened_on() {
        let found = addresses().unwrap();
        assert!(found.contains(&"127.0.0.1".parse().unwrap()), "{found:?}");
        // One of a link cannot without its interface.
        let of_link = |address: &IpAddr| matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
        for address in found.iter().filter(|address| !of_link(address)) {
            UdpSocket::bind((*address, 0)).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
        assert!(!found.contains(&"192.0.2.77".parse().unwrap()), "nobody's");
    }

    #[test]
    fn a_point_to_point_link_has_its_own_end() {
        let attribute = |kind: u16, address: [u8; 4]| {
            let mut bytes = 8_u16.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(address);
            bytes
        };
        let mut body = vec![0; ABOUT];
        body.extend(attribute(ADDRESS, [10, 0, 0, 2]));
        assert_eq!(address(&body).unwrap().to_string(), "10.0.0.2");
        body.extend(attribute(LOCAL, [10, 0, 0, 1]));
        assert_eq!(address(&body).unwrap().to_string(), "10.0.0.1");
    }

    #[test]
    fn a_garbled_answer_is_no_address_and_no_end() {
        let mut found = Vec::new();
        for length in [0_u32, 1, 15, 16, 17, 4_000_000_000] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(NEW_ADDRESS.to_ne_bytes());
            bytes.resize(HEAD + 4, 0xff);
            assert!(!take(&bytes, &mut found).unwrap(), "{length}");
        }
        assert!(found.is_empty());
        assert_eq!(address(&[0; 3]), None);
    }

    #[test]
    fn a_refusal_is_an_error() {
        let mut bytes = 20_u32.to_ne_bytes().to_vec();
        bytes.extend(ERROR.to_ne_bytes());
        bytes.resize(HEAD, 0);
        bytes.extend((-1_i32).to_ne_bytes());
        let error = take(&bytes, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
