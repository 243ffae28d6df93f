//! A file of tests as values.

use std::collections::BTreeMap;

use lictor_core::{CheckName, RemedyName, Sample, Status, StepKind, Value as Measured, ValueName};

use super::schema::{IN_AT, IN_EXPECT, IN_OBSERVE, IN_READ, IN_TEST};
use super::{Expected, Given, Happening, Moment, RuleTest, RuleTests, TOP};
use crate::code::Code;
use crate::model::Config;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::source::Span;
use crate::syntax::tree::{Block, Body, Is, Text, Value};
use crate::units;

/// What stands above all tests.
pub(super) struct Head {
    pub(super) config: Vec<Text>,
    pub(super) env: BTreeMap<String, String>,
}

/// Reads what does not need the configuration.
pub(super) fn file(decoder: &Decoder<'_>, body: &Body) -> Head {
    let reader = top(decoder, body);
    if reader.blocks("test").is_empty() {
        decoder.add(
            Draft::new(Code::Missing, reader.head, "there is no test in this file")
                .help("add test \"NAME\" { … }"),
        );
    }
    if reader.is_set("config") && reader.texts("config").is_empty() {
        decoder.add(Draft::new(Code::Missing, reader.span("config"), "`config` names nothing"));
    }
    let variable = |(name, value): (&Text, &Value)| {
        let text = worded(&reader, "env", value)?;
        Some((name.is.clone(), text))
    };
    let env = reader.entries("env").into_iter().filter_map(variable).collect();
    Head { config: reader.texts("config"), env }
}

fn top<'a>(decoder: &'a Decoder<'a>, body: &'a Body) -> Reader<'a> {
    Reader::over(decoder, body, &TOP, Span::new(0, 0..0), "the file".to_owned())
}

/// Reads the tests of a configuration.
pub(super) fn tests(decoder: &Decoder<'_>, body: &Body, config: &Config) -> Vec<RuleTest> {
    let blocks = body.blocks.iter().filter(|block| block.kind.is == "test");
    let mut firsts: BTreeMap<&str, Span> = BTreeMap::new();
    let mut found = Vec::new();
    for block in blocks {
        let [name] = block.labels.as_slice() else { continue };
        if let Some(first) = firsts.insert(&name.is, name.span) {
            let message = format!("the name `{}` is used twice", name.is);
            decoder.add(Draft::new(Code::Twice, name.span, message).also(first, "first here"));
        }
        let names = Names { decoder, config };
        found.extend(names.test(block, name));
    }
    found
}

/// Reads with the names of a configuration at hand.
struct Names<'a> {
    decoder: &'a Decoder<'a>,
    config: &'a Config,
}

impl Names<'_> {
    fn test(&self, block: &Block, name: &Text) -> Option<RuleTest> {
        let reader = Reader::new(self.decoder, block, &IN_TEST);
        let fail = reader.texts("fail").into_iter().filter_map(|text| self.action(text)).collect();
        let takes = reader.duration("takes");
        // In the order of the file, whichever of the two they are.
        let moments = block.body.blocks.iter().filter_map(|block| self.moment(block));
        let mut ordered: Vec<Moment> = Vec::new();
        for (moment, span) in moments {
            if ordered.last().is_some_and(|before| before.at > moment.at) {
                let message =
                    format!("this is before {}, which stands above it", units::Written(ordered.last()?.at));
                self.decoder.add(Draft::new(Code::Range, span, message).help("times go forward in a test"));
            }
            ordered.push(moment);
        }
        if !ordered.iter().any(|moment| matches!(moment.what, Happening::Expected(_))) {
            let draft = Draft::new(Code::Missing, reader.head, format!("{} expects nothing", reader.place()));
            self.decoder.add(draft.help("add expect \"TIME\" { … }"));
        }
        Some(RuleTest { name: name.is.clone(), line: self.line(name.span), fail, takes, moments: ordered })
    }

    fn line(&self, span: Span) -> usize {
        self.decoder.sources.get(span.file).map_or(1, |source| source.place(span.start).0)
    }

    fn moment(&self, block: &Block) -> Option<(Moment, Span)> {
        let [time] = block.labels.as_slice() else { return None };
        let what = match block.kind.is.as_str() {
            "at" => Happening::Given(self.given(block)),
            "expect" => Happening::Expected(Box::new(self.expected(block))),
            _ => return None,
        };
        let Some(at) = units::duration(&time.is).filter(|at| *at <= crate::schema::LONGEST) else {
            let draft = Draft::new(Code::Duration, time.span, format!("`{}` is not a duration", time.is));
            self.decoder.add(draft.help("write how long after the beginning, such as \"30s\" or \"1h 5m\""));
            return None;
        };
        Some((Moment { at, line: self.line(block.kind.span), what }, time.span))
    }

    fn given(&self, block: &Block) -> Vec<Given> {
        let reader = Reader::new(self.decoder, block, &IN_AT);
        let mut found = Vec::new();
        for text in reader.texts("silent") {
            found.extend(self.watcher(&text).map(Given::Silent));
        }
        for inner in &block.body.blocks {
            let [name] = inner.labels.as_slice() else { continue };
            match inner.kind.is.as_str() {
                "read" => found.extend(self.read(inner, name)),
                "observe" => found.extend(self.observe(inner, name)),
                _ => {}
            }
        }
        found
    }

    fn read(&self, block: &Block, name: &Text) -> Option<Given> {
        let reader = Reader::new(self.decoder, block, &IN_READ);
        let lines: Vec<String> = reader.texts("lines").into_iter().map(|text| text.is).collect();
        let check = self.watcher(name)?;
        if self.config.watches.get(&check).is_some_and(|watch| watch.patterns.is_empty()) {
            let message = format!("`{check}` looks for nothing in lines");
            let draft = Draft::new(Code::Combination, name.span, message);
            self.decoder.add(draft.help("add a `match` block to the watcher, or use `observe`"));
        }
        Some(Given::Lines(check, lines))
    }

    fn observe(&self, block: &Block, name: &Text) -> Option<Given> {
        let reader = Reader::new(self.decoder, block, &IN_OBSERVE);
        let status = reader.word("status").and_then(|word| word.parse::<Status>().ok()).unwrap_or_default();
        let once = reader.flag("once");
        let mut sample = Sample::new(status, "as the test says");
        for (name, value) in reader.entries("values") {
            let measured = match &value.is {
                Is::Number(number) => Measured::Number(*number),
                _ => match worded(&reader, "values", value) {
                    Some(text) => Measured::Text(text),
                    None => continue,
                },
            };
            match ValueName::new(&name.is) {
                Ok(name) => sample.values.push((name, measured)),
                Err(error) => self.decoder.add(Draft::new(Code::Name, name.span, error.to_string())),
            }
        }
        Some(Given::Result { check: self.watcher(name)?, sample, once })
    }

    fn expected(&self, block: &Block) -> Expected {
        let reader = Reader::new(self.decoder, block, &IN_EXPECT);
        let remedies = |name: &str| {
            let texts = reader.is_set(name).then(|| reader.texts(name))?;
            Some(texts.iter().filter_map(|text| self.remedy(text)).collect::<Vec<_>>())
        };
        let did = reader.is_set("did").then(|| {
            reader.texts("did").into_iter().filter_map(|text| self.action(text)).collect::<Vec<_>>()
        });
        let held_back = reader.is_set("held_back").then(|| {
            let hold = |(name, value): (&Text, &Value)| {
                let word = worded(&reader, "held_back", value)?;
                if !RuleTests::HOLDS.contains(&word.as_str()) {
                    let draft =
                        Draft::new(Code::Word, value.span, format!("nothing is held back by `{word}`"));
                    self.decoder.add_near(draft, &word, RuleTests::HOLDS);
                }
                Some((self.remedy(name)?, word))
            };
            reader.entries("held_back").into_iter().filter_map(hold).collect()
        });
        let check = |(name, value): (&Text, &Value)| {
            let word = worded(&reader, "checks", value)?;
            let status = word.parse::<Status>();
            if status.is_err() {
                let draft = Draft::new(Code::Word, value.span, format!("`{word}` is not a status"));
                self.decoder.add_near(draft, &word, Status::ALL.map(Status::as_str));
            }
            Some((self.check(name)?, status.ok()?))
        };
        Expected {
            ran: remedies("ran"),
            did,
            held_back,
            failed: remedies("failed"),
            parked: remedies("parked"),
            escalated: remedies("escalated"),
            checks: reader.entries("checks").into_iter().filter_map(check).collect(),
        }
    }

    fn check(&self, name: &Text) -> Option<CheckName> {
        let known = &self.config.plan.checks;
        let found = CheckName::new(&name.is).ok().filter(|check| known.contains_key(check));
        if found.is_none() {
            let message = format!("no watcher or check is named `{}`", name.is);
            let draft = Draft::new(Code::UnknownReference, name.span, message);
            self.decoder.add_near(draft, &name.is, known.keys().map(CheckName::as_str));
        }
        found
    }

    fn watcher(&self, name: &Text) -> Option<CheckName> {
        let check = self.check(name)?;
        if self.config.watches.contains_key(&check) {
            return Some(check);
        }
        let draft =
            Draft::new(Code::UnknownReference, name.span, format!("`{check}` is a check over checks"));
        self.decoder.add(draft.help("say what its members see"));
        None
    }

    fn remedy(&self, name: &Text) -> Option<RemedyName> {
        let known = &self.config.plan.remedies;
        let found = RemedyName::new(&name.is).ok().filter(|remedy| known.contains_key(remedy));
        if found.is_none() {
            let message = format!("no rule or remedy is named `{}`", name.is);
            let draft = Draft::new(Code::UnknownReference, name.span, message);
            self.decoder.add_near(draft, &name.is, known.keys().map(RemedyName::as_str));
        }
        found
    }

    /// The name of a rule, a remedy, or a step that acts.
    fn action(&self, name: Text) -> Option<String> {
        let mut known: Vec<String> = Vec::new();
        for (remedy, definition) in &self.config.plan.remedies {
            known.push(remedy.to_string());
            let acts = definition.steps.iter().filter(|step| matches!(step.kind, StepKind::Act { .. }));
            known.extend(acts.map(|step| format!("{remedy}/{}", step.name)));
        }
        if known.contains(&name.is) {
            return Some(name.is);
        }
        let message = format!("no rule, remedy or step that acts is named `{}`", name.is);
        let draft = Draft::new(Code::UnknownReference, name.span, message);
        self.decoder.add_near(draft, &name.is, known.iter().map(String::as_str));
        None
    }
}

/// A value of a map as text.
fn worded(reader: &Reader<'_>, attribute: &str, value: &Value) -> Option<String> {
    match &value.is {
        Is::Text(text) => Some(text.clone()),
        Is::Number(number) => Some(number.to_string()),
        Is::Flag(flag) => Some(flag.to_string()),
        _ => {
            reader.mismatch(attribute, value);
            None
        }
    }
}
