//! `to = ["NOTIFIER", …]`: who tells.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use lictor_core::NotifierName;

use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::source::Span;
use crate::syntax::tree::Body;

/// The notifiers that are written, also those with a mistake, and which of them somebody names.
pub(in crate::block) struct Receivers {
    written: BTreeMap<String, Span>,
    named: RefCell<BTreeSet<String>>,
}

impl Receivers {
    pub(in crate::block) fn of(body: &Body) -> Self {
        let blocks = body.blocks.iter().filter(|block| block.kind.is == "notify");
        let names = blocks.filter_map(|block| block.labels.last());
        let written = names.map(|name| (name.is.clone(), name.span)).collect();
        Self { written, named: RefCell::default() }
    }

    /// The notifiers that an attribute names.
    pub(in crate::block) fn read(&self, reader: &Reader<'_>, name: &str) -> Vec<NotifierName> {
        let mut firsts: BTreeMap<String, Span> = BTreeMap::new();
        let mut found = Vec::new();
        for text in reader.texts(name) {
            if let Some(first) = firsts.insert(text.is.clone(), text.span) {
                let message = format!("`{}` stands twice in `{name}`", text.is);
                reader.decoder.add(Draft::new(Code::Twice, text.span, message).also(first, "first here"));
                continue;
            }
            if !self.written.contains_key(&text.is) && !reader.decoder.report.is_partial() {
                let message = format!("no notifier is named `{}`", text.is);
                let draft = Draft::new(Code::UnknownReference, text.span, message);
                let draft = draft.help("add a block such as notify \"slack\" \"NAME\" { … }");
                reader.decoder.add_near(draft, &text.is, self.written.keys().map(String::as_str));
            }
            // A name that is none is reported where it is defined.
            found.extend(NotifierName::new(&text.is));
            self.named.borrow_mut().insert(text.is);
        }
        found
    }

    /// The same where at least one must be named.
    pub(in crate::block) fn some(&self, reader: &Reader<'_>, name: &str) -> Vec<NotifierName> {
        let found = self.read(reader, name);
        if reader.value(name).is_some_and(|value| value.is == crate::syntax::tree::Is::List(Vec::new())) {
            let draft = Draft::new(Code::Missing, reader.span(name), format!("`{name}` names nobody"));
            reader.decoder.add(draft.help("name at least one notifier"));
        }
        found
    }

    /// Warns of those that nobody names.
    pub(in crate::block) fn check(&self, decoder: &Decoder<'_>) {
        let named = self.named.borrow();
        for (name, span) in self.written.iter().filter(|(name, _)| !named.contains(*name)) {
            let message = format!("no route leads to the notifier `{name}`");
            let draft = Draft::warning(Code::NeverTold, *span, message);
            decoder.add(draft.help(format!("add `to = [\"{name}\"]` to a route")));
        }
    }
}
