//! A connection to a systemd.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_config::SystemdBus;
use rustix::process::geteuid;
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::wire::DynamicType;
use zbus::{Connection, DBusError as _, Message};

use super::direct::Direct;
use super::{MANAGER, MANAGER_INTERFACE, SYSTEMD};

/// A bus that does not answer within this is not there: it is on the same machine.
const OPEN: Duration = Duration::from_secs(5);

/// An answer that takes longer does not come. Starting a unit is not waited for in it.
const ANSWER: Duration = Duration::from_secs(15);

/// Why systemd did not do or say what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// There is no connection.
    #[error("systemd cannot be reached: {0}")]
    Unreachable(String),
    /// There was one.
    #[error("the connection to systemd is lost: {0}")]
    Lost(String),
    /// It may be done or not.
    #[error("systemd has not answered within {} s", ANSWER.as_secs())]
    Late,
    /// We may not.
    #[error("systemd does not let this user do that: {0}; a rule of polkit can, see docs/actions.md")]
    Denied(String),
    /// It said no, by the last part of the error's name.
    #[error("systemd says {name}: {text}")]
    Said { name: String, text: String },
    /// The answer is not as expected.
    #[error("systemd answers what is not understood: {0}")]
    Garbled(String),
}

/// A connection to a systemd. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    connection: Connection,
    /// Whether there is no bus in between.
    direct: bool,
}

/// A socket to try.
struct Way {
    path: PathBuf,
    direct: bool,
}

impl Bus {
    /// Connects to a systemd.
    pub(crate) async fn open(bus: &SystemdBus) -> Result<Self, Trouble> {
        let mut whys = Vec::new();
        for way in ways(bus)? {
            match timeout(OPEN, connect(&way)).await {
                Ok(Ok(connection)) => return Ok(Self { connection, direct: way.direct }),
                Ok(Err(why)) => whys.push(format!("{}: {why}", way.path.display())),
                Err(_late) => {
                    whys.push(format!("{}: no answer within {} s", way.path.display(), OPEN.as_secs()));
                }
            }
        }
        Err(Trouble::Unreachable(whys.join("; ")))
    }

    /// The connection itself.
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Has the bus pass signals on to us, and systemd send them.
    pub(crate) async fn subscribe(&self, rules: &[String]) -> Result<(), Trouble> {
        if self.direct {
            // Everything comes without being asked for.
            return Ok(());
        }
        for rule in rules {
            let bus = "org.freedesktop.DBus";
            self.call_at(bus, "/org/freedesktop/DBus", bus, "AddMatch", &(rule.as_str(),)).await?;
        }
        match self.manager("Subscribe", &()).await {
            // Twice is as good as once.
            Err(Trouble::Said { name, .. }) if name == "AlreadySubscribed" => Ok(()),
            done => done.map(drop),
        }
    }

    /// Asks whether systemd is still there.
    pub(crate) async fn ping(&self) -> Result<(), Trouble> {
        self.call(MANAGER, "org.freedesktop.DBus.Peer", "Ping", &()).await.map(drop)
    }

    /// Calls a method of the object that knows all units.
    pub(crate) async fn manager<B>(&self, method: &str, body: &B) -> Result<Message, Trouble>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.call(MANAGER, MANAGER_INTERFACE, method, body).await
    }

    /// Calls a method of systemd.
    pub(crate) async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, Trouble>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.call_at(SYSTEMD, path, interface, method, body).await
    }

    /// Calls a method of whoever has that name on the bus.
    pub(crate) async fn call_at<B>(
        &self,
        name: &str,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, Trouble>
    where
        B: Serialize + DynamicType + Sync,
    {
        let name = (!self.direct).then_some(name);
        let call = self.connection.call_method(name, path, Some(interface), method, body);
        match timeout(ANSWER, call).await {
            Ok(answer) => answer.map_err(|error| trouble(&error)),
            Err(_late) => Err(Trouble::Late),
        }
    }
}

/// Where a systemd may be reached, the best way first.
fn ways(bus: &SystemdBus) -> Result<Vec<Way>, Trouble> {
    let on_bus = |path: PathBuf| Way { path, direct: false };
    let directly = |path: PathBuf| Way { path, direct: true };
    let me = geteuid();
    Ok(match bus {
        SystemdBus::System => {
            let mut ways = vec![on_bus("/run/dbus/system_bus_socket".into())];
            // Only root is let in there.
            ways.extend(me.is_root().then(|| directly("/run/systemd/private".into())));
            ways
        }
        SystemdBus::User(name) => {
            let user = match name {
                Some(name) => number_of(name)?,
                None => me.as_raw(),
            };
            let dir = PathBuf::from(format!("/run/user/{user}"));
            let own = user == me.as_raw();
            let mut ways = vec![on_bus(dir.join("bus")), directly(dir.join("systemd/private"))];
            if !own {
                // The bus of a user lets nobody else in, not even root.
                ways.reverse();
            }
            ways
        }
        SystemdBus::Socket(path) if path.ends_with("systemd/private") => vec![directly(path.clone())],
        SystemdBus::Socket(path) => vec![on_bus(path.clone())],
    })
}

async fn connect(way: &Way) -> Result<Connection, String> {
    let stream = UnixStream::connect(&way.path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket; does systemd run here?".to_owned(),
        _ => error.to_string(),
    })?;
    let builder = if way.direct {
        Builder::socket(Direct(stream)).p2p()
    } else {
        Builder::unix_stream(stream.into_std().map_err(|error| error.to_string())?)
    };
    builder.build().await.map_err(|error| error.to_string())
}

/// The user who runs the systemd of a bus and says what its units are; `None` when that is root.
pub(crate) fn bus_owner(bus: &SystemdBus) -> Result<Option<u32>, Trouble> {
    let user = match bus {
        SystemdBus::User(Some(name)) => number_of(name)?,
        SystemdBus::User(None) => geteuid().as_raw(),
        SystemdBus::System | SystemdBus::Socket(_) => return Ok(None),
    };
    Ok(Some(user).filter(|user| *user != 0))
}

/// The number of a user of this machine.
fn number_of(user: &str) -> Result<u32, Trouble> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd"));
    let passwd = passwd.map_err(|error| Trouble::Unreachable(format!("/etc/passwd: {error}")))?;
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1))?
    });
    found.and_then(|number| number.parse().ok()).ok_or_else(|| {
        Trouble::Unreachable(format!(
            "there is no user `{user}` in /etc/passwd; its number can be given instead"
        ))
    })
}

/// What an error of the connection or of the other side means.
fn trouble(error: &zbus::Error) -> Trouble {
    let (name, text) = match error {
        zbus::Error::MethodError(name, text, _) => (name.to_string(), text.clone().unwrap_or_default()),
        zbus::Error::FDO(error) => {
            (error.name().to_string(), error.description().unwrap_or_default().to_owned())
        }
        zbus::Error::InputOutput(error) => return Trouble::Lost(error.to_string()),
        other => return Trouble::Garbled(other.to_string()),
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    match last {
        "AccessDenied" | "InteractiveAuthorizationRequired" | "NotAuthorized" | "AuthFailed" => {
            Trouble::Denied(text)
        }
        "ServiceUnknown" | "NameHasNoOwner" | "Disconnected" | "NoServer" => Trouble::Unreachable(text),
        // The bus says that the other side has gone away without an answer.
        "NoReply" => Trouble::Lost(text),
        _ => Trouble::Said { name: last.to_owned(), text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_systemd_of_a_user_says_is_the_word_of_that_user() {
        let owner = |bus| bus_owner(&bus).unwrap();
        assert_eq!(owner(SystemdBus::System), None);
        assert_eq!(owner(SystemdBus::User(Some("1234".into()))), Some(1_234));
        assert_eq!(owner(SystemdBus::User(Some("root".into()))), None);
        assert!(bus_owner(&SystemdBus::User(Some("nobody of that name".into()))).is_err());
    }
}
