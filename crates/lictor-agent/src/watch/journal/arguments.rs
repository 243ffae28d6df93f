//! Which records are wanted, in the words of journalctl.
//!
//! Everything a configuration says is one argument with its option before it, so that no value can
//! be taken for an option.

use lictor_config::Journal;

use crate::journal::Filter;

/// What is asked for of a record, besides what is always there.
const FIELDS: &str = "--output-fields=MESSAGE,N_DROPPED,_TRANSPORT";

/// The same with what tells who wrote it.
const FIELDS_AND_SENDER: &str = "--output-fields=MESSAGE,N_DROPPED,_TRANSPORT,_PID,_EXE,_SYSTEMD_UNIT";

/// What of a journal is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The files.
    source: Vec<String>,
    /// Options, all of which restrict.
    options: Vec<String>,
    /// Matches of fields; of the groups one must hold.
    groups: Vec<Vec<String>>,
    /// Whether it must be asked who wrote a record, to leave out our own.
    senders: bool,
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With the record that has this cursor, or with the next if that does not match.
    At(String),
    /// With the first at or after this time, microseconds.
    Since(u64),
    /// With the oldest.
    Head,
    /// With the first of this boot.
    Boot(String),
}

impl Query {
    /// Asks for what a filter lets through, but for our own records.
    pub(super) fn new(journal: &Journal, filter: &Filter) -> Self {
        let Journal { identifiers, priority, directory, .. } = journal;
        let identifiers = identifiers.iter().map(|identifier| format!("--identifier={identifier}"));
        let options = identifiers.chain(priority.map(|priority| format!("--priority={priority}"))).collect();
        let matches = |group: &Vec<(String, String)>| {
            group.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let groups = filter.groups().iter().map(matches).collect();
        let source = directory.iter().map(|path| format!("--directory={}", path.display())).collect();
        Self { source, options, groups, senders: filter.own().is_some() }
    }

    /// Nothing but the files.
    pub(super) fn all(&self) -> Self {
        Self { options: Vec::new(), groups: vec![Vec::new()], senders: false, ..self.clone() }
    }

    /// The same of other files.
    pub(super) fn of_directory(&self, directory: &str) -> Self {
        Self { source: vec![format!("--directory={directory}")], ..self.clone() }
    }

    /// The same, restricted further.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        for group in &mut self.groups {
            group.push(format!("{name}={value}"));
        }
        self
    }

    /// What is there, from a place on.
    pub(super) fn drain(&self, start: &Start) -> Vec<String> {
        self.arguments(start, &["--quiet"])
    }

    /// What is there and what comes, from a place on. Without `--merge` journalctl would stay
    /// with one boot.
    pub(super) fn follow(&self, start: &Start) -> Vec<String> {
        self.arguments(start, &["--quiet", "--follow", "--merge", "--no-tail"])
    }

    /// The newest record.
    pub(super) fn newest(&self) -> Vec<String> {
        self.arguments(&Start::Head, &["--lines=1"])
    }

    /// Records from a place on, with what journalctl has to say about permissions.
    pub(super) fn first(&self, start: &Start) -> Vec<String> {
        self.arguments(start, &[])
    }

    fn arguments(&self, start: &Start, more: &[&str]) -> Vec<String> {
        let Self { source, options, groups, senders } = self;
        let fields = if *senders { FIELDS_AND_SENDER } else { FIELDS };
        let mut arguments: Vec<String> = ["--output=export", fields, "--no-pager"]
            .into_iter()
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect();
        arguments.extend_from_slice(source);
        arguments.extend_from_slice(options);
        let boot = match start {
            // Not `--after-cursor`: that leaves out one too many where the record is gone or does not match.
            Start::At(cursor) => {
                arguments.push(format!("--cursor={cursor}"));
                None
            }
            Start::Since(usec) => {
                arguments.push(format!("--since=@{}.{:06}", usec / 1_000_000, usec % 1_000_000));
                None
            }
            Start::Head => None,
            Start::Boot(boot) => Some(format!("_BOOT_ID={boot}")),
        };
        for (number, group) in groups.iter().enumerate() {
            if number > 0 {
                arguments.push("+".to_owned());
            }
            arguments.extend(group.iter().cloned().chain(boot.clone()));
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lictor_config::JournalFrom;

    use super::*;
    use crate::journal::Own;

    fn journal() -> Journal {
        Journal {
            units: Vec::new(),
            identifiers: Vec::new(),
            priority: None,
            fields: Vec::new(),
            user: None,
            kernel: false,
            directory: None,
            from: JournalFrom::End,
            max_age: Some(Duration::from_secs(86_400)),
            wake: None,
            command: None,
        }
    }

    fn query(journal: &Journal, uid: Option<u32>) -> Query {
        Query::new(journal, &Filter::of(journal, uid, Own::default()))
    }

    /// What comes after the options that are always there.
    fn said(query: &Query, start: &Start) -> String {
        query.drain(start).get(4..).unwrap().join(" ")
    }

    #[test]
    fn every_wish_is_one_argument() {
        let journal = Journal {
            units: vec!["a.service".into(), "b.slice".into()],
            identifiers: vec!["--file=/etc/shadow".into()],
            priority: Some("warning"),
            fields: vec![("_COMM".into(), "-x + y".into())],
            directory: Some("/var/x y".into()),
            ..journal()
        };
        let query = query(&journal, None);
        assert_eq!(
            said(&query, &Start::At("s=1;i=2".into())),
            "--directory=/var/x y --identifier=--file=/etc/shadow --priority=warning --cursor=s=1;i=2 \
             _SYSTEMD_UNIT=a.service _COMM=-x + y + UNIT=a.service _PID=1 _COMM=-x + y + \
             OBJECT_SYSTEMD_UNIT=a.service _TRANSPORT=driver _COMM=-x + y + \
             _SYSTEMD_UNIT=b.slice _COMM=-x + y + UNIT=b.slice _PID=1 _COMM=-x + y + \
             OBJECT_SYSTEMD_UNIT=b.slice _TRANSPORT=driver _COMM=-x + y + _SYSTEMD_SLICE=b.slice _COMM=-x + y"
        );
        assert_eq!(said(&query.all(), &Start::Head), "--directory=/var/x y");
    }

    #[test]
    fn units_of_a_user_are_looked_for_under_the_users_number() {
        let of_unit =
            Journal { units: vec!["a.service".into()], fields: vec![("X".into(), "1".into())], ..journal() };
        assert_eq!(
            said(&query(&of_unit, Some(7)), &Start::Boot("bb".into())),
            "_SYSTEMD_USER_UNIT=a.service _UID=7 X=1 _BOOT_ID=bb + \
             USER_UNIT=a.service _SYSTEMD_USER_UNIT=init.scope _UID=7 X=1 _BOOT_ID=bb + \
             OBJECT_SYSTEMD_USER_UNIT=a.service OBJECT_UID=7 _TRANSPORT=driver X=1 _BOOT_ID=bb"
        );
        let all = query(&journal(), Some(7));
        assert_eq!(said(&all, &Start::Since(1_700_000_000_000_042)), "--since=@1700000000.000042 _UID=7");
    }

    #[test]
    fn the_kernel_is_followed_over_boots() {
        let query = query(&Journal { kernel: true, ..journal() }, None);
        assert_eq!(said(&query, &Start::Head), "_TRANSPORT=kernel");
    }

    #[test]
    fn who_wrote_it_is_asked_only_where_it_may_be_ourselves() {
        let of_all = query(&journal(), None);
        assert!(of_all.drain(&Start::Head).contains(&FIELDS_AND_SENDER.to_owned()));
        let of_unit = query(&Journal { units: vec!["a.service".into()], ..journal() }, None);
        assert!(of_unit.drain(&Start::Head).contains(&FIELDS.to_owned()));
    }
}
