//! Silence this until Monday.

use std::fs;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use lictor_testkit::browser::{Look, Window};
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::wait;
use serde_json::Value;

use super::{browser, page};
use crate::node::{LONG, Node};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// Where the machine is; the browser is elsewhere.
const ZONE: &str = "Europe/Berlin";

const BLOCKS: &str = r#"
watch "exec" "disk" {
  command = ["/bin/sh", "-c", "test -e @DIR@/full && echo \"$(cat @DIR@/full) % used\" && exit 2; echo fine"]
  every   = "1s"
  timeout = "1s"
}
watch "exec" "swap" {
  command = ["/bin/sh", "-c", "test -e @DIR@/swapping && exit 2; echo fine"]
  every   = "1s"
  timeout = "1s"
}
notify "http" "chat" {
  url = "@CHAT@/told"
}
"#;

/// A node whose page asks for a token, with a check that fails and a chat that is told.
struct Rig {
    node: Node,
    chat: Service,
}

impl Rig {
    fn start() -> Self {
        let chat = Service::start(|_call| Answer::new(200, "{}"));
        let mut node = Node::new("");
        let text = node.text(&BLOCKS.replace("@CHAT@", &chat.url()));
        let text = text.replacen("http {\n", &format!("http {{\n  token = \"{TOKEN}\"\n"), 1);
        fs::write(node.config(), text).unwrap();
        node.start_in(&[("TZ", ZONE)]);
        let mut rig = Self { node, chat };
        rig.becomes("disk", "passing");
        fs::write(rig.node.path("full"), "95").unwrap();
        rig.told("disk", 1);
        rig
    }

    fn asks(&self, words: &[&str]) -> Value {
        let words = [words, &["--format", "json", "--token", TOKEN]].concat();
        self.node.ask(&words).unwrap_or_default()
    }

    fn becomes(&mut self, check: &str, status: &str) {
        let so = wait::until(LONG, || {
            let all = self.asks(&["status"]);
            let checks = all["checks"].as_array()?;
            checks.iter().any(|one| one["name"] == check && one["status"] == status).then_some(())
        });
        assert!(so.is_some(), "{check} does not become {status}\n{}", self.node.log());
    }

    /// What the chat was told of a check.
    fn tellings(&self, check: &str) -> usize {
        let title = format!("{check} on test");
        self.chat.calls().iter().filter(|call| call.body.contains(&title)).count()
    }

    fn told(&self, check: &str, times: usize) {
        let so = wait::until(LONG, || (self.tellings(check) >= times).then_some(()));
        assert!(so.is_some() && self.tellings(check) == times, "{check}: {:?}", self.chat.calls());
    }

    /// The status of a check changes, and nobody is told.
    fn changes_and_nobody_is_told(&mut self) {
        let before = self.tellings("disk");
        fs::remove_file(self.node.path("full")).unwrap();
        self.becomes("disk", "passing");
        fs::write(self.node.path("full"), "99").unwrap();
        self.becomes("disk", "critical");
        // What came later was told: who is to be told of anything is.
        fs::write(self.node.path("swapping"), "").unwrap();
        self.told("swap", 1);
        assert_eq!(self.tellings("disk"), before, "{:?}", self.chat.calls());
    }

    fn silences(&self) -> Vec<Value> {
        self.asks(&["silence", "list"])["silences"].as_array().cloned().unwrap_or_default()
    }
}

/// The next Monday at eight, where the machine is.
fn monday() -> Zoned {
    let now = Timestamp::now().to_zoned(TimeZone::get(ZONE).unwrap());
    let mornings = (0..8).map(|days: i64| {
        let date = now.date().checked_add(days.days()).unwrap();
        date.at(8, 0, 0, 0).to_zoned(now.time_zone().clone()).unwrap()
    });
    mornings.into_iter().find(|at| at.date() > now.date() && at.weekday() == Weekday::Monday).unwrap()
}

/// Opens the form at the failing check and has it silent until Monday; when that is.
fn silences_until_monday(window: &Window<'_>, rig: &Rig, comment: &str) -> Zoned {
    window.goes_to(&page(&rig.node, "/"));
    window.follows("table", "disk");
    window.sees(&["disk", "critical for", "Alert", "Told chat: critical", "Silence"]);
    window.unfolds("Silence");
    window.sees(&["mornings are those of Europe/Berlin"]);
    window.writes("Why (may be left out)", comment);
    let monday = monday();
    window.presses(&format!("until {}", monday.strftime("%A %-d %b %H:%M")));
    let ends = monday.strftime("until %a %-d %b %Y %H:%M").to_string();
    window.sees(&[
        "disk on test",
        "muted",
        "Nobody is told: silence s1",
        "Silences",
        "check=disk",
        &ends,
        comment,
    ]);
    monday
}

#[test]
fn who_signs_in_has_a_check_silent_until_monday_and_ends_it() {
    let mut rig = Rig::start();
    let browser = browser();
    let window = browser.window(Look::default().with_password("ann", TOKEN));
    let monday = silences_until_monday(&window, &rig, "the disks come on Monday");
    let silences = rig.silences();
    let [silence] = silences.as_slice() else { panic!("{silences:?}") };
    let until: Timestamp = silence["until"].as_str().unwrap().parse().unwrap();
    let late = until.duration_since(monday.timestamp()).as_secs();
    // It counts from when it was made.
    assert!((0..=10).contains(&late), "it ends at {until} in place of {monday}");
    assert_eq!((&silence["by"], &silence["alerts"]), (&"ann".into(), &1.into()), "{silence}");
    rig.changes_and_nobody_is_told();
    window.is_sound_as("silenced");
    window.goes_to(&page(&rig.node, "/audit"));
    window.sees(&["ann", "POST /v1/alerts/silences"]);
    window.is_sound_as("acts");

    window.goes_to(&page(&rig.node, "/"));
    window.presses("End silence s1");
    window.sees_no_more(&["Nobody is told", "End silence"]);
    assert!(rig.silences().is_empty());
    window.goes_to(&page(&rig.node, "/checks/disk"));
    window.unfolds("Silence");
    window.is_sound_as("form");
}

#[test]
fn without_scripts_it_goes_by_the_same_form() {
    let mut rig = Rig::start();
    let browser = browser();
    let window =
        browser.window(Look { width: 360, ..Look::default() }.without_script().with_password("ann", TOKEN));
    silences_until_monday(&window, &rig, "known");
    rig.changes_and_nobody_is_told();
    window.is_sound_as("silenced");
    window.presses("End silence s1");
    window.sees_no_more(&["Nobody is told"]);
    assert!(rig.silences().is_empty());
}

#[test]
fn what_cannot_be_silenced_is_said_for_as_long_as_somebody_reads_it() {
    let rig = Rig::start();
    let browser = browser();
    let window = browser.window(Look::phone().with_password("ann", TOKEN).refused(400));
    window.goes_to(&page(&rig.node, "/"));
    window.unfolds("New silence");
    window.writes("Which alerts, one condition a line, such as node=web1 or check=disk,swap", "disk");
    window.presses("Tell nobody of them");
    let said = ["That did not work", "`disk` is no condition: write LABEL=VALUE"];
    window.sees(&said);
    // Longer than the page takes to renew itself.
    assert!(
        wait::until(std::time::Duration::from_secs(3), || (!window.text().contains("no condition"))
            .then_some(()))
        .is_none()
    );
    window.is_sound_as("refused");
    window.follows("main", "Back to the page");
    window.sees(&["1 incident open"]);
}
