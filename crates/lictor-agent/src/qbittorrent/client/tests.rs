//! Against a stand-in for 5.2; the real one of another version is asked by the integration tests.

use std::path::Path;

use lictor_config::{Secret, Tls};
use lictor_testkit::qbittorrent::{Modern, PASSWORD, USER};
use serde_json::json;

use super::super::Sessions;
use super::*;

const SOON: Duration = Duration::from_secs(10);

fn api(server: &Modern, password: &str) -> QbittorrentApi {
    QbittorrentApi {
        url: server.url().parse().unwrap(),
        user: USER.into(),
        password: Some(Secret::value(password)),
        api_key: None,
        host: None,
        tls: Tls::default(),
    }
}

fn client(server: &Modern, password: &str) -> Arc<Client> {
    Sessions::new(None).client(&api(server, password))
}

/// One look: how many torrents there are, or what stands in the way.
async fn look(client: &Client) -> Result<usize, Problem> {
    client.picture(Fresh::Changes, Instant::now() + SOON).await.map(|picture| picture.len())
}

async fn barred(client: &Client) -> String {
    match look(client).await {
        Err(Problem::Barred(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn hash(n: usize) -> String {
    format!("{n:040x}")
}

fn hashes(count: usize) -> Vec<Hash> {
    (0..count).map(|n| Hash::new(&hash(n)).unwrap()).collect()
}

#[tokio::test]
async fn a_session_is_made_once_and_again_when_the_server_has_lost_it() {
    let server = Modern::start();
    let client = client(&server, PASSWORD);
    for _ in 0..3 {
        assert_eq!(look(&client).await, Ok(0));
    }
    assert_eq!(server.with(|told| (told.logins, told.host.clone())), (1, server.address().ip().to_string()));
    server.stop();
    assert!(matches!(look(&client).await, Err(Problem::Down(why)) if why.ends_with("connection refused")));
    server.again();
    server.with(|told| told.states.insert(hash(1), "stalledUP".into()));
    assert_eq!(look(&client).await, Ok(1));
    assert_eq!(server.with(|told| (told.logins, told.wrong_logins)), (2, 0));
}

#[tokio::test]
async fn all_who_ask_share_one_session() {
    let server = Modern::start();
    let sessions = Sessions::new(None);
    let (one, two) = (sessions.client(&api(&server, PASSWORD)), sessions.client(&api(&server, PASSWORD)));
    let (one, two) = tokio::join!(look(&one), look(&two));
    assert_eq!((one, two), (Ok(0), Ok(0)));
    assert_eq!(server.with(|told| told.logins), 1);
}

async fn refused_with(dir: &Path, server: &Modern, password: &str, looks: usize) -> String {
    let sessions = Sessions::new(Some(dir.to_owned()));
    let mut said = String::new();
    for _ in 0..looks {
        // The watcher's and the action's.
        said = barred(&sessions.client(&api(server, password))).await;
    }
    said
}

#[tokio::test]
async fn a_wrong_password_is_sent_twice_however_many_look_and_over_restarts() {
    let (server, dir) = (Modern::start(), tempfile::tempdir().unwrap());
    assert_eq!(
        refused_with(dir.path(), &server, "wrong-1", 1).await,
        "qBittorrent refuses user and password"
    );
    let said = refused_with(dir.path(), &server, "wrong-1", 20).await;
    assert!(said.contains("not tried again before the password configured here is another one"), "{said}");
    assert_eq!(server.with(|told| told.wrong_logins), 2);
    refused_with(dir.path(), &server, "wrong-2", 20).await;
    assert_eq!(server.with(|told| (told.wrong_logins, told.banned)), (4, false));
    let right = Sessions::new(Some(dir.path().to_owned())).client(&api(&server, PASSWORD));
    assert_eq!(look(&right).await, Ok(0));
}

#[tokio::test]
async fn who_is_banned_waits() {
    let server = Modern::start();
    server.with(|told| told.banned = true);
    let client = client(&server, PASSWORD);
    for _ in 0..5 {
        let said = barred(&client).await;
        assert!(said.starts_with("qBittorrent has banned our address") && said.contains("1h"), "{said}");
    }
    assert_eq!(server.with(|told| told.logins), 1);
}

#[tokio::test]
async fn no_password_is_sent_to_what_is_no_qbittorrent_or_does_not_know_our_host() {
    let server = Modern::start();
    let client = client(&server, PASSWORD);
    let refuse = |status: u16, text: &str| server.with(|told| told.refusal = Some((status, text.to_owned())));
    refuse(401, "Unauthorized");
    let host = server.address().ip();
    assert!(barred(&client).await.contains(&format!("refuses the host name `{host}`")));
    refuse(200, "<html>a page</html>");
    assert!(barred(&client).await.contains("is no qBittorrent"));
    refuse(404, "nothing here");
    assert!(barred(&client).await.contains("is no qBittorrent"));
    refuse(302, "");
    assert!(barred(&client).await.contains("leads elsewhere"));
    refuse(502, "bad gateway");
    assert!(matches!(look(&client).await, Err(Problem::Down(why)) if why.contains("status 502")));
    assert_eq!(server.with(|told| told.logins), 0);
    server.with(|told| told.refusal = None);
    assert_eq!(look(&client).await, Ok(0));
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_no_outage() {
    let server = Modern::start();
    let client = client(&server, PASSWORD);
    assert_eq!(look(&client).await, Ok(0));
    server.with(|told| told.refusal = Some((200, "<html>".into())));
    assert!(barred(&client).await.contains("sync/maindata cannot be read"));
}

#[tokio::test]
async fn an_api_key_needs_no_session() {
    let server = Modern::start();
    let with = |key: &str| QbittorrentApi {
        password: None,
        api_key: Some(Secret::value(key)),
        host: Some("qbt.example".into()),
        ..api(&server, "")
    };
    let sessions = Sessions::new(None);
    assert_eq!(look(&sessions.client(&with(server.api_key()))).await, Ok(0));
    assert_eq!(server.with(|told| (told.logins, told.host.clone())), (0, "qbt.example".into()));
    let said = barred(&sessions.client(&with("qbt_wrong"))).await;
    assert_eq!(said, "qBittorrent does not take the API key (status 403)");
}

#[tokio::test]
async fn without_a_password_nobody_logs_in() {
    let server = Modern::start();
    let api = QbittorrentApi { password: None, ..api(&server, "") };
    let said = barred(&Sessions::new(None).client(&api)).await;
    assert_eq!(said, "qBittorrent wants a login, and no password is configured");
    assert_eq!(server.with(|told| told.logins), 0);
}

#[tokio::test]
async fn a_thousand_torrents_are_told_in_chunks() {
    let server = Modern::start();
    let client = client(&server, PASSWORD);
    let until = Instant::now() + SOON;
    client.change(Change::Stop, &hashes(1_201), until).await.unwrap();
    client.change(Change::Tag("ours"), &hashes(500), until).await.unwrap();
    client.change(Change::Stop, &[], until).await.unwrap();
    let (calls, sizes) = server.with(|told| (told.calls.clone(), told.sizes.clone()));
    assert_eq!(calls, ["torrents/stop", "torrents/stop", "torrents/stop", "torrents/addTags"]);
    assert_eq!(sizes, [500, 500, 201, 500]);
}

/// The calls that stop and start two torrents.
async fn calls(api_version: &str, old_names: bool) -> Vec<String> {
    let server = Modern::start();
    server.with(|told| (told.api_version, told.old_names) = (Some(api_version.into()), old_names));
    let client = client(&server, PASSWORD);
    let until = Instant::now() + SOON;
    for change in [Change::Stop, Change::Start, Change::Force, Change::Reannounce] {
        client.change(change, &hashes(2), until).await.unwrap();
    }
    server.with(|told| std::mem::take(&mut told.calls))
}

#[tokio::test]
async fn calls_have_the_names_of_the_version_and_if_need_be_those_of_others() {
    let rest = ["torrents/setForceStart", "torrents/reannounce"];
    let old = [["torrents/pause", "torrents/resume"], rest].concat();
    let new = [["torrents/stop", "torrents/start"], rest].concat();
    assert_eq!(calls("2.8.19", true).await, old);
    assert_eq!(calls("2.9.3", true).await, old);
    assert_eq!(calls("2.11.0", false).await, new);
    assert_eq!(calls("2.15.1", false).await, new);
    // Versions of others that went their own way.
    assert_eq!(calls("2.11.0", true).await, old);
    assert_eq!(calls("2.9.3", false).await, new);
}

#[tokio::test]
async fn an_answer_that_was_lost_takes_no_change_with_it() {
    let server = Modern::start();
    let client = client(&server, PASSWORD);
    server.with(|told| told.states.insert(hash(1), "stalledUP".into()));
    assert_eq!(look(&client).await, Ok(1));
    server.stop();
    assert!(look(&client).await.is_err());
    server.again();
    // What is told next is everything: the stand-in leaves trackers out of what has changed.
    server.with(|told| told.trackers.insert("http://a.example/x".into(), vec![hash(1)]));
    let picture = client.picture(Fresh::Changes, Instant::now() + SOON).await.unwrap();
    assert_eq!(picture.of_tracker(&super::super::TrackerName::new("a.example")).len(), 1);
}

#[tokio::test]
async fn nothing_that_is_secret_is_shown() {
    let server = Modern::start();
    let client = client(&server, PASSWORD);
    server.with(|told| {
        told.states.insert(hash(1), "stalledUP".into());
        told.trackers.insert("http://a.example/a-passkey/announce".into(), vec![hash(1)]);
        told.server_state.insert("last_external_address_v4".into(), json!("198.51.100.7"));
    });
    assert_eq!(look(&client).await, Ok(1));
    let rows = client.trackers(&hashes(2)[1], Instant::now() + SOON).await.unwrap().unwrap();
    let shown = format!("{client:?} {rows:?}");
    assert!(shown.contains("a.example") && shown.contains("198.51.100.7"), "{shown}");
    for secret in [PASSWORD, "a-passkey", "QBT_SID_8080="] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}
