//! Which records of a journal a watcher would have been given: by the rules of the watcher itself,
//! brought to the form in which large files are read.

use lictor_config::Journal;

use super::entry::{Entry, Slot, Wanted};
use crate::journal::{self, Own, uid};

/// What an agent runs as. Here it is not known where and when one did, so its program is known by its name.
const PROGRAM: &[u8] = b"lictor";
const UNIT: &str = "lictor.service";

/// Fields and what they must be, all of them.
type Group = Vec<(Slot, Vec<u8>)>;

/// What one watcher wants.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// One of these groups must hold.
    groups: Vec<Group>,
    identifiers: Option<(Slot, Vec<Vec<u8>>)>,
    priority: Option<(Slot, u8)>,
    /// The sender's program, where an agent's own records are left out.
    sender: Option<Slot>,
    /// The sender's unit, and that of an agent.
    unit: Option<(Slot, Vec<u8>)>,
}

impl Filter {
    /// What a watcher wants; the fields that it goes by are kept from now on.
    ///
    /// # Errors
    /// Its user is not known.
    pub(super) fn new(journal: &Journal, wanted: &mut Wanted) -> Result<Self, String> {
        let uid = journal.user.as_deref().map(uid).transpose()?;
        let mut is = |name: &str, value: &str| (wanted.slot(name), value.as_bytes().to_vec());
        // What is asked of journalctl: nothing that another unit writes passes for one.
        let own = Own { unit: Some(UNIT.to_owned()), ..Own::default() };
        let asked = journal::Filter::of(journal, uid, own);
        let groups = asked.groups().iter();
        let groups =
            groups.map(|group| group.iter().map(|(name, value)| is(name, value)).collect()).collect();
        let identifiers: Vec<_> =
            asked.identifiers().iter().map(|identifier| identifier.as_bytes().to_vec()).collect();
        let identifiers = (!identifiers.is_empty()).then(|| (wanted.slot("SYSLOG_IDENTIFIER"), identifiers));
        let priority = asked.priority().map(|most| (wanted.slot("PRIORITY"), most));
        let sender = asked.own().map(|_own| wanted.slot("_EXE"));
        let unit = asked.own().and_then(|own| own.unit.as_ref());
        let unit = unit.map(|unit| (wanted.slot("_SYSTEMD_UNIT"), unit.as_bytes().to_vec()));
        Ok(Self { groups, identifiers, priority, sender, unit })
    }

    /// Whether the watcher would have looked at a record.
    pub(super) fn accepts(&self, entry: &Entry) -> bool {
        let holds = |group: &Group| group.iter().all(|(slot, value)| entry.is(*slot, value));
        let severe = |(slot, most): (Slot, u8)| {
            let value = entry.values(slot).next();
            matches!(value, Some([digit @ b'0'..=b'7']) if digit - b'0' <= most)
        };
        self.groups.iter().any(holds)
            && self
                .identifiers
                .as_ref()
                .is_none_or(|(slot, names)| names.iter().any(|name| entry.is(*slot, name)))
            && self.priority.is_none_or(severe)
            && !self.sender.is_some_and(|slot| entry.values(slot).any(is_ours))
            && !self.unit.as_ref().is_some_and(|(slot, unit)| entry.is(*slot, unit))
    }
}

/// Whether a program is an agent.
fn is_ours(exe: &[u8]) -> bool {
    exe.rsplit(|byte| *byte == b'/').next() == Some(PROGRAM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::entry::{Entries, Form};

    /// Whether the watcher would have looked at a record with these fields.
    fn accepted(settings: &str, fields: &str) -> bool {
        let text = format!("watch \"journal\" \"j\" {{\n{settings}\n}}");
        let config = lictor_config::parse("x.hcl", &text).unwrap().config;
        let watch = config.watches.values().next().unwrap();
        let lictor_config::WatchKind::Journal(journal) = &watch.kind else { panic!() };
        let mut wanted = Wanted::new();
        let filter = Filter::new(journal, &mut wanted).unwrap();
        let text = format!("__REALTIME_TIMESTAMP=1\n{}\n\n", fields.replace(' ', "\n"));
        let mut entries = Entries::new(Form::Export, Vec::new(), text.as_bytes(), wanted);
        assert!(entries.next().unwrap());
        filter.accepts(entries.entry())
    }

    #[test]
    fn of_a_unit_is_what_it_wrote_and_what_systemd_says_of_it() {
        let unit = "unit = \"electrs\"";
        assert!(accepted(unit, "_SYSTEMD_UNIT=electrs.service MESSAGE=x"));
        assert!(accepted(unit, "UNIT=electrs.service _PID=1"));
        assert!(accepted(unit, "OBJECT_SYSTEMD_UNIT=electrs.service _TRANSPORT=driver"));
        assert!(!accepted(unit, "_SYSTEMD_UNIT=bitcoind.service MESSAGE=electrs.service"));
        // What any program can say of itself does not count.
        assert!(!accepted(unit, "UNIT=electrs.service _PID=77"));
        assert!(!accepted(unit, "OBJECT_SYSTEMD_UNIT=electrs.service _UID=0"));
        assert!(!accepted(unit, "SYSLOG_IDENTIFIER=electrs"));
        assert!(!accepted(unit, "COREDUMP_UNIT=electrs.service _UID=0"));
    }

    #[test]
    fn everything_else_must_hold_too() {
        assert!(accepted("identifier = [\"a\", \"b\"]", "SYSLOG_IDENTIFIER=b"));
        assert!(!accepted("identifier = \"a\"", "_COMM=a"));
        assert!(accepted("priority = \"warning\"", "PRIORITY=4"));
        assert!(!accepted("priority = \"warning\"", "PRIORITY=5"));
        assert!(!accepted("priority = \"warning\"", "MESSAGE=4"));
        assert!(accepted("fields = { _COMM = \"sshd\" }", "_COMM=sshd"));
        assert!(!accepted("fields = { _COMM = \"sshd\" }\nunit = \"a\"", "_COMM=sshd"));
        assert!(accepted("kernel = true", "_TRANSPORT=kernel"));
        assert!(!accepted("kernel = true", "_TRANSPORT=journal"));
    }

    #[test]
    fn units_of_a_user_are_those_of_the_users_own_manager() {
        let settings = "user = \"1000\"\nunit = \"a\"";
        assert!(accepted(settings, "_SYSTEMD_USER_UNIT=a.service _UID=1000"));
        assert!(!accepted(settings, "_SYSTEMD_USER_UNIT=a.service _UID=1001"));
        assert!(!accepted(settings, "_SYSTEMD_UNIT=a.service _UID=1000"));
        assert!(!accepted(settings, "USER_UNIT=a.service _UID=1000 _SYSTEMD_USER_UNIT=b.service"));
        assert!(accepted(settings, "USER_UNIT=a.service _UID=1000 _SYSTEMD_USER_UNIT=init.scope"));
        assert!(accepted("user = \"1000\"", "_UID=1000"));
    }

    #[test]
    fn our_own_records_are_left_out_unless_a_unit_is_asked_for() {
        assert!(!accepted("", "_EXE=/usr/bin/lictor"));
        assert!(accepted("", "_EXE=/usr/bin/elictor"));
        assert!(!accepted("", "_EXE=/usr/bin/logger _SYSTEMD_UNIT=lictor.service"));
        let own_unit = "unit = \"lictor\"";
        assert!(accepted(own_unit, "_EXE=/usr/bin/logger _SYSTEMD_UNIT=lictor.service"));
        assert!(!accepted(own_unit, "_EXE=/usr/bin/lictor _SYSTEMD_UNIT=lictor.service"));
        assert!(accepted("unit = \"a\"", "_SYSTEMD_UNIT=a.service _EXE=/usr/bin/lictor"));
    }
}
