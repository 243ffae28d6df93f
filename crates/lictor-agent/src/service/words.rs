//! The words of the nodes of a service, as datagrams that prove who they are from.
//!
//! A promise lets a node run a service on without the records, so nobody else may give one: each datagram ends in an
//! HMAC-SHA256 under a key that all nodes share. One that was recorded proves nothing later: a question names the
//! process that it is for by a mark that this drew at its start, and has a higher number than all before it of the task it
//! is from, which draws a mark as well; an answer names the question. A node that does not know another's mark yet learns it from a refusal, and asks
//! again at once.
//!
//! Datagrams, not connections: a question is worth something only now, and the next one follows within a second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use lictor_core::lease::{Answer, LONGEST};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::voice::{Heard, Spoken, Voice};
use crate::task::{OnEnd, Tasks};

/// Bytes of the proof at the end of a datagram.
const PROOF: usize = 32;

/// Largest datagram that is looked at, bytes: it fits into any network's packets.
const LARGEST: usize = 1_200;

/// So many askers are remembered with their last number; more than any service has nodes.
const ASKERS: usize = 1_024;

/// Where the other nodes are.
pub type Places = watch::Receiver<BTreeMap<String, SocketAddr>>;

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Word {
    service: String,
    from: String,
    to: String,
    /// The process that asks, or has asked.
    asker: String,
    number: u64,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Asks {
        token: u64,
        length_ms: u64,
        /// The process that is asked, if its mark is known.
        #[serde(default)]
        asked: Option<String>,
    },
    Says {
        promises: bool,
        /// The process that says so.
        mark: String,
    },
}

/// The way to the nodes of all services of this one. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Words(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    node: String,
    /// This process, on this way.
    mark: String,
    keys: RwLock<Keys>,
    known: Mutex<Known>,
}

/// The key that is used, and others that are accepted while they are changed.
struct Keys(Vec<Vec<u8>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// A service that speaks.
#[derive(Debug)]
struct Mouth {
    hears: mpsc::Sender<Heard>,
    /// Who asks. Its numbers begin anew with it: another one for each task of a service.
    asker: String,
}

#[derive(Debug, Default)]
struct Known {
    services: BTreeMap<String, Mouth>,
    /// The mark of each node's process that was heard last.
    marks: BTreeMap<String, String>,
    /// The last question to each node, by service and node.
    questions: BTreeMap<(String, String), Word>,
    /// The highest number of each asker.
    asked: BTreeMap<String, u64>,
}

impl Words {
    /// Begins to listen. `keys`: the first one proves what this node says, each is accepted from others.
    pub fn start(socket: UdpSocket, node: String, keys: Vec<Vec<u8>>, tasks: &Tasks) -> Self {
        let mark = mark();
        let shared =
            Arc::new(Shared { socket, node, mark, keys: RwLock::new(Keys(keys)), known: Mutex::default() });
        let listens = Arc::clone(&shared);
        tasks.spawn("words of services", OnEnd::Stop, async move { listens.listen().await });
        Self(shared)
    }

    /// Uses other keys from the next word on.
    pub fn renew(&self, keys: Vec<Vec<u8>>) {
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys(keys);
    }

    /// The voice of a service among the nodes that are there.
    pub fn voice(&self, service: String, places: Places, tasks: &Tasks) -> Voice {
        let (voice, mut said, heard) = Voice::new();
        let asker = mark();
        self.0.known().services.insert(service.clone(), Mouth { hears: heard, asker: asker.clone() });
        let shared = Arc::clone(&self.0);
        tasks.spawn(format!("words of {service}"), OnEnd::Fine, async move {
            while let Some(spoken) = said.recv().await {
                let there = places.borrow().clone();
                shared.say(&service, &asker, spoken, &there).await;
            }
        });
        voice
    }
}

impl Shared {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn say(&self, service: &str, own: &str, spoken: Spoken, places: &BTreeMap<String, SocketAddr>) {
        let (to, asker, number, what): (Vec<String>, _, _, _) = match spoken {
            Spoken::Question { number, token, length, to } => {
                let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
                let asks = What::Asks { token, length_ms, asked: None };
                (to.into_iter().collect(), own.to_owned(), number, asks)
            }
            Spoken::Answer { to, asker, answer } => {
                let says = What::Says { promises: answer.promises, mark: self.mark.clone() };
                (vec![to], asker, answer.number, says)
            }
        };
        for to in to {
            let Some(place) = places.get(&to) else {
                debug!(service, to, "where that node is is not known");
                continue;
            };
            let what = match &what {
                What::Asks { token, length_ms, .. } => {
                    let asked = self.known().marks.get(&to).cloned();
                    What::Asks { token: *token, length_ms: *length_ms, asked }
                }
                What::Says { .. } => what.clone(),
            };
            let (from, service) = (self.node.clone(), service.to_owned());
            let word = Word { service, from, to, asker: asker.clone(), number, what };
            if let What::Asks { .. } = &word.what {
                let of = (word.service.clone(), word.to.clone());
                self.known().questions.insert(of, word.clone());
            }
            self.send(&word, *place).await;
        }
    }

    async fn send(&self, word: &Word, to: SocketAddr) {
        let sealed = self.keys().seal(word);
        let Some(datagram) = sealed else { return };
        if let Err(error) = self.socket.send_to(&datagram, to).await {
            debug!(%to, %error, "a word to another node of a service was not sent");
        }
    }

    async fn listen(&self) {
        let mut buffer = [0; LARGEST + 1];
        let mut strange = false;
        loop {
            let (size, from) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // What an earlier datagram met comes back so; the socket goes on.
                Err(error) => {
                    debug!(%error, "a word from another node of a service was not received");
                    continue;
                }
            };
            let word = buffer.get(..size).filter(|datagram| datagram.len() <= LARGEST);
            let Some(word) = word.and_then(|datagram| self.keys().open(datagram)) else {
                if !std::mem::replace(&mut strange, true) {
                    warn!(%from, "somebody speaks to the services of this node who does not know their key");
                }
                continue;
            };
            if let Some(reply) = self.hears(word) {
                self.send(&reply, from).await;
            }
        }
    }

    /// Hands a word on, or gives what is to be said to it at once.
    fn hears(&self, word: Word) -> Option<Word> {
        if word.to != self.node || word.from == self.node {
            return None;
        }
        let mut known = self.known();
        let Word { service, from, to, asker, number, what } = word;
        match what {
            What::Says { promises, mark } => {
                if known.services.get(&service).is_none_or(|mouth| mouth.asker != asker) {
                    return None;
                }
                let new = known.marks.insert(from.clone(), mark.clone()).as_ref() != Some(&mark);
                if new && !promises {
                    // It did not know that it was asked: the question was for another process, or for none.
                    let question = known.questions.get(&(service.clone(), from.clone()));
                    if let Some(Word { what: What::Asks { token, length_ms, .. }, number: asked, .. }) =
                        question
                        && *asked == number
                    {
                        let what = What::Asks { token: *token, length_ms: *length_ms, asked: Some(mark) };
                        return Some(Word { service, from: to, to: from, asker, number, what });
                    }
                }
                // What comes too late is asked anew.
                let Mouth { hears, .. } = known.services.get(&service)?;
                let _full = hears.try_send(Heard::Answer(Answer { number, by: from, promises }));
                None
            }
            What::Asks { token, length_ms, asked } => {
                let length = Duration::from_millis(length_ms);
                let fresh = asked.as_ref() == Some(&self.mark)
                    && known.asked.get(&asker).is_none_or(|last| number > *last)
                    && length <= LONGEST;
                if !fresh {
                    let what = What::Says { promises: false, mark: self.mark.clone() };
                    return Some(Word { service, from: to, to: from, asker, number, what });
                }
                if known.asked.len() >= ASKERS {
                    known.asked.clear();
                }
                known.asked.insert(asker.clone(), number);
                let Mouth { hears, .. } = known.services.get(&service)?;
                let _full = hears.try_send(Heard::Question { from, asker, number, token, length });
                None
            }
        }
    }
}

impl Keys {
    fn seal(&self, word: &Word) -> Option<Vec<u8>> {
        let mut datagram = serde_json::to_vec(word).ok()?;
        let proof = proof(self.0.first()?, &datagram)?.finalize().into_bytes();
        datagram.extend_from_slice(&proof);
        (datagram.len() <= LARGEST).then_some(datagram)
    }

    /// What a datagram says, if somebody said it who knows one of the keys.
    fn open(&self, datagram: &[u8]) -> Option<Word> {
        let (word, said) = datagram.split_at_checked(datagram.len().checked_sub(PROOF)?)?;
        let proven = |key: &Vec<u8>| proof(key, word).is_some_and(|proof| proof.verify_slice(said).is_ok());
        self.0.iter().any(proven).then(|| serde_json::from_slice(word).ok())?
    }
}

/// Something that nobody else draws.
fn mark() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn proof(key: &[u8], word: &[u8]) -> Option<Hmac<Sha256>> {
    let mut proof = Hmac::<Sha256>::new_from_slice(key).ok()?;
    proof.update(word);
    Some(proof)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    const KEY: &[u8] = b"a key that the nodes share, long enough";

    struct Node {
        words: Words,
        voice: Voice,
        place: SocketAddr,
        places: watch::Sender<BTreeMap<String, SocketAddr>>,
        tasks: Tasks,
    }

    impl Node {
        async fn new(name: &str, key: &[u8]) -> Self {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let (place, tasks) = (socket.local_addr().unwrap(), Tasks::new());
            let words = Words::start(socket, name.to_owned(), vec![key.to_vec()], &tasks);
            let (places, receiver) = watch::channel(BTreeMap::new());
            let voice = words.voice("web".to_owned(), receiver, &tasks);
            Self { words, voice, place, places, tasks }
        }

        /// The mark of the service's task.
        fn asker(&self) -> String {
            self.words.0.known().services["web"].asker.clone()
        }

        fn knows(&self, name: &str, other: SocketAddr) {
            self.places.send_modify(|places| places.extend([(name.to_owned(), other)]));
        }

        async fn asks(&self, number: u64) {
            let to = BTreeSet::from(["n2".to_owned()]);
            let question = Spoken::Question { number, token: 7, length: Duration::from_secs(4), to };
            self.voice.says.send(question).await.unwrap();
        }

        async fn hears(&mut self) -> Heard {
            timeout(SOON, self.voice.hears.recv()).await.unwrap().unwrap()
        }
    }

    async fn two() -> (Node, Node) {
        let (one, two) = (Node::new("n1", KEY).await, Node::new("n2", KEY).await);
        one.knows("n2", two.place);
        two.knows("n1", one.place);
        (one, two)
    }

    fn refusal(number: u64) -> Heard {
        Heard::Answer(Answer { number, by: "n2".to_owned(), promises: false })
    }

    #[tokio::test]
    async fn a_question_is_answered() {
        let (mut one, mut two) = two().await;
        // It does not know for whom it asks at first, and asks again.
        one.asks(1).await;
        let Heard::Question { from, asker, number, token, length } = two.hears().await else { panic!() };
        assert_eq!((from.as_str(), number, token, length), ("n1", 1, 7, Duration::from_secs(4)));
        let answer = Answer { number, by: "n2".to_owned(), promises: true };
        two.voice.says.send(Spoken::Answer { to: from, asker, answer: answer.clone() }).await.unwrap();
        assert_eq!(one.hears().await, Heard::Answer(answer));
        one.tasks.stopping().cancel();
        two.tasks.stopping().cancel();
    }

    #[tokio::test]
    async fn each_service_and_each_task_of_one_counts_its_questions_anew() {
        let (mut one, mut two) = two().await;
        one.asks(5).await;
        assert!(matches!(two.hears().await, Heard::Question { number: 5, .. }));
        // Another service of the same nodes, and then another task of this one.
        let places = one.places.subscribe();
        let other = one.words.voice("db".to_owned(), places.clone(), &one.tasks);
        let mut there = two.words.voice("db".to_owned(), two.places.subscribe(), &two.tasks);
        let to = BTreeSet::from(["n2".to_owned()]);
        let question = Spoken::Question { number: 1, token: 7, length: Duration::from_secs(4), to };
        other.says.send(question).await.unwrap();
        let heard = timeout(SOON, there.hears.recv()).await.unwrap().unwrap();
        assert!(matches!(heard, Heard::Question { number: 1, .. }), "{heard:?}");
        let before = one.asker();
        one.voice = one.words.voice("web".to_owned(), places, &one.tasks);
        one.asks(1).await;
        let Heard::Question { number: 1, asker, .. } = two.hears().await else { panic!() };
        assert_ne!(asker, before);
        // What was promised to the task of before is no promise to this one.
        let answer = |number| Answer { number, by: "n2".to_owned(), promises: true };
        for (asker, number) in [(before, 1), (asker, 2)] {
            let to = "n1".to_owned();
            two.voice.says.send(Spoken::Answer { to, asker, answer: answer(number) }).await.unwrap();
        }
        assert_eq!(one.hears().await, Heard::Answer(answer(2)));
    }

    #[tokio::test]
    async fn what_was_recorded_is_refused_by_the_same_process_and_by_the_next() {
        let (mut one, mut two) = two().await;
        for number in [2, 3] {
            one.asks(number).await;
            two.hears().await;
        }
        let word = Word {
            service: "web".into(),
            from: "n1".into(),
            to: "n2".into(),
            asker: one.asker(),
            number: 2,
            what: What::Asks { token: 7, length_ms: 4_000, asked: Some(two.words.0.mark.clone()) },
        };
        let replay = one.words.0.keys().seal(&word).unwrap();
        one.words.0.socket.send_to(&replay, two.place).await.unwrap();
        assert_eq!(one.hears().await, refusal(2));
        let next = Node::new("n2", KEY).await;
        one.words.0.socket.send_to(&replay, next.place).await.unwrap();
        assert_eq!(one.hears().await, refusal(2));
    }

    #[tokio::test]
    async fn whoever_does_not_know_the_key_is_not_heard() {
        let (one, mut two) = two().await;
        let stranger = Node::new("n1", b"another key").await;
        stranger.knows("n2", two.place);
        stranger.asks(1).await;
        for junk in [&b""[..], b"short", &[0; 32], &[b'{'; 1_199], &[0; 4_000]] {
            stranger.words.0.socket.send_to(junk, two.place).await.unwrap();
        }
        // Who does is.
        one.asks(2).await;
        let heard = two.hears().await;
        assert!(
            matches!(&heard, Heard::Question { asker, number: 2, .. } if *asker == one.asker()),
            "{heard:?}"
        );
        assert!(two.voice.hears.is_empty());
    }

    #[test]
    fn a_key_is_changed_without_a_gap() {
        let word = Word {
            service: "web".into(),
            from: "n1".into(),
            to: "n2".into(),
            asker: "a".into(),
            number: 1,
            what: What::Says { promises: true, mark: "m".into() },
        };
        let old = Keys(vec![b"old".to_vec()]);
        let both = Keys(vec![b"new".to_vec(), b"old".to_vec()]);
        assert_eq!(both.open(&old.seal(&word).unwrap()), Some(word.clone()));
        assert_eq!(old.open(&both.seal(&word).unwrap()), None);
        let new = Keys(vec![b"new".to_vec()]);
        assert_eq!(new.open(&both.seal(&word).unwrap()), Some(word));
    }
}
