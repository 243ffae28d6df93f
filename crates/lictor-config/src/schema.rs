//! The language as data: which blocks there are, which attributes each has, of what type,
//! with which default. The decoder finds unknown names by it, and the reference is
//! written from it.

use std::time::Duration;

/// The longest duration that may be written: ten years.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What may stand between two braces.
#[derive(Debug)]
pub(crate) struct Schema {
    /// What it is for: whole sentences, for the reference.
    pub(crate) doc: &'static str,
    /// Its attributes, in groups that several blocks may share.
    pub(crate) groups: &'static [&'static [Attribute]],
    /// The blocks that may stand in it.
    pub(crate) blocks: &'static [&'static BlockType],
    /// The values that a watcher reports; `*` stands for any text.
    pub(crate) values: &'static [(&'static str, &'static str)],
    /// An example for the reference: parsed by a test.
    pub(crate) example: &'static str,
}

impl Schema {
    /// All its attributes.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &'static Attribute> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The attribute that a written name belongs to: its own, or one of a secret's.
    pub(crate) fn attribute(&self, written: &str) -> Option<&'static Attribute> {
        self.attributes().find(|attribute| attribute.is_named(written))
    }

    /// Whether a watcher can report a value of that name.
    pub(crate) fn reports(&self, value: &str) -> bool {
        self.values.iter().any(|(name, _)| match name.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => *name == value,
        })
    }

    /// The block type of that name.
    pub(crate) fn block(&self, name: &str) -> Option<&'static BlockType> {
        self.blocks.iter().copied().find(|block| block.name == name)
    }
}

/// A type of block.
#[derive(Debug)]
pub(crate) struct BlockType {
    /// The word it begins with.
    pub(crate) name: &'static str,
    /// Its labels, by what they are; the last one may be left out when it stands in brackets.
    pub(crate) labels: &'static [&'static str],
    /// Whether there may be several (with other labels, if it has any).
    pub(crate) repeats: bool,
    /// What may stand in it.
    pub(crate) bodies: Bodies,
}

/// The bodies of a type of block.
#[derive(Debug)]
pub(crate) enum Bodies {
    /// Always the same.
    One(&'static Schema),
    /// By the first label.
    Kinds(&'static [(&'static str, &'static Schema)]),
}

impl BlockType {
    /// What may stand in a block with that first label.
    pub(crate) fn body(&self, first: Option<&str>) -> Option<&'static Schema> {
        match &self.bodies {
            Bodies::One(schema) => Some(schema),
            Bodies::Kinds(kinds) => {
                kinds.iter().find(|(kind, _)| Some(*kind) == first).map(|(_, schema)| *schema)
            }
        }
    }

    /// The kinds, if the first label says which.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let kinds: &'static [(&'static str, &'static Schema)] = match &self.bodies {
            Bodies::One(_) => &[],
            Bodies::Kinds(kinds) => kinds,
        };
        kinds.iter().map(|(kind, _)| *kind)
    }

    /// Whether it may have so many labels.
    pub(crate) fn takes(&self, labels: usize) -> bool {
        labels == self.labels.len() || (self.may_be_unnamed() && labels + 1 == self.labels.len())
    }

    /// Whether its last label may be left out.
    pub(crate) fn may_be_unnamed(&self) -> bool {
        self.labels.last().is_some_and(|label| label.starts_with('['))
    }

    /// The block as it begins: `watch "KIND" "NAME" { … }`, `route ["NAME"] { … }`.
    pub(crate) fn form(&self) -> String {
        let label = |label: &&str| match label.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(label) => format!(" [\"{label}\"]"),
            None => format!(" \"{label}\""),
        };
        let labels: String = self.labels.iter().map(label).collect();
        format!("{}{labels} {{ … }}", self.name)
    }

    /// The same in JSON.
    pub(crate) fn json_form(&self) -> String {
        if self.may_be_unnamed() && self.labels.len() == 1 {
            return format!("\"{}\": {{…}}", self.name);
        }
        let open: String = self.labels.iter().map(|label| format!("{{\"{label}\": ")).collect();
        format!("\"{}\": {open}{{…}}{}", self.name, "}".repeat(self.labels.len()))
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    /// What it means, for the reference.
    pub(crate) doc: &'static str,
}

/// What holds when an attribute is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// It must be set.
    Required,
    /// Nothing.
    Unset,
    /// This value, as it would be written (texts without quotes).
    Value(&'static str),
    /// Depends on other things, in words.
    Words(&'static str),
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Flag,
    /// A whole number from and to.
    Whole(u64, u64),
    /// Any number from and to.
    Number(f64, f64),
    /// A duration from and to.
    Duration(Duration, Duration),
    /// A size in bytes, from and to.
    Size(u64, u64),
    /// `85%`
    Percent,
    /// `10%`, or a number.
    Share,
    /// `> 90`
    Comparison,
    Url,
    /// An IP address and a port.
    Address,
    /// A host and a port.
    HostPort,
    Path,
    Regex,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// Program and arguments.
    Command,
    /// Names and patterns.
    Patterns,
    /// Names and values of any plain type.
    Values,
    /// Statuses and ranges of them.
    Statuses,
    /// A text that must not be shown.
    Secret,
    /// Names and texts that must not be shown.
    Secrets,
    /// An object with these attributes; may be written as a block.
    Object(&'static Schema),
    Condition,
    Triggers,
    /// `check.NAME`, or a list of them.
    Checks,
    /// `remedy.NAME`
    Remedy,
    /// `step.NAME`
    Step,
    /// `"fail"`, `"park"` or `step.NAME`.
    OnFailure,
    /// `3 in 1h`
    Budget,
    /// A name or `true`.
    NameOrTrue,
    /// A text, or several of which one must fit; `"/…/"` is a pattern.
    Selector,
    /// Names of labels, and a selector for each.
    Selectors,
    /// What alerts must be like: selectors by what they look at; may be written as a block.
    Selection,
}

impl Attribute {
    pub(crate) const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, default: Default::Unset, doc }
    }

    pub(crate) const fn required(self) -> Self {
        Self { default: Default::Required, ..self }
    }

    pub(crate) const fn default(self, value: &'static str) -> Self {
        Self { default: Default::Value(value), ..self }
    }

    pub(crate) const fn default_words(self, words: &'static str) -> Self {
        Self { default: Default::Words(words), ..self }
    }

    /// The names under which it may be written: those of a secret are four.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let endings: &[&str] = if matches!(self.kind, Kind::Secret) { &SECRET_ENDINGS } else { &[""] };
        let name = self.name;
        endings.iter().map(move |ending| format!("{name}{ending}"))
    }

    /// Whether that is one of its names.
    pub(crate) fn is_named(&self, written: &str) -> bool {
        let ending = written.strip_prefix(self.name);
        match self.kind {
            Kind::Secret => ending.is_some_and(|ending| SECRET_ENDINGS.contains(&ending)),
            _ => ending == Some(""),
        }
    }

    /// Whether what is written there may be shown.
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self.kind, Kind::Secret | Kind::Secrets | Kind::Object(_))
    }
}

/// What follows the name of a secret: nothing for the secret itself, otherwise where it is.
pub(crate) const SECRET_ENDINGS: [&str; 4] = ["", "_file", "_env", "_credential"];

impl Kind {
    /// The type in the reference.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Flag => "true or false",
            Self::Whole(..) | Self::Number(..) => "number",
            Self::Duration(..) => "duration",
            Self::Size(..) => "size",
            Self::Percent => "percentage",
            Self::Share => "share",
            Self::Comparison => "comparison",
            Self::Url => "URL",
            Self::Address => "address",
            Self::HostPort => "host and port",
            Self::Path => "path",
            Self::Regex => "pattern",
            Self::Word(_) => "word",
            Self::Texts => "list of texts",
            Self::Command => "command",
            Self::Patterns => "map of patterns",
            Self::Values => "map of values",
            Self::Statuses => "statuses",
            Self::Secret => "secret",
            Self::Secrets => "map of secrets",
            Self::Object(_) => "object",
            Self::Condition => "condition",
            Self::Triggers => "triggers",
            Self::Checks => "checks",
            Self::Remedy => "remedy",
            Self::Step => "step",
            Self::OnFailure => "`\"fail\"`, `\"park\"` or step",
            Self::Budget => "budget",
            Self::NameOrTrue => "text or true",
            Self::Selector => "selector",
            Self::Selectors => "map of selectors",
            Self::Selection => "selection",
        }
    }

    /// What is expected, for messages.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => "text in quotes",
            Self::Flag => "true or false",
            Self::Whole(..) => "a whole number",
            Self::Number(..) => "a number",
            Self::Duration(..) => "a duration such as \"10s\"",
            Self::Size(..) => "a size such as \"10GiB\"",
            Self::Percent => "a percentage such as \"85%\"",
            Self::Share => "a share such as \"10%\", or a number",
            Self::Comparison => "a comparison such as \"> 90\"",
            Self::Url => "a URL such as \"https://host/path\"",
            Self::Address => "an address such as \"127.0.0.1:8510\"",
            Self::HostPort => "host and port such as \"db.example:5432\"",
            Self::Path => "a path in quotes",
            Self::Regex => "a regular expression in quotes",
            Self::Word(_) => "one of a few words in quotes",
            Self::Texts => "a list of texts such as [\"a\", \"b\"]",
            Self::Command => "a list of program and arguments such as [\"systemctl\", \"restart\", \"x\"]",
            Self::Patterns => "an object of patterns such as { Server = \"^nginx\" }",
            Self::Values => "an object such as { \"/status\" = \"ok\" }",
            Self::Statuses => "a status such as 200, a range such as \"200-299\", or a list of those",
            Self::Secret => "text in quotes",
            Self::Secrets => "an object of texts, or of { file = \"/path\" }",
            Self::Object(_) => "an object or a block",
            Self::Condition => "a condition such as check.NAME == \"critical\"",
            Self::Triggers => "a condition or an event, or a list of those",
            Self::Checks => "check.NAME, or a list of those",
            Self::Remedy => "remedy.NAME",
            Self::Step => "step.NAME",
            Self::OnFailure => "\"fail\", \"park\" or step.NAME",
            Self::Budget => "a budget such as \"3 in 1h\"",
            Self::NameOrTrue => "a name in quotes, or true",
            Self::Selector => "text, a pattern such as \"/^web/\", or a list of those",
            Self::Selectors => "an object such as { team = \"db\" }",
            Self::Selection => "an object or a block such as { node = \"web1\" }",
        }
    }
}
