//! A real Redis, with and without passwords and TLS.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::ports;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// What kind of Redis is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificate, key and authority of its TLS, PEM: then its port speaks nothing else.
    pub tls: Option<(String, String, String)>,
    /// Lines of its configuration, such as `requirepass …` or `user …`. They hold for its port; the
    /// test itself comes by another way.
    pub lines: String,
}

/// A Redis. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
    address: SocketAddr,
    /// The test itself is a user of its own.
    login: (String, String),
}

impl Redis {
    /// Starts one that lets everyone in, and waits until it answers.
    ///
    /// # Panics
    /// If it does not in time; the message has the end of its output.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it does not in time; the message has the end of its output.
    #[must_use]
    pub fn with(options: &Options) -> Self {
        let mut daemon = Daemon::new("redis-server", "LICTOR_REDIS_BIN");
        let ip = ports::loopback();
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let (dir, port) = (daemon.path().display().to_string(), address.port());
        let ports = match &options.tls {
            None => format!("port {port}\n"),
            Some((certificate, key, authority)) => {
                let certificate = daemon.write("redis.pem", certificate);
                let (key, authority) = (daemon.write("redis.key", key), daemon.write("ca.pem", authority));
                format!(
                    "port 0\ntls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients no\n",
                    certificate.display(),
                    key.display(),
                    authority.display()
                )
            }
        };
        let config = format!(
            "bind {ip}\n{ports}unixsocket {dir}/redis.sock\nunixsocketperm 700\ndir {dir}\nsave \"\"\nappendonly yes\n\
             appendfsync always\ndaemonize no\n{}\n",
            options.lines
        );
        let login = ("tests".to_owned(), "of-the-test-kit".to_owned());
        let config = format!("{config}user {} on >{} ~* &* +@all\n", login.0, login.1);
        let config = daemon.write("redis.conf", &config);
        daemon.launch(vec![config.into_os_string(), OsString::from("--loglevel"), "notice".into()], ready);
        Self { daemon, address, login }
    }

    /// Where its port is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its socket on this machine.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.daemon.path().join("redis.sock")
    }

    /// Gives a command and tells the first line of the answer, without its kind, or the text of a key.
    ///
    /// # Panics
    /// If it is not answered, or with an error.
    pub fn give(&self, words: &[&str]) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(&command(&["AUTH", &self.login.0, &self.login.1]))?;
            read_line(&mut stream)?;
            stream.write_all(&command(words))?;
            let line = read_line(&mut stream)?;
            match line.split_at_checked(1) {
                Some(("$", "-1")) => Ok(String::new()),
                Some(("$", _length)) => read_line(&mut stream),
                Some(("-", said)) => Err(std::io::Error::other(said.to_owned())),
                Some((_kind, said)) => Ok(said.to_owned()),
                None => Err(std::io::Error::other("an empty answer")),
            }
        };
        ask().unwrap_or_else(|error| panic!("{words:?} is not done: {error}"))
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Panics
    /// If the operating system refuses.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts it again with the data it has.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub fn restart(&mut self) {
        self.daemon.again(ready);
    }

    /// Freezes it: it accepts connections and never answers.
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

fn ready(daemon: &Daemon) -> bool {
    daemon.output().contains("eady to accept connections")
}

fn command(words: &[&str]) -> Vec<u8> {
    let words: Vec<String> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat()).into_bytes()
}

fn read_line(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.extend_from_slice(&byte);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_after_a_power_cut() {
        let mut redis = Redis::start();
        assert_eq!(redis.give(&["SET", "k", "a b"]), "OK");
        redis.restart();
        assert_eq!(redis.give(&["GET", "k"]), "a b");
        assert_eq!(redis.give(&["GET", "other"]), "");
    }
}
