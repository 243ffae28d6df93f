//! A real name server: dnsmasq, with records that a test can change.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::ports;

/// How long an answer may take when it is asked whether it runs.
const ANSWER: Duration = Duration::from_millis(200);

/// A name server that knows its own records and asks nobody. Dropping it ends it.
#[derive(Debug)]
pub struct NameServer {
    daemon: Daemon,
    address: SocketAddr,
}

impl NameServer {
    /// Starts one with these records, as lines of dnsmasq's configuration:
    /// `srv-host=_x._tcp.test,a.test,80`, `host-record=a.test,192.0.2.1,2001:db8::1`, `local-ttl=60`.
    ///
    /// # Panics
    /// If it does not answer in time; the message has the end of its output.
    #[must_use]
    pub fn start(records: &str) -> Self {
        let ip = ports::loopback();
        Self::start_at(SocketAddr::from((ip, ports::free_on(ip))), records)
    }

    /// Starts one there.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_at(address: SocketAddr, records: &str) -> Self {
        let mut daemon = Daemon::new("dnsmasq", "LICTOR_DNSMASQ_BIN");
        let config = daemon.write("dnsmasq.conf", &config(address, records));
        let mut file = OsString::from("--conf-file=");
        file.push(config);
        daemon.launch(vec!["--keep-in-foreground".into(), file], move |_| answers(address));
        Self { daemon, address }
    }

    /// Where it is, for UDP and TCP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again with other records.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn change(&mut self, records: &str) {
        self.daemon.write("dnsmasq.conf", &config(self.address, records));
        let address = self.address;
        self.daemon.again(move |_| answers(address));
    }

    /// Ends it.
    ///
    /// # Panics
    /// If the operating system refuses.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Freezes it: it answers nobody.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&mut self) {
        self.daemon.pause();
    }

    /// Lets a frozen one go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resume(&mut self) {
        self.daemon.resume();
    }
}

fn config(address: SocketAddr, records: &str) -> String {
    format!(
        "port={}\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\nno-daemon\nuser=\nlocal=/test/\n\
         log-facility=-\n{records}\n",
        address.port(),
        address.ip()
    )
}

/// Whether it answers the question for the address of `up.test`, whatever it says.
fn answers(address: SocketAddr) -> bool {
    const QUESTION: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02up\x04test\x00\x00\x01\x00\x01";
    let asked = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(ANSWER))?;
        socket.connect(address)?;
        socket.send(QUESTION)?;
        socket.recv(&mut [0; 512])
    };
    asked().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_until_it_is_ended_and_again_after_a_change() {
        let mut server = NameServer::start("host-record=up.test,192.0.2.1");
        assert!(answers(server.address()));
        server.kill();
        assert!(!answers(server.address()));
        server.change("");
        assert!(answers(server.address()));
    }
}
