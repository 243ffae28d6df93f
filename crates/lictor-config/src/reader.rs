//! Reading the attributes of one block by what the schema says of them. A reader reports
//! what is wrong and goes on, so that all mistakes are found at once.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::{CheckName, ValueName};

use crate::code::Code;
use crate::env::Env;
use crate::problem::Draft;
use crate::report::Report;
use crate::schema::{Attribute, BlockType, Default, Kind, Schema};
use crate::scope::Scope;
use crate::source::{Format, Source, Span};
use crate::syntax::tree::{At, Block, Body, Is, Text, Value};

/// What all parts of one decoding share.
pub(crate) struct Decoder<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) env: &'a dyn Env,
    pub(crate) report: &'a Report,
    pub(crate) scope: &'a Scope,
    /// The rates that conditions look at: of which value of which check, over which time.
    pub(crate) rates: RefCell<BTreeSet<(CheckName, ValueName, Duration)>>,
    /// The groups that the acts of the present rule or remedy take from a line.
    pub(crate) captured: RefCell<Vec<Text>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(sources: &'a [Source], env: &'a dyn Env, report: &'a Report, scope: &'a Scope) -> Self {
        Self { sources, env, report, scope, rates: RefCell::default(), captured: RefCell::default() }
    }

    pub(crate) fn add(&self, draft: Draft) {
        self.report.add(draft);
    }

    pub(crate) fn add_near<'n>(&self, draft: Draft, typed: &str, known: impl IntoIterator<Item = &'n str>) {
        self.report.add_near(draft, typed, known);
    }

    /// Whether the text at that place is part of a JSON file.
    pub(crate) fn is_json(&self, span: Span) -> bool {
        self.sources.get(span.file).is_some_and(|source| source.format == Format::Json)
    }
}

/// One block (or object) and what may stand in it.
pub(crate) struct Reader<'a> {
    pub(crate) decoder: &'a Decoder<'a>,
    pub(crate) schema: &'static Schema,
    /// The place of the block's first line.
    pub(crate) head: Span,
    /// The block as it begins, for messages.
    pub(crate) title: String,
    body: At<&'a Body>,
    /// Attributes written as blocks, kept as values.
    objects: OnceCell<Vec<(String, Value)>>,
}

impl<'a> Reader<'a> {
    /// Begins to read a block: reports what is unknown in it, set twice, or missing.
    pub(crate) fn new(decoder: &'a Decoder<'a>, block: &'a Block, schema: &'static Schema) -> Self {
        Self::over(decoder, &block.body, schema, block.head(), block.title())
    }

    /// The same for a body that is no block of its own.
    pub(crate) fn over(
        decoder: &'a Decoder<'a>,
        body: &'a Body,
        schema: &'static Schema,
        head: Span,
        title: String,
    ) -> Self {
        let body = At { is: body, span: head };
        let reader = Self { decoder, schema, head, title, body, objects: OnceCell::new() };
        reader.check_attributes();
        reader.check_blocks();
        reader.check_required();
        reader
    }

    fn check_attributes(&self) {
        let mut firsts: BTreeMap<&str, Span> = BTreeMap::new();
        for attribute in &self.body.is.attributes {
            let name = attribute.name.is.as_str();
            if self.schema.attribute(name).is_none() {
                // It may be a misspelt secret.
                self.decoder.report.hide(attribute.value.span);
                self.unknown_attribute(name, attribute.name.span);
            }
            self.check_first(&mut firsts, &attribute.name);
        }
        for block in &self.body.is.blocks {
            if block.labels.is_empty() && self.object_attribute(&block.kind.is).is_some() {
                self.check_first(&mut firsts, &block.kind);
            }
        }
    }

    fn check_first<'n>(&self, firsts: &mut BTreeMap<&'n str, Span>, name: &'n Text) {
        if let Some(first) = firsts.get(name.is.as_str()) {
            let message = format!("`{}` of {} is set twice", name.is, self.place());
            let draft = Draft::new(Code::Twice, name.span, message).label("again here");
            return self.decoder.add(draft.also(*first, "first here"));
        }
        firsts.insert(&name.is, name.span);
    }

    fn unknown_attribute(&self, name: &str, span: Span) {
        if let Some(block) = self.schema.block(name) {
            let message = format!("`{name}` is a block, not an attribute");
            let help = format!("write {}", block.form());
            return self.decoder.add(Draft::new(Code::UnknownAttribute, span, message).help(help));
        }
        let known: Vec<String> = self.schema.attributes().flat_map(Attribute::names).collect();
        let message = format!("unknown attribute `{name}` in {}", self.place());
        let draft = Draft::new(Code::UnknownAttribute, span, message);
        self.decoder.add_near(draft, name, known.iter().map(String::as_str));
    }

    fn check_blocks(&self) {
        for block in &self.body.is.blocks {
            let name = block.kind.is.as_str();
            if self.object_attribute(name).is_some() && block.labels.is_empty() {
                continue;
            }
            match self.schema.block(name) {
                Some(known) => self.check_labels(known, block),
                None => {
                    block.body.texts(&mut |span| self.decoder.report.hide(span));
                    self.unknown_block(block);
                }
            }
        }
    }

    fn unknown_block(&self, block: &Block) {
        let name = block.kind.is.as_str();
        let draft = Draft::new(
            Code::UnknownBlock,
            block.kind.span,
            format!("unknown block `{name}` in {}", self.place()),
        );
        if self.schema.attribute(name).is_some() {
            let message = format!("`{name}` is an attribute, not a block");
            let draft = Draft::new(Code::UnknownBlock, block.kind.span, message);
            return self.decoder.add(draft.help(format!("write {name} = …")));
        }
        let known = self.schema.blocks.iter().map(|known| known.name);
        self.decoder.add_near(draft, name, known);
    }

    fn check_labels(&self, known: &BlockType, block: &Block) {
        if !known.takes(block.labels.len()) {
            let wanted = match known.labels.len() {
                1 if known.may_be_unnamed() => "at most one label".to_owned(),
                0 => "no label".to_owned(),
                1 => "one label".to_owned(),
                more => format!("{more} labels"),
            };
            let message = format!("`{}` has {wanted}, not {}", known.name, block.labels.len());
            let draft = Draft::new(Code::Labels, block.head(), message);
            return self.decoder.add(draft.help(format!("write {}", known.form())));
        }
        let kind = block.labels.first().filter(|_| known.kinds().next().is_some());
        if let Some(kind) = kind.filter(|kind| known.body(Some(&kind.is)).is_none()) {
            let message = format!("unknown kind `{}` of `{}`", kind.is, known.name);
            let draft = Draft::new(Code::UnknownKind, kind.span, message);
            block.body.texts(&mut |span| self.decoder.report.hide(span));
            self.decoder.add_near(draft, &kind.is, known.kinds());
        }
    }

    fn check_required(&self) {
        for attribute in self.schema.attributes() {
            if attribute.default == Default::Required && !self.is_set(attribute.name) {
                let message = format!("`{}` of {} is missing", attribute.name, self.place());
                let draft = Draft::new(Code::Missing, self.head, message).label("in this block");
                self.decoder.add(draft.help(format!(
                    "add `{} = …`, {}",
                    attribute.name,
                    attribute.kind.expected()
                )));
            }
        }
    }

    /// The block in a sentence.
    pub(crate) fn place(&self) -> String {
        if self.title.is_empty() { "the configuration".to_owned() } else { format!("`{}`", self.title) }
    }

    fn object_attribute(&self, name: &str) -> Option<&'static Attribute> {
        let is_object = |kind| {
            matches!(
                kind,
                Kind::Object(_)
                    | Kind::Secrets
                    | Kind::Values
                    | Kind::Patterns
                    | Kind::Selectors
                    | Kind::Selection
            )
        };
        self.schema.attribute(name).filter(|attribute| is_object(attribute.kind))
    }

    /// What the schema says of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> &'static Attribute {
        static NONE: Attribute = Attribute::new("", Kind::Text, "");
        let found = self.schema.attribute(name);
        debug_assert!(found.is_some(), "{name} is read but not in the schema of {}", self.title);
        found.unwrap_or(&NONE)
    }

    /// The value written for a name, unless it is null.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        let written = self.body.is.attributes.iter().find(|attribute| attribute.name.is == name);
        let value = written.map(|attribute| &attribute.value).or_else(|| self.object_block(name));
        value.filter(|value| value.is != Is::Null)
    }

    /// Attributes written as blocks, such as `flap { … }`, as values.
    fn object_block(&self, name: &str) -> Option<&Value> {
        let objects = self.objects.get_or_init(|| {
            let blocks = self.body.is.blocks.iter().filter(|block| block.labels.is_empty());
            let objects = blocks.filter(|block| self.object_attribute(&block.kind.is).is_some());
            objects.map(|block| (block.kind.is.clone(), as_value(block))).collect()
        });
        objects.iter().find(|(written, _)| written == name).map(|(_, value)| value)
    }

    /// Whether something is written for a name, or one of the names of a secret.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        match self.schema.attribute(name) {
            Some(attribute) => attribute.names().any(|name| self.value(&name).is_some()),
            None => self.value(name).is_some(),
        }
    }

    /// The place of what is written for a name, or else of the block.
    pub(crate) fn span(&self, name: &str) -> Span {
        self.value(name).map_or(self.head, |value| value.span)
    }

    /// The blocks of that type which have the right labels.
    pub(crate) fn blocks(&self, name: &str) -> Vec<&'a Block> {
        let Some(known) = self.schema.block(name) else { return Vec::new() };
        let fits = |block: &&Block| block.kind.is == name && known.takes(block.labels.len());
        self.body.is.blocks.iter().filter(fits).collect()
    }

    /// Whether a block of that type is written, with whatever labels.
    pub(crate) fn has_block(&self, name: &str) -> bool {
        self.body.is.blocks.iter().any(|block| block.kind.is == name)
    }

    /// The value of an attribute does not have its type.
    pub(crate) fn mismatch(&self, name: &str, value: &Value) {
        let expected = match self.attribute(name).kind {
            Kind::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            other => other.expected().to_owned(),
        };
        let message = format!("`{name}` is {expected}, not {}", value.is.describe());
        self.decoder.add(Draft::new(Code::WrongType, value.span, message));
    }

    /// The default as it would be written.
    pub(crate) fn default(&self, name: &str) -> Option<&'static str> {
        match self.attribute(name).default {
            Default::Value(text) => Some(text),
            Default::Required | Default::Unset | Default::Words(_) => None,
        }
    }

    /// Two attributes of which only one may be set.
    pub(crate) fn exclude(&self, one: &str, other: &str) -> bool {
        let both = self.is_set(one) && self.is_set(other);
        if both {
            let message = format!("`{one}` and `{other}` exclude each other");
            let draft = Draft::new(Code::Combination, self.span(other), message);
            self.decoder.add(draft.also(self.span(one), "the other one"));
        }
        both
    }

    /// An attribute that means something only with another one.
    pub(crate) fn needs(&self, one: &str, other: &str) {
        if self.is_set(one) && !self.is_set(other) {
            let message = format!("`{one}` needs `{other}`");
            self.decoder.add(Draft::new(Code::Combination, self.span(one), message));
        }
    }
}

/// The body of an unlabelled block as an object.
fn as_value(block: &Block) -> Value {
    let attributes = block.body.attributes.iter();
    let entries = attributes.map(|attribute| (attribute.name.clone(), attribute.value.clone()));
    let blocks = block.body.blocks.iter().filter(|inner| inner.labels.is_empty());
    let blocks = blocks.map(|inner| (inner.kind.clone(), as_value(inner)));
    At { is: Is::Map(entries.chain(blocks).collect()), span: block.head() }
}

/// The entries of an object as a body.
pub(crate) fn as_body(value: &Value) -> Option<Body> {
    let Is::Map(entries) = &value.is else { return None };
    let attribute = |(name, value): &(Text, Value)| crate::syntax::tree::Attribute {
        name: name.clone(),
        value: value.clone(),
    };
    Some(Body { attributes: entries.iter().map(attribute).collect(), blocks: Vec::new() })
}
