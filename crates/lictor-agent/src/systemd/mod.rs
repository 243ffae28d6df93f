//! Talking to systemd over D-Bus: which unit is in which state, and what is to be done to it.
//!
//! Only what Lictor needs, written by hand: a dozen methods and four signals. A bus is used where
//! there is one; where there is none, or where it refuses us, the private socket of systemd is, so
//! that the bus itself can be watched and restarted.

mod bus;
mod direct;
mod properties;
mod signals;
mod unit;

pub(crate) use bus::{Bus, Trouble, bus_owner};
pub(crate) use properties::Properties;
pub(crate) use signals::Signals;
pub(crate) use unit::UnitState;

/// The name under which systemd is on a bus.
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// Its object that knows all units.
const MANAGER: &str = "/org/freedesktop/systemd1";

/// The interface of that.
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// The object of a unit: every byte that is neither a letter nor a digit is written as `_xx`, and so
/// is a digit at the beginning.
fn unit_path(unit: &lictor_config::UnitName) -> String {
    use std::fmt::Write as _;
    let mut path = format!("{MANAGER}/unit/");
    for (at, byte) in unit.as_str().bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(path, "_{byte:02x}").ok();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_units_object_is_named_as_systemd_does_it() {
        let path = |name: &str| unit_path(&lictor_config::UnitName::new(name).unwrap());
        assert_eq!(path("ssh.service"), "/org/freedesktop/systemd1/unit/ssh_2eservice");
        assert_eq!(path("getty@tty1"), "/org/freedesktop/systemd1/unit/getty_40tty1_2eservice");
        assert_eq!(path("3proxy"), "/org/freedesktop/systemd1/unit/_33proxy_2eservice");
        assert_eq!(path(r"a\x2db.mount"), "/org/freedesktop/systemd1/unit/a_5cx2db_2emount");
    }
}
