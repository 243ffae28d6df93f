//! The listener: what is refused before anything is bound, and the binding itself.

use std::io;
use std::net::{IpAddr, SocketAddr};

use lictor_config::{Listen, SecretError};
use tokio::net::{TcpListener, TcpSocket};

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Others than this machine could reach it, and nothing would be asked of them.
    #[error("the listener {address} can be reached from other machines but has no token")]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The token's file cannot be read.
    #[error("the token of the listener {address} cannot be had: {source}")]
    Token {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: SecretError,
    },
    /// The token is so short that it could be guessed.
    #[error("the token of the listener {address} has {length} bytes, fewer than {TOKEN_BYTES}")]
    Weak {
        /// The address.
        address: SocketAddr,
        /// Its bytes.
        length: usize,
    },
    /// Another program has the port.
    #[error("the address {address} is in use")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The system refused it for another reason.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The shortest token accepted: 8 bytes is a 64-bit guess at best.
const TOKEN_BYTES: usize = 8;

/// Connections the kernel keeps until they are accepted; it cuts this to its own limit
/// (`net.core.somaxconn`, 4096 by default).
const BACKLOG: u32 = 4_096;

impl ListenError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Open { address } => format!(
                "set `token_file` in the `http` block, or listen on 127.0.0.1:{port} only",
                port = address.port()
            ),
            Self::Token { .. } => "make the file readable for the agent, or name another one".to_owned(),
            Self::Weak { .. } => "make one with `head -c 32 /dev/urandom | base64`".to_owned(),
            Self::InUse { address } => format!(
                "another agent may be running (`ss -ltnp 'sport = :{port}'` tells which program has it); \
                 choose another port with `address` in the `http` block",
                port = address.port()
            ),
            Self::Bind { source, address } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need CAP_NET_BIND_SERVICE; {} is one", address.port())
            }
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has the address (`ip address` lists them)".to_owned()
            }
            Self::Bind { .. } => "see `address` in the `http` block".to_owned(),
        }
    }
}

/// Whether a listener is safe to have: one that others than this machine can reach
/// needs a token that can be read and cannot be guessed.
///
/// # Errors
/// Says what is unsafe about it.
pub fn check(listen: &Listen) -> Result<(), ListenError> {
    let address = listen.address;
    let Some(token) = &listen.token else {
        return if loopback(address.ip()) { Ok(()) } else { Err(ListenError::Open { address }) };
    };
    let token = token.reveal().map_err(|source| ListenError::Token { address, source })?;
    if token.len() < TOKEN_BYTES {
        return Err(ListenError::Weak { address, length: token.len() });
    }
    Ok(())
}

/// Binds the listener after [`check`]; nothing is served before [`super::serve`].
///
/// # Errors
/// What `check` refuses, and what the system does.
pub fn bind(listen: &Listen) -> Result<TcpListener, ListenError> {
    check(listen)?;
    let address = listen.address;
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for old connections to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Bind { address, source },
    })
}

/// Whether only this machine can reach an address, also when it is written as IPv6.
pub(super) fn loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_config::Secret;

    fn listen(address: &str, token: Option<&str>) -> Listen {
        Listen {
            address: address.parse().unwrap(),
            token: token.map(Secret::value),
            allowed_hosts: Vec::new(),
        }
    }

    #[test]
    fn only_loopback_needs_no_token() {
        for fine in ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            assert!(check(&listen(fine, None)).is_ok(), "{fine}");
        }
        for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"] {
            let refused = check(&listen(open, None)).unwrap_err();
            assert!(matches!(refused, ListenError::Open { .. }), "{refused}");
            assert!(refused.help().contains("token_file"));
            assert!(check(&listen(open, Some("long enough"))).is_ok());
        }
    }

    #[test]
    fn a_token_that_is_missing_or_short_is_refused_also_on_loopback() {
        assert!(matches!(check(&listen("127.0.0.1:0", Some(""))), Err(ListenError::Weak { length: 0, .. })));
        let absent = Listen { token: Some(Secret::file("/nonexistent/token")), ..listen("0.0.0.0:0", None) };
        assert!(matches!(check(&absent), Err(ListenError::Token { .. })));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_apart() {
        let taken = bind(&listen("127.0.0.1:0", None)).unwrap();
        let again = listen(&taken.local_addr().unwrap().to_string(), None);
        let refused = bind(&again).unwrap_err();
        assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");
    }
}
