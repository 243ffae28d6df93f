//! What a snapshot says of itself, for a drill: which datacenter's it is, what is in it, and what of that a
//! server that is alone with it changes rightly.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::diff::What;
use lictor_snapshot::inspect::Inspection;
use lictor_snapshot::msgpack::Value;
use lictor_snapshot::source::ReadError;
use lictor_snapshot::state::Record;
use lictor_snapshot::view::Kv;
use lictor_snapshot::{Kind, Source};

/// Who shows no token. Servers make it when it is missing.
const ANONYMOUS: &[u8] = b"00000000-0000-0000-0000-000000000002";

/// What the identifiers of policies begin with that servers make, and bring up to date, themselves.
const BUILT_IN: &[u8] = b"00000000-0000-0000-0000-";

/// What is compared one by one: nothing of it changes by itself.
const EXACT: [What; 9] = [
    What::Key,
    What::Token,
    What::Policy,
    What::Role,
    What::AuthMethod,
    What::BindingRule,
    What::ConfigEntry,
    What::Intention,
    What::Query,
];

/// The first version that turns intentions into config entries.
const INTENTIONS_MOVE: (u16, u16) = (1, 9);

/// See the module.
pub(super) struct Original {
    /// The index up to which it goes.
    pub(super) index: u64,
    /// Bytes of its state.
    pub(super) state_bytes: u64,
    /// What is in it, by kinds.
    pub(super) inspection: Inspection,
    /// As its nodes say.
    pub(super) datacenter: Option<String>,
    /// What may be gone or another one.
    changing: Names,
    /// Secrets of tokens that have no name yet: a server gives them one.
    nameless: BTreeSet<Vec<u8>>,
}

/// Things by their names, as comparisons call them.
#[derive(Default)]
struct Names(BTreeMap<What, BTreeSet<Vec<u8>>>);

impl Names {
    fn add(&mut self, what: What, name: &[u8]) {
        self.0.entry(what).or_default().insert(name.to_vec());
    }

    fn has(&self, what: What, name: &[u8]) -> bool {
        self.0.get(&what).is_some_and(|names| names.contains(name))
    }
}

impl Original {
    /// Reads all of it.
    pub(super) fn read(source: &Source) -> Result<Self, ReadError> {
        let mut inspection = Inspection::new(None);
        let (mut changing, mut nameless, mut datacenter) = (Names::default(), BTreeSet::new(), None);
        let whole = source.read(&Limits::default(), |record| {
            inspection.add(record);
            if datacenter.is_none() {
                datacenter = datacenter_of(record);
            }
            if let Some((what, name)) = changes(record) {
                changing.add(what, name);
            }
            if let Some(token) = Token::of(record)
                && token.accessor.is_empty()
            {
                nameless.insert(token.secret.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            index: whole.meta.map_or(whole.last_index, |meta| meta.index),
            state_bytes: whole.state_bytes,
            inspection,
            datacenter,
            changing,
            nameless,
        })
    }

    /// How many of these may be gone or another one.
    pub(super) fn changing(&self, what: What) -> u64 {
        self.changing.0.get(&what).map_or(0, |names| names.len() as u64)
    }

    /// What must be there again as it was, given what was added rightly and the version of the server.
    pub(super) fn rules(&self, added: Added, version: (u16, u16)) -> Rules<'_> {
        let intentions = self.inspection.of(Kind::INTENTION).count > 0 && version >= INTENTIONS_MOVE;
        Rules { original: self, added, intentions_move: intentions }
    }
}

/// What may differ.
pub(super) struct Rules<'a> {
    original: &'a Original,
    added: Added,
    intentions_move: bool,
}

impl Rules<'_> {
    /// Whether things of this sort are compared one by one.
    pub(super) fn compares(&self, what: What) -> bool {
        EXACT.contains(&what) && !(what == What::Intention && self.intentions_move)
    }

    /// Whether it may be gone or another one.
    pub(super) fn may_change(&self, what: What, name: &[u8]) -> bool {
        !self.compares(what) || self.original.changing.has(what, name)
    }

    /// Whether it may be there without being in the snapshot.
    pub(super) fn may_be_new(&self, what: What, name: &[u8]) -> bool {
        !self.compares(what)
            || self.added.0.has(what, name)
            || self.intentions_move && what == What::ConfigEntry && name.starts_with(b"service-intentions/")
    }
}

/// What servers add by themselves.
pub(super) struct Added(Names);

impl Added {
    pub(super) fn new() -> Self {
        Self(Names::default())
    }

    /// Notes a record of what was saved again, if the server made it. `own`: the secret that the drill gave it.
    pub(super) fn see(&mut self, record: &Record<'_>, own: &[u8], original: &Original) {
        if let Some(token) = Token::of(record)
            && (token.secret == own
                || token.accessor == ANONYMOUS
                || original.nameless.contains(token.secret))
        {
            self.0.add(What::Token, token.accessor);
        }
        if let Some(name) = built_in(record) {
            self.0.add(What::Policy, name);
        }
    }
}

/// What a server that is alone with it changes or removes rightly, by the name that comparisons give it:
/// what a session holds, because nodes are not there and sessions end; tokens that expire; tokens without a name;
/// its own policies.
fn changes<'a>(record: &Record<'a>) -> Option<(What, &'a [u8])> {
    match record.kind {
        Kind::KVS => {
            let kv = Kv::of(record)?;
            (!kv.session.is_empty()).then_some((What::Key, kv.key))
        }
        Kind::PREPARED_QUERY => {
            let [id, name, session] = record.map()?.pick(["ID", "Name", "Session"]).map(Value::bytes);
            let name = name.filter(|name| !name.is_empty()).or(id)?;
            (!session?.is_empty()).then_some((What::Query, name))
        }
        Kind::ACL_TOKEN => {
            let token = Token::of(record)?;
            match token.accessor {
                b"" => Some((What::Token, token.description)),
                accessor => token.expires.then_some((What::Token, accessor)),
            }
        }
        Kind::ACL_POLICY => built_in(record).map(|name| (What::Policy, name)),
        _ => None,
    }
}

/// The name of a policy that servers make themselves.
fn built_in<'a>(record: &Record<'a>) -> Option<&'a [u8]> {
    let map = (record.kind == Kind::ACL_POLICY).then(|| record.map()).flatten()?;
    let [id, name] = map.pick(["ID", "Name"]).map(Value::bytes);
    id?.starts_with(BUILT_IN).then_some(name?)
}

struct Token<'a> {
    accessor: &'a [u8],
    secret: &'a [u8],
    description: &'a [u8],
    expires: bool,
}

impl<'a> Token<'a> {
    fn of(record: &Record<'a>) -> Option<Self> {
        let map = (record.kind == Kind::ACL_TOKEN).then(|| record.map()).flatten()?;
        let [accessor, secret, description, expires] =
            map.pick(["AccessorID", "SecretID", "Description", "ExpirationTime"]);
        Some(Self {
            accessor: accessor.bytes()?,
            secret: secret.bytes()?,
            description: description.bytes()?,
            expires: !expires.is_nothing(),
        })
    }
}

/// The datacenter of a node, if it is a name that Consul takes.
fn datacenter_of(record: &Record<'_>) -> Option<String> {
    let map = (record.kind == Kind::REGISTER).then(|| record.map()).flatten()?;
    let name = std::str::from_utf8(map.get("Datacenter").bytes()?).ok()?;
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_';
    (!name.is_empty() && name.len() <= 64 && name.bytes().all(fits)).then(|| name.to_owned())
}
