//! `act "qbittorrent"` on a real qBittorrent: exactly what was stopped is started again.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::Clock;
use lictor_agent::act::Prepared;
use lictor_config::{Action, QbittorrentAction, QbittorrentApi, Secret, Tls, TorrentWork};
use lictor_core::{Note, Order, Outcome, StepName};
use lictor_testkit::qbittorrent::{Modern, PASSWORD, Server, USER};
use lictor_testkit::torrent::Torrent;
use lictor_testkit::tracker::Tracker;

use crate::act_bench::{Bench, LONG, done, failed, not_started, order};
use crate::qbittorrent_watch::Heard;

const TAG: &str = "lictor-stopped";

fn action(url: &str, work: TorrentWork) -> Action {
    let api = QbittorrentApi {
        url: url.parse().unwrap(),
        user: USER.into(),
        password: Some(Secret::value(PASSWORD)),
        api_key: None,
        host: None,
        tls: Tls::default(),
    };
    Action::Qbittorrent(Box::new(QbittorrentAction { api, work }))
}

fn step(text: &str) -> StepName {
    text.parse().unwrap()
}

/// A run at one qBittorrent: what its steps note, and whether they could finish.
struct Run {
    url: String,
    tracker: Option<String>,
    notes: BTreeMap<StepName, Note>,
}

impl Run {
    fn new(url: String, tracker: Option<&str>) -> Self {
        Self { url, tracker: tracker.map(str::to_owned), notes: BTreeMap::new() }
    }

    /// What a step does: `stop`, `stop-late` for what it could not, `start` and `bounce`.
    fn bench(&self, name: &str) -> Bench {
        let tag = Some(TAG.to_owned());
        let stop =
            |unless_done| TorrentWork::Stop { tracker: self.tracker.clone(), tag: tag.clone(), unless_done };
        let work = match name {
            "stop" => stop(None),
            "stop-late" => stop(Some(step("stop"))),
            "start" => {
                let stopped_by = vec![step("stop"), step("stop-late")];
                TorrentWork::Start { stopped_by, tag: tag.clone(), reannounce: true }
            }
            "bounce" => TorrentWork::BouncePort,
            _ => panic!("no step `{name}`"),
        };
        Bench::new(action(&self.url, work))
    }

    fn order(&self, name: &str) -> Order {
        Order { step: step(name), notes: Arc::new(self.notes.clone()), ..order() }
    }

    /// Has a step note what it would do; `Err` when there is nothing to do or it cannot be known.
    async fn prepare(&mut self, name: &str) -> Result<String, Outcome> {
        match self.bench(name).prepare(&self.order(name), LONG).await {
            Prepared::Note(note) => {
                self.note(name, &note, false);
                Ok(note)
            }
            Prepared::Over(outcome) => {
                if let (Outcome::Done { .. }, Some(note)) = (&outcome, self.notes.get_mut(&step(name))) {
                    note.done = true;
                }
                Err(outcome)
            }
        }
    }

    fn note(&mut self, name: &str, text: &str, done: bool) {
        let note = Note { text: text.into(), done, at: Clock::fresh().now() };
        self.notes.insert(step(name), note);
    }

    /// Does what was noted.
    async fn act(&mut self, name: &str) -> Outcome {
        let outcome = self.bench(name).act(&self.order(name), LONG).await;
        if let (Outcome::Done { .. }, Some(note)) = (&outcome, self.notes.get_mut(&step(name))) {
            note.done = true;
        }
        outcome
    }

    /// Notes and does; what it said.
    async fn run(&mut self, name: &str) -> String {
        self.prepare(name).await.unwrap();
        done(&self.act(name).await).to_owned()
    }

    async fn inspect(&self, name: &str) -> Outcome {
        self.bench(name).inspect(&self.order(name), LONG).await
    }

    /// Why there is nothing to do.
    async fn needless(&mut self, name: &str) -> String {
        done(&self.prepare(name).await.unwrap_err()).to_owned()
    }
}

/// A note that chooses these torrents; an exclamation mark means forced.
fn note(chosen: &[(&str, bool)]) -> String {
    let mut chosen: Vec<_> = chosen.to_vec();
    chosen.sort_unstable();
    let torrents: Vec<_> =
        chosen.iter().map(|(hash, forced)| format!(r#"{{"h":"{hash}","f":{forced}}}"#)).collect();
    format!(r#"{{"v":1,"torrents":[{}]}}"#, torrents.join(","))
}

fn tags(server: &Server, hash: &str) -> String {
    server.torrent(hash).unwrap()["tags"].as_str().unwrap().to_owned()
}

fn is_forced(server: &Server, hash: &str) -> bool {
    server.torrent(hash).unwrap()["force_start"].as_bool().unwrap()
}

fn pause(server: &Server, hash: &str) {
    server.post("torrents/pause", &[("hashes", hash)]);
    server.wait_for_state(hash, "paused");
}

fn resume(server: &Server, hash: &str) {
    server.post("torrents/resume", &[("hashes", hash)]);
    server.wait_for_state(hash, "stalled");
}

#[tokio::test]
async fn exactly_what_ran_of_the_tracker_is_stopped_and_started_again() {
    let (server, ours, other) = (Server::start(), Tracker::start(), Tracker::start());
    let plain = server.add_one("plain", &[&ours.url()]);
    let forced = server.add_one("forced", &[&other.url(), &ours.url()]);
    let stopped_by_hand = server.add_one("stopped-by-hand", &[&ours.url()]);
    let of_other = server.add_one("of-other", &[&other.url()]);
    server.post("torrents/setForceStart", &[("hashes", &forced), ("value", "true")]);
    server.wait_for_state(&forced, "forced");
    pause(&server, &stopped_by_hand);

    let mut run = Run::new(server.url(), Some(&ours.host()));
    assert_eq!(run.prepare("stop").await, Ok(note(&[(&plain, false), (&forced, true)])));
    // Nothing is changed before that is recorded.
    assert!(server.state(&plain).unwrap().starts_with("stalled"));
    not_started(&run.inspect("stop").await);
    assert_eq!(done(&run.act("stop").await), "stopped 2 torrents");
    for hash in [&plain, &forced] {
        assert_eq!((server.state(hash).unwrap(), tags(&server, hash)), ("pausedDL".into(), TAG.into()));
    }
    assert_eq!(tags(&server, &stopped_by_hand), "");
    assert!(server.state(&of_other).unwrap().starts_with("stalled"));
    assert_eq!(done(&run.inspect("stop").await), "2 torrents are stopped");
    assert_eq!(run.needless("stop-late").await, "nothing to do: step `stop` has stopped them");

    assert_eq!(run.prepare("start").await, Ok(note(&[(&plain, false), (&forced, true)])));
    not_started(&run.inspect("start").await);
    assert_eq!(done(&run.act("start").await), "started 2 torrents, 1 of them forced");
    server.wait_for_state(&plain, "stalled");
    assert!(is_forced(&server, &forced) && !is_forced(&server, &plain));
    for hash in [&plain, &forced] {
        assert_eq!(tags(&server, hash), "");
    }
    assert_eq!(server.state(&stopped_by_hand).unwrap(), "pausedDL");
    assert_eq!(done(&run.inspect("start").await), "2 torrents run");
    let said = run.needless("start").await;
    assert_eq!(said, "nothing to do: of the 2 torrents that were stopped none is to be started");
}

#[tokio::test]
async fn one_that_another_has_just_stopped_is_not_forgotten_to_have_been_forced() {
    let (server, tracker) = (Server::start(), Tracker::start());
    let forced = server.add_one("forced", &[&tracker.url()]);
    for _ in 0..3 {
        server.post("torrents/setForceStart", &[("hashes", &forced), ("value", "true")]);
        server.wait_for_state(&forced, "forced");
        server.post("torrents/pause", &[("hashes", &forced)]);
        // Its lists may or may not show by now that it does not run any more.
        match Run::new(server.url(), None).prepare("stop").await {
            Ok(chosen) => assert_eq!(chosen, note(&[(&forced, true)])),
            Err(over) => assert_eq!(done(&over), "nothing to do: no torrent runs"),
        }
        server.wait_for_state(&forced, "paused");
    }
}

#[tokio::test]
async fn what_people_do_meanwhile_is_left_as_it_is() {
    let (server, tracker) = (Server::start(), Tracker::start());
    let names = ["resumed", "removed", "hands-off", "untouched"];
    let [resumed, removed, hands_off, untouched] = names.map(|name| server.add_one(name, &[&tracker.url()]));
    let mut run = Run::new(server.url(), None);
    assert_eq!(run.run("stop").await, "stopped 4 torrents");

    resume(&server, &resumed);
    server.post("torrents/delete", &[("hashes", &removed), ("deleteFiles", "false")]);
    server.post("torrents/removeTags", &[("hashes", &hands_off), ("tags", TAG)]);
    let later = server.add(&[Torrent::new("later", &[&tracker.url()])], true).remove(0);

    assert_eq!(run.prepare("start").await, Ok(note(&[(&untouched, false)])));
    assert_eq!(done(&run.act("start").await), "started 1 torrent");
    server.wait_for_state(&untouched, "stalled");
    assert_eq!(server.state(&hands_off).unwrap(), "pausedDL");
    assert_eq!(server.state(&later).unwrap(), "pausedDL");
    assert_eq!(tags(&server, &resumed), "");
}

#[tokio::test]
async fn a_qbittorrent_that_is_killed_in_between_changes_nothing() {
    let (mut server, tracker) = (Server::start(), Tracker::start());
    let [one, two, by_hand] = ["one", "two", "by-hand"].map(|name| server.add_one(name, &[&tracker.url()]));
    pause(&server, &by_hand);
    let mut run = Run::new(server.url(), Some(&tracker.host()));
    run.prepare("stop").await.unwrap();
    server.restart();
    assert_eq!(done(&run.act("stop").await), "stopped 2 torrents");
    server.kill();
    let said = run.prepare("start").await.unwrap_err();
    assert_eq!(failed(&said), "qBittorrent cannot be reached: connection refused");
    let said = run.inspect("stop").await;
    assert!(not_started(&said).ends_with("it is done again, which does no harm"), "{said:?}");
    server.restart();
    run.prepare("start").await.unwrap();
    server.restart();
    assert_eq!(done(&run.act("start").await), "started 2 torrents");
    for hash in [&one, &two] {
        server.wait_for_state(hash, "stalled");
    }
    assert_eq!(server.state(&by_hand).unwrap(), "pausedDL");
}

#[tokio::test]
async fn what_an_attempt_had_chosen_stays_chosen_whatever_it_came_to() {
    let (server, tracker) = (Server::start(), Tracker::start());
    let [first, second] = ["first", "second"].map(|name| server.add_one(name, &[&tracker.url()]));
    // An attempt that came as far as the first.
    let mut run = Run::new(server.url(), Some(&tracker.host()));
    run.note("stop", &note(&[(&first, true)]), false);
    pause(&server, &first);
    let both = note(&[(&first, true), (&second, false)]);
    assert_eq!(run.prepare("stop").await, Ok(both.clone()));
    // It never came to anything: another step does what is left.
    run.note("stop", &note(&[(&first, true)]), false);
    assert_eq!(run.prepare("stop-late").await, Ok(both));
    assert_eq!(done(&run.act("stop-late").await), "stopped 1 torrent, 1 did not run any more");
    // Only the second was tagged, so only that is known to be ours.
    assert_eq!(run.prepare("start").await, Ok(note(&[(&second, false)])));
    server.post("torrents/removeTags", &[("hashes", &second), ("tags", TAG)]);
    assert_eq!(run.prepare("start").await, Ok(note(&[(&first, true), (&second, false)])));
    assert_eq!(done(&run.act("start").await), "started 2 torrents, 1 of them forced");
    assert!(is_forced(&server, &first));
}

#[tokio::test]
async fn what_has_the_tag_is_started_although_nobody_remembers_it() {
    let (server, tracker) = (Server::start(), Tracker::start());
    let torrents = ["forgotten", "ours", "by-hand"].map(|name| Torrent::new(name, &[&tracker.url()]));
    let hashes = server.add(&torrents, true);
    let [forgotten, ours, by_hand] = &hashes[..] else { panic!("{hashes:?}") };
    server.post("torrents/addTags", &[("hashes", forgotten), ("tags", TAG)]);
    // Ours could not be tagged.
    let mut run = Run::new(server.url(), None);
    run.note("stop", &note(&[(ours, false)]), true);
    assert_eq!(run.prepare("start").await, Ok(note(&[(ours, false), (forgotten, false)])));
    assert_eq!(done(&run.act("start").await), "started 2 torrents");
    server.wait_for_state(forgotten, "stalled");
    assert_eq!(
        (server.state(by_hand).unwrap(), tags(&server, forgotten)),
        ("pausedDL".into(), String::new())
    );
}

#[tokio::test]
async fn where_nothing_runs_nothing_is_noted() {
    let (server, tracker) = (Server::start(), Tracker::start());
    let hash = server.add(&[Torrent::new("stopped", &[&tracker.url()])], true).remove(0);
    let host = tracker.host();
    let mut run = Run::new(server.url(), Some(&host));
    assert_eq!(run.needless("stop").await, format!("nothing to do: no torrent of {host} runs"));
    assert_eq!(run.needless("start").await, "nothing to do: no torrent was stopped");
    assert_eq!(Run::new(server.url(), None).needless("stop").await, "nothing to do: no torrent runs");
    // Never without having noted it.
    for (name, verb) in [("stop", "stopped"), ("start", "started")] {
        let said = run.act(name).await;
        let wanted = format!("which torrents are to be {verb} was not noted before: none was");
        assert_eq!(failed(&said), wanted);
    }
    assert_eq!(server.state(&hash).unwrap(), "pausedDL");
}

#[tokio::test]
async fn a_silent_qbittorrent_fails_the_attempt_in_time() {
    let mut server = Server::start();
    let hash = server.add_one("one", &[]);
    let mut run = Run::new(server.url(), None);
    run.prepare("stop").await.unwrap();
    server.pause();
    let limit = Duration::from_secs(2);
    let begun = tokio::time::Instant::now();
    let said = run.bench("stop").act(&run.order("stop"), limit).await;
    assert!(failed(&said).starts_with("qBittorrent cannot be reached"), "{said:?}");
    let said = run.bench("stop").prepare(&run.order("stop"), limit).await;
    assert!(matches!(&said, Prepared::Over(Outcome::Failed { .. })), "{said:?}");
    assert!(begun.elapsed() < limit * 3, "{:?}", begun.elapsed());
    server.resume();
    assert_eq!(done(&run.act("stop").await), "stopped 1 torrent");
    assert_eq!(server.state(&hash).unwrap(), "pausedDL");
}

#[tokio::test]
async fn the_port_is_opened_anew_and_stays_the_same() {
    let server = Server::start();
    let port = server.listen_port();
    let opened = || {
        let log = server.json("log/main?last_known_id=-1");
        let entries = log.as_array().unwrap().iter().filter_map(|entry| entry["message"].as_str());
        let tcp: Vec<String> = entries
            .filter(|text| text.starts_with("Successfully listening"))
            .filter_map(|text| text.split_once("TCP/"))
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect())
            .collect();
        tcp
    };
    let mut run = Run::new(server.url(), None);
    let noted = run.prepare("bounce").await.unwrap();
    assert_eq!(noted, format!(r#"{{"v":1,"port":{port}}}"#));
    assert_eq!(done(&run.act("bounce").await), format!("port {port} was closed and opened again"));
    assert_eq!(opened(), [port, port + 1, port].map(|port| port.to_string()));
    // An attempt that came no further than half of it.
    server.post("app/setPreferences", &[("json", &format!(r#"{{"listen_port":{}}}"#, port + 1))]);
    not_started(&run.inspect("bounce").await);
    assert_eq!(run.prepare("bounce").await, Ok(noted));
    done(&run.act("bounce").await);
    assert_eq!(server.json("app/preferences")["listen_port"], port);
    // Somebody gave it another one meanwhile.
    server.post("app/setPreferences", &[("json", &format!(r#"{{"listen_port":{}}}"#, port + 7))]);
    assert_eq!(run.prepare("bounce").await, Ok(format!(r#"{{"v":1,"port":{}}}"#, port + 7)));
}

#[tokio::test]
async fn many_torrents_are_told_in_chunks_by_the_names_of_their_version() {
    let server = Modern::start();
    server.with(|told| {
        for number in 0..1_201 {
            let state = if number % 400 == 0 { "forcedUP" } else { "stalledUP" };
            told.states.insert(format!("{number:040x}"), state.to_owned());
        }
    });
    let calls = || {
        server.with(|told| {
            let (calls, sizes) = (std::mem::take(&mut told.calls), std::mem::take(&mut told.sizes));
            calls.into_iter().zip(sizes).map(|(call, size)| format!("{call} {size}")).collect::<Vec<_>>()
        })
    };
    let mut run = Run::new(server.url(), None);
    assert_eq!(run.run("stop").await, "stopped 1201 torrents");
    let chunks = |call: &str, sizes: [usize; 3]| sizes.map(|size| format!("torrents/{call} {size}"));
    assert_eq!(calls(), [chunks("addTags", [500, 500, 201]), chunks("stop", [500, 500, 201])].concat());
    assert_eq!(run.run("start").await, "started 1201 torrents, 4 of them forced");
    let mut wanted = chunks("start", [500, 500, 197]).to_vec();
    wanted.push("torrents/setForceStart 4".to_owned());
    wanted.extend(chunks("reannounce", [500, 500, 201]));
    wanted.extend(chunks("removeTags", [500, 500, 201]));
    assert_eq!(calls(), wanted);
}

#[tokio::test]
async fn neither_passkey_nor_password_is_in_notes_and_outcomes_and_logged() {
    let heard = Heard::default();
    let _listening = heard.listen();
    let (server, tracker) = (Server::start(), Tracker::start());
    server.add_one("one", &[&tracker.url()]);
    let mut run = Run::new(server.url(), Some(&tracker.host()));
    let mut shown = Vec::new();
    for name in ["stop", "start", "bounce"] {
        shown.push(run.prepare(name).await.unwrap());
        shown.push(format!("{:?} {:?}", run.act(name).await, run.inspect(name).await));
    }
    shown.push(heard.text());
    let shown = shown.join(" ");
    assert!(shown.contains("message=acting"), "{shown}");
    assert!(shown.contains("stopped 1 torrent") && shown.contains("started 1 torrent"), "{shown}");
    for secret in [tracker.passkey(), PASSWORD, "/announce"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}
