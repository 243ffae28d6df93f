use std::os::unix::fs::PermissionsExt as _;

use super::*;

const URL: &str = "http://127.0.0.1:8080";

/// Those of one agent that logs in as `me` with one password.
struct Rig {
    refused: Refused,
    login: Login,
    server: Login,
}

impl Rig {
    fn new(dir: Option<&std::path::Path>, password: &str) -> Self {
        let refused = Refused::load(dir.map(PathBuf::from));
        let (login, server) = (refused.login(URL, "me", password), refused.server(URL));
        Self { refused, login, server }
    }

    fn begin(&self) -> Result<(), Held> {
        self.refused.begin(&self.login, &self.server)
    }

    fn is_refused_once_more(&self) {
        self.begin().unwrap();
        self.refused.refused(&self.login);
    }
}

#[test]
fn a_password_is_refused_twice_at_most_also_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    Rig::new(Some(dir.path()), "wrong").is_refused_once_more();
    Rig::new(Some(dir.path()), "wrong").is_refused_once_more();
    assert_eq!(Rig::new(Some(dir.path()), "wrong").begin(), Err(Held::Refused));
    let other = Rig::new(Some(dir.path()), "other");
    other.begin().unwrap();
}

#[test]
fn without_a_directory_it_is_counted_as_long_as_the_agent_lives() {
    let rig = Rig::new(None, "wrong");
    rig.is_refused_once_more();
    rig.is_refused_once_more();
    assert_eq!(rig.begin(), Err(Held::Refused));
}

#[test]
fn a_login_that_is_taken_clears_the_count() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(Some(dir.path()), "right");
    rig.is_refused_once_more();
    rig.begin().unwrap();
    rig.refused.taken(&rig.login);
    let again = Rig::new(Some(dir.path()), "right");
    again.is_refused_once_more();
    again.begin().unwrap();
}

#[test]
fn a_login_is_counted_before_its_answer_is_known() {
    let dir = tempfile::tempdir().unwrap();
    // Two agents that are killed while they log in.
    Rig::new(Some(dir.path()), "any").begin().unwrap();
    Rig::new(Some(dir.path()), "any").begin().unwrap();
    let third = Rig::new(Some(dir.path()), "any");
    assert!(matches!(third.begin(), Err(Held::Unanswered(left)) if left > HOUR / 2 && left <= HOUR));
}

#[test]
fn one_that_never_reached_anybody_is_not_counted() {
    let rig = Rig::new(None, "any");
    for _ in 0..9 {
        rig.begin().unwrap();
        rig.refused.never_made(&rig.login);
    }
}

#[test]
fn a_password_known_to_be_right_is_tried_however_often_nobody_answers() {
    let rig = Rig::new(None, "right");
    rig.begin().unwrap();
    rig.refused.taken(&rig.login);
    for _ in 0..9 {
        rig.begin().unwrap();
    }
    rig.refused.refused(&rig.login);
    rig.is_refused_once_more();
    assert_eq!(rig.begin(), Err(Held::Refused));
}

#[test]
fn a_ban_holds_for_an_hour_whoever_asks() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(Some(dir.path()), "one");
    rig.begin().unwrap();
    rig.refused.banned(&rig.login, &rig.server);
    for rig in [rig, Rig::new(Some(dir.path()), "two")] {
        assert!(matches!(rig.begin(), Err(Held::Banned(left)) if left > HOUR / 2 && left <= HOUR));
    }
}

#[test]
fn who_removes_the_file_wants_it_to_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(Some(dir.path()), "wrong");
    rig.is_refused_once_more();
    rig.is_refused_once_more();
    assert_eq!(rig.begin(), Err(Held::Refused));
    fs::remove_file(dir.path().join(FILE)).unwrap();
    rig.begin().unwrap();
}

#[test]
fn the_file_is_for_its_owner_and_tells_nothing() {
    let dir = tempfile::tempdir().unwrap();
    Rig::new(Some(dir.path()), "hunter2hunter2").is_refused_once_more();
    let path = dir.path().join(FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("127.0.0.1"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_read_counts_as_empty_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), "nonsense").unwrap();
    Rig::new(Some(dir.path()), "wrong").is_refused_once_more();
    Rig::new(Some(dir.path()), "wrong").is_refused_once_more();
    assert_eq!(Rig::new(Some(dir.path()), "wrong").begin(), Err(Held::Refused));
}

#[test]
fn what_version_1_wrote_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let login = Rig::new(None, "").login;
    let text = format!(
        r#"{{"v":"1","salt":"00ff","logins":[{{"login":"{}","refused":2,"open":0,"at":1700000000}}],"banned":[]}}"#,
        login.0
    );
    fs::write(dir.path().join(FILE), text).unwrap();
    let rig = Rig::new(Some(dir.path()), "");
    assert_eq!(rig.refused.begin(&login, &rig.server), Err(Held::Refused));
    assert_eq!(rig.refused.lock().salt, "00ff");
}
