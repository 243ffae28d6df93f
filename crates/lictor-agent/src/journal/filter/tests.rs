use lictor_config::JournalFrom;

use super::*;
use crate::journal::Decoder;

fn anything() -> Journal {
    Journal {
        units: Vec::new(),
        identifiers: Vec::new(),
        priority: None,
        fields: Vec::new(),
        user: None,
        kernel: false,
        directory: None,
        from: JournalFrom::End,
        max_age: None,
        wake: None,
        command: None,
    }
}

fn unit(unit: &str) -> Journal {
    Journal { units: vec![unit.into()], ..anything() }
}

/// Whether a record with these fields is wanted.
fn wants(journal: &Journal, fields: &str) -> bool {
    let own = Own { pid: 77, exe: Some("/usr/bin/lictor".into()), unit: Some("lictor.service".into()) };
    let uid = journal.user.as_deref().map(|user| uid(user).unwrap());
    let filter = Filter::of(journal, uid, own);
    let mut decoder = Decoder::keeping(filter.names());
    let fields: String = fields.split_whitespace().map(|field| format!("{field}\n")).collect();
    let stream = format!("__CURSOR=c\n__REALTIME_TIMESTAMP=1\n{fields}\n");
    let mut wanted = None;
    decoder.read(stream.as_bytes(), &mut |record| wanted = Some(filter.accepts(record))).unwrap();
    wanted.unwrap()
}

#[test]
fn a_unit_is_known_by_what_journald_notes_and_by_what_the_manager_says() {
    let unit = unit("a.service");
    assert!(wants(&unit, "MESSAGE=x _SYSTEMD_UNIT=a.service"));
    assert!(wants(&unit, "UNIT=a.service _PID=1 _SYSTEMD_UNIT=init.scope"));
    assert!(wants(&unit, "OBJECT_SYSTEMD_UNIT=a.service _TRANSPORT=driver N_DROPPED=5"));
    assert!(!wants(&unit, "_SYSTEMD_UNIT=b.service"));
    assert!(!wants(&unit, ""));
}

#[test]
fn nothing_that_another_unit_writes_passes_for_a_unit() {
    let claims = "UNIT=a.service SYSTEMD_UNIT=a.service OBJECT_SYSTEMD_UNIT=a.service COREDUMP_UNIT=a.service \
                  USER_UNIT=a.service SYSLOG_IDENTIFIER=a.service MESSAGE=_SYSTEMD_UNIT=a.service";
    assert!(!wants(&unit("a.service"), &format!("{claims} _UID=0 _SYSTEMD_UNIT=b.service _PID=9")));
    let of_user = Journal { user: Some("7".into()), ..unit("a.service") };
    assert!(!wants(&of_user, &format!("{claims} _UID=7 _SYSTEMD_USER_UNIT=b.service")));
}

#[test]
fn a_slice_is_what_runs_in_it() {
    assert!(wants(&unit("a.slice"), "_SYSTEMD_SLICE=a.slice _SYSTEMD_UNIT=b.service"));
    assert!(!wants(&unit("a.service"), "_SYSTEMD_SLICE=a.service"));
}

#[test]
fn a_users_unit_is_of_that_user() {
    let journal = Journal { user: Some("7".into()), ..unit("a.service") };
    assert!(wants(&journal, "_SYSTEMD_USER_UNIT=a.service _UID=7"));
    assert!(wants(&journal, "USER_UNIT=a.service _SYSTEMD_USER_UNIT=init.scope _UID=7"));
    assert!(!wants(&journal, "_SYSTEMD_USER_UNIT=a.service _UID=8"));
    assert!(!wants(&journal, "_SYSTEMD_UNIT=a.service _UID=7"));
    let all = Journal { units: Vec::new(), ..journal };
    assert!(wants(&all, "_UID=7") && !wants(&all, "_UID=8"));
}

#[test]
fn everything_that_is_configured_must_hold() {
    let journal = Journal {
        identifiers: vec!["one".into(), "two".into()],
        priority: Some("warning"),
        fields: vec![("_COMM".into(), "sshd".into())],
        ..unit("a.service")
    };
    let fields = ["_SYSTEMD_UNIT=a.service", "SYSLOG_IDENTIFIER=two", "PRIORITY=4", "_COMM=sshd"];
    assert!(wants(&journal, &fields.join(" ")));
    for left_out in fields {
        assert!(!wants(&journal, &fields.join(" ").replace(left_out, "")), "{left_out}");
    }
    assert!(!wants(&journal, &fields.join(" ").replace("PRIORITY=4", "PRIORITY=5")));
}

#[test]
fn a_field_that_contradicts_never_widens_what_is_wanted() {
    let fields = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let journal = Journal { fields: fields("_PID", "5"), ..unit("a.service") };
    assert!(wants(&journal, "_SYSTEMD_UNIT=a.service _PID=5"));
    assert!(!wants(&journal, "UNIT=a.service _PID=1"));
    assert!(!wants(&journal, "UNIT=a.service _PID=5"));
    let kernel = Journal { kernel: true, fields: fields("_TRANSPORT", "stdout"), ..anything() };
    assert!(!wants(&kernel, "_TRANSPORT=stdout") && !wants(&kernel, "_TRANSPORT=kernel"));
}

#[test]
fn a_field_may_have_several_values() {
    let journal = Journal { fields: vec![("TAG".into(), "b".into())], ..anything() };
    assert!(wants(&journal, "TAG=a TAG=b"));
}

#[test]
fn what_we_write_ourselves_is_left_out_wherever_it_could_be() {
    for own in ["_PID=77", "_EXE=/usr/bin/lictor", "_SYSTEMD_UNIT=lictor.service"] {
        assert!(!wants(&anything(), own), "{own}");
    }
    assert!(wants(&anything(), "_PID=78 _EXE=/usr/bin/other _SYSTEMD_UNIT=other.service"));
    // Whoever asks for our unit gets what is not ourselves.
    let unit = unit("lictor.service");
    assert!(wants(&unit, "_SYSTEMD_UNIT=lictor.service _PID=78"));
    assert!(wants(&unit, "UNIT=lictor.service _PID=1"));
    assert!(!wants(&unit, "_SYSTEMD_UNIT=lictor.service _PID=77"));
}

#[test]
fn a_user_is_a_number_or_a_name_of_this_machine() {
    assert_eq!(uid("1000"), Ok(1_000));
    assert_eq!(uid("root"), Ok(0));
    let unknown = "there is no user `no-such-user` in /etc/passwd; write the user's number";
    assert_eq!(uid("no-such-user"), Err(unknown.to_owned()));
}
