//! What the decoder finds out on its way: problems, and what must not be shown.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use miette::NamedSource;

use crate::failure::Failure;
use crate::nearest::suggestion;
use crate::problem::{Draft, Problem};
use crate::redact::{Known, redacted};
use crate::source::{Source, Span};

/// Mistakes that are shown at most; the rest is counted.
const SHOWN: usize = 100;

/// Problems as they are found. Shared by all parts of one decoding.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: RefCell<Vec<Draft>>,
    warnings: RefCell<Vec<Draft>>,
    more: Cell<usize>,
    hidden: RefCell<Vec<Span>>,
    broken: RefCell<Vec<usize>>,
}

impl Report {
    /// Takes a problem in.
    pub(crate) fn add(&self, draft: Draft) {
        let list = if draft.is_warning() { &self.warnings } else { &self.errors };
        let mut list = list.borrow_mut();
        // What is read in several places deserves one warning.
        let same = |other: &Draft| other.span() == draft.span() && other.code() == draft.code();
        if draft.is_warning() && list.iter().any(same) {
            return;
        }
        if list.len() < SHOWN {
            list.push(draft);
        } else if !draft.is_warning() {
            self.more.set(self.more.get() + 1);
        }
    }

    /// Takes a problem in with the known name that a mistyped one is nearest to. Past what
    /// is shown nothing is searched, or a file full of mistakes would take its time.
    pub(crate) fn add_near<'a>(&self, draft: Draft, typed: &str, known: impl IntoIterator<Item = &'a str>) {
        let list = if draft.is_warning() { &self.warnings } else { &self.errors };
        let full = list.borrow().len() >= SHOWN;
        let help = if full { None } else { suggestion(typed, known) };
        self.add(draft.help_if(help));
    }

    /// The texts in this part of a file are never shown.
    pub(crate) fn hide(&self, span: Span) {
        self.hidden.borrow_mut().push(span);
    }

    /// The file could not be read to its end: none of its texts is shown, since nobody
    /// knows which are secrets.
    pub(crate) fn hide_file(&self, file: usize) {
        self.broken.borrow_mut().push(file);
    }

    /// Whether a file could not be read, so that names may seem to be missing.
    pub(crate) fn is_partial(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    /// The warnings, if there is no error; all of it otherwise. `known` says what
    /// names there are.
    pub(crate) fn finish(
        self,
        sources: &[Source],
        known: fn(&str) -> Known,
    ) -> Result<Vec<Problem>, Failure> {
        let (hidden, broken) = (self.hidden.into_inner(), self.broken.into_inner());
        let mut shown: BTreeMap<usize, Arc<NamedSource<String>>> = BTreeMap::new();
        let mut finish = |mut drafts: Vec<Draft>| -> Vec<Problem> {
            drafts.sort_by_key(|draft| (draft.span(), draft.code()));
            let finish = |draft: Draft| {
                let file = draft.span().file;
                let source = sources.get(file).map(|source| {
                    let text = || redacted(source, file, &hidden, broken.contains(&file), known);
                    let named = || Arc::new(NamedSource::new(&source.name, text()));
                    shown.entry(file).or_insert_with(named).clone()
                });
                draft.finish(sources, source)
            };
            drafts.into_iter().map(finish).collect()
        };
        let errors = finish(self.errors.into_inner());
        let warnings = finish(self.warnings.into_inner());
        if errors.is_empty() {
            Ok(warnings)
        } else {
            Err(Failure { errors, more: self.more.get(), warnings })
        }
    }
}
