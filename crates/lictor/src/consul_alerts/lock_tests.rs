use lictor_consul::{Config, Session};
use lictor_testkit::consul::{Options, Server};

use super::*;

/// The longest that anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn server() -> (Server, Client) {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    let config = Config { address: server.url().parse().unwrap(), ..Config::default() };
    (server, Client::new(config).unwrap())
}

struct Held {
    lock: Lock,
    ends: JoinHandle<()>,
    _tasks: Tasks,
}

fn lock(client: &Client) -> Held {
    let (tasks, (_, unwritten)) = (Tasks::new(), watch::channel(0));
    let (lock, ends) = Lock::start(client, unwritten, &tasks);
    Held { lock, ends, _tasks: tasks }
}

impl Held {
    async fn until(&self, held: bool) {
        let mut changes = self.lock.changes();
        timeout(LONG, changes.wait_for(|now| *now == held)).await.unwrap().unwrap();
        assert_eq!(self.lock.holds(), held);
    }

    async fn until_said(&self, part: &str) {
        let mut changes = self.lock.changes();
        while !self.lock.other().contains(part) {
            timeout(LONG, changes.changed()).await.unwrap().unwrap();
        }
    }
}

async fn key(client: &Client) -> Option<Pair> {
    let answer = client.kv().get("consul-alerts/leader", &Query::new().consistent()).await;
    answer.unwrap().value
}

async fn session(client: &Client) -> SessionId {
    client.session().create(&NewSession::default()).await.unwrap()
}

async fn acquired(client: &Client, session: &SessionId, flags: u64) -> bool {
    let put = Put { flags, guard: Condition::Acquire(session.clone()) };
    client.kv().put_with("consul-alerts/leader", "", &put).await.unwrap()
}

#[tokio::test]
async fn it_is_taken_as_the_old_program_takes_it_and_gone_when_it_is_not_wanted() {
    let (_server, client) = server();
    let held = lock(&client);
    held.lock.want(true);
    held.until(true).await;
    let pair = key(&client).await.unwrap();
    assert_eq!((pair.flags, pair.value.len()), (3_304_740_253_564_472_344, 0));
    let sessions = client.session().list(&Query::new()).await.unwrap().value;
    let [Session { id, name, ttl, .. }] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((Some(id), name.as_str(), *ttl), (pair.session.as_ref(), "Consul API Lock", Some(TTL)));

    held.lock.want(false);
    held.until(false).await;
    held.lock.end();
    timeout(LONG, held.ends).await.unwrap().unwrap();
    assert_eq!(key(&client).await, None);
    assert!(client.session().list(&Query::new()).await.unwrap().value.is_empty());
}

#[tokio::test]
async fn another_holder_is_waited_for() {
    let (_server, client) = server();
    let other = session(&client).await;
    assert!(acquired(&client, &other, LEADER_FLAGS).await);
    let held = lock(&client);
    held.lock.want(true);
    held.until_said("an instance on the node `n1` holds `consul-alerts/leader`").await;
    assert!(!held.lock.holds());
    let put = Put { flags: LEADER_FLAGS, guard: Condition::Release(other) };
    assert!(client.kv().put_with("consul-alerts/leader", "", &put).await.unwrap());
    held.until(true).await;
}

#[tokio::test]
async fn what_is_no_such_lock_is_said_and_left_alone() {
    let (_server, client) = server();
    let put = Put { flags: 7, ..Put::default() };
    assert!(client.kv().put_with("consul-alerts/leader", "mine", &put).await.unwrap());
    let held = lock(&client);
    held.lock.want(true);
    held.until_said("no lock of consul-alerts (its flags are 7)").await;
    assert!(!held.lock.holds());
    let pair = key(&client).await.unwrap();
    assert_eq!((pair.flags, &*pair.value, pair.session), (7, &b"mine"[..], None));
    client.kv().delete("consul-alerts/leader").await.unwrap();
    held.until(true).await;
}

#[tokio::test]
async fn a_lock_that_is_taken_away_is_lost_at_once() {
    let (_server, client) = server();
    let held = lock(&client);
    held.lock.want(true);
    held.until(true).await;
    client.kv().delete("consul-alerts/leader").await.unwrap();
    held.until(false).await;
    // It is wanted still.
    held.until(true).await;
}

#[tokio::test]
async fn without_consul_it_is_lost_before_another_can_have_it() {
    let (mut server, client) = server();
    let held = lock(&client);
    held.lock.want(true);
    held.until(true).await;
    server.pause();
    let begun = tokio::time::Instant::now();
    held.until(false).await;
    assert!(begun.elapsed() < TTL, "{:?}", begun.elapsed());
    server.resume();
    held.until(true).await;
}
