//! The Redis watcher and action against a real Redis.
#![cfg(test)]

use lictor_core::{Sample, Value};
use lictor_testkit::redis::{Options, Redis};

use crate::watch_rig::{Rig, number, told};
use crate::whole_rig::{Whole, certificates, watch_of};

/// An attribute for the address of a server.
fn at(redis: &Redis) -> String {
    format!("  address = \"{}\"\n", redis.address())
}

fn block(lines: &str) -> String {
    format!("watch \"redis\" \"x\" {{\n{lines}\n}}\n")
}

async fn sample(rig: &Rig, lines: &str) -> Sample {
    rig.sample(&watch_of(&block(lines))).await
}

async fn see(rig: &Rig, lines: &str) -> String {
    told(&sample(rig, lines).await)
}

fn text(sample: &Sample, name: &str) -> Option<String> {
    match sample.value(&name.parse().unwrap()) {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(Value::Number(_)) | None => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_read_as_what_it_is() {
    let redis = Redis::start();
    let rig = Rig::new();
    let look = async |lines: &str| sample(&rig, &format!("{}{lines}", at(&redis))).await;
    let ping = look("").await;
    assert!(
        told(&ping).starts_with(&format!("passing: the Redis at {} answered in ", redis.address())),
        "{ping:?}"
    );

    let missing = look("key = \"base:stateCode\"").await;
    assert_eq!(
        (told(&missing).as_str(), number(&missing, "exists")),
        ("unknown: `base:stateCode` is not there", Some(0.0))
    );
    assert!(told(&look("key = \"k\"\nmissing = \"passing\"").await).starts_with("passing: "));
    assert!(told(&look("key = \"k\"\ncommand = \"EXISTS\"").await).starts_with("critical: "));

    redis.give(&["SET", "base:stateCode", "1200"]);
    let number_ = look("key = \"base:stateCode\"\ncritical = \"> 2000\"").await;
    assert_eq!(
        (told(&number_).as_str(), number(&number_, "value")),
        ("passing: `base:stateCode` is `1200`", Some(1_200.0))
    );
    redis.give(&["SET", "base:stateCode", "2500"]);
    assert_eq!(
        told(&look("key = \"base:stateCode\"\ncritical = \"> 2000\"").await),
        "critical: `base:stateCode` is `2500`, which is > 2000"
    );
    redis.give(&["SET", "name", "a \u{1b}[31mword\n"]);
    let word = look("key = \"name\"").await;
    assert_eq!(
        (told(&word).as_str(), text(&word, "value").as_deref()),
        (r"passing: `name` is `a \u{1b}[31mword`", Some("a \\u{1b}[31mword\n"))
    );
    assert_eq!(told(&look("key = \"name\"\ncommand = \"EXISTS\"").await), "passing: `name` is there");

    // The states of the replaced supervisor: the worst one leads.
    redis.give(&["ZADD", "base:descriptionCode", "1200", "1200"]);
    redis.give(&["ZADD", "base:descriptionCode", "2300", "2300"]);
    let highest =
        look("key = \"base:descriptionCode\"\ncommand = \"ZREVRANGE\"\ncritical = \"> 2000\"").await;
    assert_eq!(
        told(&highest),
        "critical: the highest of `base:descriptionCode` is `2300` with 2300, which is > 2000"
    );
    assert_eq!((number(&highest, "value"), number(&highest, "score")), (Some(2_300.0), Some(2_300.0)));
    let lowest = look("key = \"base:descriptionCode\"\ncommand = \"ZRANGE\"").await;
    assert_eq!(number(&lowest, "value"), Some(1_200.0));
    let empty = look("key = \"nothing\"\ncommand = \"ZRANGE\"").await;
    assert_eq!(told(&empty), "unknown: `nothing` is not there");
    redis.give(&["RPUSH", "queue", "a", "b", "c"]);
    let queue = look("key = \"queue\"\ncommand = \"LLEN\"\nwarning = \"> 2\"").await;
    assert_eq!(told(&queue), "warning: `queue` has 3 elements, which is > 2");

    let wrong = told(&look("key = \"base:descriptionCode\"").await);
    assert!(
        wrong.starts_with(&format!("unknown: the Redis at {}: it says WRONGTYPE ", redis.address())),
        "{wrong}"
    );
    assert!(wrong.ends_with("the key holds something that this command is not for"), "{wrong}");
    // Another database, and the socket.
    assert_eq!(
        told(&look("key = \"name\"\ndatabase = 3\nmissing = \"warning\"").await),
        "warning: `name` is not there"
    );
    assert!(
        told(&look("key = \"name\"\ndatabase = 99").await).contains("it says ERR DB index is out of range")
    );
    let socket = see(&rig, &format!("socket = \"{}\"", redis.socket().display())).await;
    assert!(socket.starts_with("passing: "), "{socket}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_logs_in_and_is_told_why_when_it_is_not_let_in() {
    let lines = "requirepass for-all-of-them\nuser reader on >for-the-reader ~public:* +get";
    let redis = Redis::with(&Options { lines: lines.to_owned(), ..Options::default() });
    redis.give(&["SET", "public:k", "1"]);
    redis.give(&["SET", "secret:k", "1"]);
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    let see = async |password: &str, lines: &str| {
        std::fs::write(&file, password).unwrap();
        let password = format!("{}password_file = \"{}\"\n{lines}", at(&redis), file.display());
        let said = see(&rig, &password).await;
        assert!(!said.contains("for-all-of-them") && !said.contains("for-the-reader"), "{said}");
        said.replace(&redis.address().to_string(), "HERE")
    };
    assert_eq!(see("for-all-of-them", "key = \"public:k\"").await, "passing: `public:k` is `1`");
    assert_eq!(
        see("for-the-reader", "user = \"reader\"\nkey = \"public:k\"").await,
        "passing: `public:k` is `1`"
    );
    let forbidden = see("for-the-reader", "user = \"reader\"\nkey = \"secret:k\"").await;
    assert!(
        forbidden.starts_with("unknown: the Redis at HERE: it says NOPERM ") && forbidden.contains("ACL"),
        "{forbidden}"
    );
    let wrong = see("another", "").await;
    assert!(wrong.starts_with("unknown: the Redis at HERE: it says WRONGPASS "), "{wrong}");
    let without = self::see(&rig, &at(&redis)).await;
    assert!(
        without
            .ends_with("it says NOAUTH Authentication required.: it wants a password, see `password_file`"),
        "{without}"
    );
    std::fs::remove_file(&file).unwrap();
    let unread = self::see(&rig, &format!("{}password_file = \"{}\"", at(&redis), file.display())).await;
    assert!(unread.starts_with("unknown: ") && unread.contains("password"), "{unread}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls() {
    let (authority, certificate, key) = certificates("redis.test");
    let options = Options { tls: Some((certificate, key, authority.clone())), ..Options::default() };
    let redis = Redis::with(&options);
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let rig = Rig::new();
    let tls = format!("{}ca_file = \"{}\"\n", at(&redis), ca.display());
    let fine = see(&rig, &format!("{tls}server_name = \"redis.test\"")).await;
    assert!(fine.starts_with("passing: "), "{fine}");
    let other = see(&rig, &format!("{tls}server_name = \"other.test\"")).await;
    assert!(other.starts_with("critical: ") && other.contains("certificate"), "{other}");
    let plain = see(&rig, &at(&redis)).await;
    assert!(plain.starts_with("critical: "), "what does not speak TLS is not answered: {plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_away_or_hangs_is_critical_and_comes_back() {
    let mut redis = Redis::start();
    redis.give(&["SET", "k", "1"]);
    let rig = Rig::new();
    let lines = format!("{}key = \"k\"\ntimeout = \"500ms\"", at(&redis));
    assert_eq!(see(&rig, &lines).await, "passing: `k` is `1`");
    redis.pause();
    let hung = see(&rig, &lines).await;
    assert!(hung.starts_with("critical: ") && hung.contains("the answer of"), "{hung}");
    redis.resume();
    redis.kill();
    let away = see(&rig, &lines).await;
    assert!(away.starts_with("critical: ") && away.contains("refused"), "{away}");
    redis.restart();
    assert_eq!(see(&rig, &lines).await, "passing: `k` is `1`");
}

/// The last step of a sync: the clearnet is switched off when a key says so, and the state is told in a
/// sorted set.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_guards_a_remedy_that_writes_others() {
    let mut redis = Redis::start();
    let here = at(&redis);
    let mut agent = Whole::start(&format!(
        r#"
watch "redis" "clearnet" {{
{here}
  key     = "bitcoind:ibd-clearnet"
  every   = "200ms"
  missing = "passing"
}}
watch "webhook" "sync" {{
  format  = "json"
  pointer = "/state"
}}
remedy "finished" {{
  on       = check.sync == "critical"
  guard    = value.clearnet.value == 1
  cooldown = "0s"
  defer    = false
  step "state" {{
    act "redis" {{
{here}
      command = ["ZADD", "base:descriptionCode", "2300", "member with \"quotes\" $(x)"]
    }}
  }}
  step "clearnet" {{
    act "redis" {{
{here}
      command = ["SET", "bitcoind:ibd-clearnet", "0"]
    }}
  }}
}}
"#
    ))
    .await;
    let says = async |agent: &Whole, word: &str| {
        let (status, said) =
            agent.ask("POST", "/v1/webhook/sync", "", &format!("{{\"state\": \"{word}\"}}")).await;
        assert_eq!(status, 200, "{said}");
    };
    // The key is not there: the guard does not hold.
    agent.until_check("clearnet", |said| said.ends_with("is not there")).await;
    says(&agent, "down").await;
    agent.until_events("suppressed", 1).await;
    says(&agent, "up").await;
    agent.until_check("sync", |said| said.starts_with("passing")).await;
    redis.give(&["SET", "bitcoind:ibd-clearnet", "1"]);
    agent.until_check("clearnet", |said| said.ends_with("is `1`")).await;
    says(&agent, "down").await;
    let ended = agent.until_events("run_ended", 1).await;
    assert!(ended[0].contains("done"), "{ended:?}");
    assert_eq!(redis.give(&["GET", "bitcoind:ibd-clearnet"]), "0");
    assert_eq!(redis.give(&["ZSCORE", "base:descriptionCode", "member with \"quotes\" $(x)"]), "2300");
    // It is 0 now, so nothing is done again.
    says(&agent, "up").await;
    agent.until_check("sync", |said| said.starts_with("passing")).await;
    agent.until_check("clearnet", |said| said.ends_with("is `0`")).await;
    says(&agent, "down").await;
    agent.until_events("suppressed", 2).await;
    // A Redis that is away is no guard that holds.
    redis.kill();
    agent.until_check("clearnet", |said| said.starts_with("critical")).await;
    says(&agent, "up").await;
    agent.until_check("sync", |said| said.starts_with("passing")).await;
    says(&agent, "down").await;
    agent.until_events("suppressed", 3).await;
    assert_eq!(agent.events("run_started").await.len(), 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_refused_has_failed_and_of_one_without_an_answer_nobody_knows() {
    let mut redis = Redis::start();
    redis.give(&["SET", "k", "a word"]);
    let here = at(&redis);
    let mut agent = Whole::start(&format!(
        r#"
watch "webhook" "say" {{
  format  = "json"
  pointer = "/state"
}}
rule "wrong" {{
  on       = check.say == "critical"
  cooldown = "0s"
  defer    = false
  timeout  = "1s"
  act "redis" {{
{here}
    command = ["ZADD", "k", "1", "m"]
  }}
}}
"#
    ))
    .await;
    let say = async |agent: &Whole, word: &str| {
        agent.ask("POST", "/v1/webhook/say", "", &format!("{{\"state\": \"{word}\"}}")).await;
    };
    say(&agent, "down").await;
    let outcomes = agent.until_events("outcome", 1).await;
    assert!(outcomes[0].contains("failed") && outcomes[0].contains("WRONGTYPE"), "{outcomes:?}");
    agent.until_events("run_ended", 1).await;
    assert_eq!(redis.give(&["GET", "k"]), "a word");
    // Away, it was certainly never sent.
    redis.kill();
    say(&agent, "up").await;
    say(&agent, "down").await;
    let outcomes = agent.until_events("outcome", 2).await;
    assert!(outcomes[1].contains("failed: was never sent: cannot connect to "), "{outcomes:?}");
    agent.until_events("run_ended", 2).await;
    // Frozen, it takes the connection and never answers: it was sent, so it may yet be done.
    redis.restart();
    redis.pause();
    say(&agent, "up").await;
    say(&agent, "down").await;
    let outcomes = agent.until_events("outcome", 3).await;
    assert!(
        outcomes[2].contains("no answer within 1.0 s") && !outcomes[2].contains("failed"),
        "{outcomes:?}"
    );
    agent.stop().await;
}
