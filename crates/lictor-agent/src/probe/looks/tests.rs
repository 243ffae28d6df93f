#![expect(clippy::disallowed_methods, reason = "the servers of these tests are slow")]

use std::sync::{Mutex, PoisonError};

use lictor_testkit::service::{Answer, Fault, Service, faulty};

use super::*;
use crate::probe::PATIENCE;

const TIMEOUT: Duration = Duration::from_secs(60);

fn looks(urls: &[&str], looking: Looking, timeout: Duration) -> Arc<Looks> {
    let targets = urls.iter().map(|url| Target::written(url)).collect();
    Arc::new(Looks::new(targets, looking, timeout, Arc::new(|_, _| {}), Tasks::new()))
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn codes(entries: &[Entry]) -> Vec<u16> {
    entries.iter().map(|entry| entry.code).collect()
}

#[tokio::test]
async fn urls_stand_in_their_order_as_they_were_written() {
    let good = Service::answering(vec![Answer::new(200, "")]);
    let moved = Service::answering(vec![Answer::new(302, "").with("Location", good.url())]);
    let bad = Service::answering(vec![Answer::new(500, "")]);
    let gone = Service::answering(vec![Answer::new(200, "")]);
    gone.stop();
    let urls = [moved.url(), good.url(), bad.url(), gone.url(), "ftp://x/".to_owned(), "%".to_owned()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let entries = looks(&urls, Looking::OnDemand(Duration::ZERO), TIMEOUT).entries(soon()).await;
    assert_eq!(codes(&entries), [302, 200, 500, 0, 0, 0]);
    assert_eq!(entries.iter().map(|entry| entry.url.as_str()).collect::<Vec<_>>(), urls);
    assert_eq!(good.calls().len(), 1, "a redirect is not followed");
    assert!(entries[1].took > Duration::ZERO && entries[3].took == Duration::ZERO);
}

#[tokio::test]
async fn who_asks_at_once_shares_one_look() {
    let slow = Service::start(|_| {
        std::thread::sleep(Duration::from_millis(300));
        Answer::new(200, "")
    });
    let looks = looks(&[&slow.url()], Looking::OnDemand(Duration::ZERO), TIMEOUT);
    let all = futures::future::join_all((0..50).map(|_| looks.entries(soon()))).await;
    assert!(all.iter().all(|entries| codes(entries) == [200]));
    assert_eq!(slow.calls().len(), 1);
    assert_eq!(codes(&looks.entries(soon()).await), [200]);
    assert_eq!(slow.calls().len(), 2, "on demand the next one is looked at anew");
}

#[tokio::test]
async fn a_result_that_is_fresh_is_not_looked_for_again() {
    let good = Service::answering(vec![Answer::new(200, "")]);
    let looks = looks(&[&good.url()], Looking::OnDemand(Duration::from_secs(3_600)), TIMEOUT);
    for _ in 0..5 {
        assert_eq!(codes(&looks.entries(soon()).await), [200]);
    }
    assert_eq!(good.calls().len(), 1);
}

#[tokio::test]
async fn a_url_that_hangs_costs_nobody_the_answer() {
    let good = Service::answering(vec![Answer::new(204, "")]);
    let hangs = format!("http://{}/", faulty(Fault::Hangs));
    let looks = looks(&[&hangs, &good.url()], Looking::OnDemand(Duration::ZERO), TIMEOUT);
    let begun = Instant::now();
    assert_eq!(codes(&looks.entries(soon()).await), [0, 204]);
    assert!(
        (PATIENCE..PATIENCE + Duration::from_millis(900)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn more_urls_that_hang_than_are_looked_at_at_once_hide_no_other() {
    let good = Service::answering(vec![Answer::new(200, "")]);
    let hangs = format!("http://{}/", faulty(Fault::Hangs));
    let mut urls = vec![hangs.as_str(); AT_ONCE + 50];
    let url = good.url();
    urls.push(&url);
    let looks = looks(&urls, Looking::OnDemand(Duration::ZERO), Duration::from_millis(500));
    let entries = looks.entries(soon()).await;
    assert_eq!(entries.last().map(|entry| entry.code), Some(200));
    assert!(entries[..AT_ONCE + 50].iter().all(|entry| entry.code == 0));
}

#[tokio::test]
async fn in_the_background_an_answer_waits_for_nothing() {
    let answers = Mutex::new(0);
    let service = Service::start(move |_| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers += 1;
        // It hangs from its second answer on.
        if *answers > 1 {
            std::thread::sleep(Duration::from_secs(3));
        }
        Answer::new(200, "")
    });
    let looks = looks(&[&service.url()], Looking::Every(Duration::from_millis(200)), Duration::from_secs(1));
    let keep = looks.keep();
    let asks = async {
        assert_eq!(codes(&looks.entries(soon()).await), [200]);
        // The look that hangs is seen when its time is over, and each answer comes at once.
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            let entries = looks.entries(soon()).await;
            assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
            if codes(&entries) == [0] {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "it is never seen to hang");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! { () = keep => panic!("it stopped looking"), () = asks => {} }
}

#[tokio::test]
async fn a_look_that_was_given_up_can_be_made_again() {
    let tasks = Tasks::new();
    let hangs = format!("http://{}/", faulty(Fault::Hangs));
    let looks = Looks::new(
        vec![Target::written(&hangs)],
        Looking::OnDemand(Duration::ZERO),
        TIMEOUT,
        Arc::new(|_, _| {}),
        tasks.clone(),
    );
    let (entries, ()) = tokio::join!(looks.entries(soon()), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        tasks.drain(Duration::from_secs(5)).await;
    });
    assert_eq!(codes(&entries), [0]);
    assert!(!looks.slots[0].state.borrow().running);
}

#[test]
fn a_url_is_shown_as_written_but_for_its_password() {
    let shown = |text: &str| Target::written(text).shown;
    assert_eq!(shown("http://host"), "http://host");
    assert_eq!(shown("host:8080/health"), "host:8080/health");
    assert_eq!(shown("http://user:secret@host/x"), "http://user@host/x");
    assert_eq!(Target::written("host:8080/x").url.unwrap().as_str(), "http://host:8080/x");
    assert_eq!(Target::from(Url::parse("http://u:p@h/").unwrap()).shown, "http://u@h/");
}

#[tokio::test]
async fn each_look_is_told_of() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let tell: Told = Arc::new(move |url, code| kept.lock().unwrap().push((url.to_owned(), code)));
    let good = Service::answering(vec![Answer::new(200, "")]);
    let targets = vec![Target::written(&good.url())];
    Looks::new(targets, Looking::OnDemand(Duration::ZERO), TIMEOUT, tell, Tasks::new()).entries(soon()).await;
    assert_eq!(*told.lock().unwrap(), [(good.url(), 200)]);
}

#[test]
fn a_password_is_never_shown() {
    for (written, shown) in [
        ("http://ann:geheim@x/a", "http://ann@x/a"),
        ("ann:geheim@x", "http://ann@x/"),
        ("ftp://ann:geheim@x/a", "ftp://ann@x/a"),
        ("http://ann:geheim@x:99999/", "http://ann@x:99999/"),
        ("http://ann:geh/eim@x", "http://ann@x"),
        ("http://ann:geh@eim@x:99999", "http://ann@x:99999"),
        ("http://:geheim@", "http://@"),
        ("ann:geh://eim@x", "ann@x"),
        ("ftp://ann@x", "ftp://ann@x"),
        ("ftp://x:1/a:b", "ftp://x:1/a:b"),
    ] {
        assert_eq!(Target::written(written).shown, shown, "{written}");
    }
}
