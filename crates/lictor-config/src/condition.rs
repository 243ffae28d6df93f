//! Expressions: conditions over checks and values, and the events that start remedies.

use std::ops::Range;
use std::time::Duration;

use lictor_core::{
    CheckName, Compare, Condition, PatternName, Status, Trigger, Value as Measured, ValueName,
};

use crate::block::TOP;
use crate::code::Code;
use crate::nearest::suggestion;
use crate::problem::Draft;
use crate::reader::Decoder;
use crate::source::Span;
use crate::syntax::hcl;
use crate::syntax::tree::{Is, Operator, Text, Value};

const FORMS: &str = "such as check.NAME == \"critical\" or value.NAME.VALUE > 90";

/// The longest expression that a text may hold, in bytes. Each of its parts is looked up in
/// the text from its start, so the time for it grows with the square of its length.
const QUOTED: usize = 4 * 1024;

impl Decoder<'_> {
    /// The condition that an expression states; `None` after reporting why it is none.
    pub(crate) fn condition(&self, value: &Value) -> Option<Condition> {
        match &value.is {
            Is::Text(text) => self.condition(&self.quoted(text, value)?),
            Is::Not(inner) => self.condition(inner).map(|inner| Condition::Not(Box::new(inner))),
            Is::Binary(Operator::And, left, right) => {
                let (left, right) = (self.condition(left), self.condition(right));
                Some(Condition::All(joined(left?, right?, true)))
            }
            Is::Binary(Operator::Or, left, right) => {
                let (left, right) = (self.condition(left), self.condition(right));
                Some(Condition::Any(joined(left?, right?, false)))
            }
            Is::Binary(operator, left, right) => self.comparison(*operator, left, right, value.span),
            Is::Call(name, arguments) if name.is == "no_data" => self.no_data(arguments, value.span),
            Is::Path(names) if names.first().is_some_and(|first| first.is == "match") => {
                self.misplaced("a match is an event", value.span)
            }
            Is::Call(name, _) if name.is == "changed" => {
                self.misplaced("a change of a value is an event", value.span)
            }
            Is::Call(name, _) if name.is == "rate" => {
                let draft = Draft::new(Code::Condition, value.span, "a rate alone is not a condition");
                self.none(
                    draft.help("compare it: rate(value.CHECK.VALUE, \"5m\") > 3, in changes per second"),
                )
            }
            Is::Call(name, _) => self.unknown_function(name),
            Is::Path(names) => self.bare(names, value.span),
            Is::List(_) => {
                let draft = Draft::new(Code::Condition, value.span, "a list is not a condition");
                self.none(draft.help("join conditions by `&&` or `||`"))
            }
            other => {
                let message = format!("{} is not a condition", other.describe());
                self.none(
                    Draft::new(Code::Condition, value.span, message)
                        .help(format!("write a comparison, {FORMS}")),
                )
            }
        }
    }

    /// The triggers that an expression, or a list of them, states.
    pub(crate) fn triggers(&self, value: &Value) -> Option<Vec<Trigger>> {
        match &value.is {
            Is::Text(text) => self.triggers(&self.quoted(text, value)?),
            Is::List(items) if items.is_empty() => self.none(
                Draft::new(Code::Missing, value.span, "nothing is in this list").help("name what starts it"),
            ),
            Is::List(items) => {
                let found: Vec<_> = items.iter().map(|item| self.triggers(item)).collect();
                found
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(|found| found.into_iter().flatten().collect())
            }
            Is::Binary(Operator::Or, left, right) if has_event(value) => {
                let (left, right) = (self.triggers(left), self.triggers(right));
                Some(left?.into_iter().chain(right?).collect())
            }
            Is::Path(names) if names.first().is_some_and(|first| first.is == "match") => {
                self.matched(names, value.span).map(|trigger| vec![trigger])
            }
            Is::Call(name, arguments) if name.is == "changed" => {
                self.changed(arguments, value.span).map(|trigger| vec![trigger])
            }
            _ => self.condition(value).map(|condition| vec![Trigger::When(condition)]),
        }
    }

    /// The checks that a reference, or a list of them, names.
    pub(crate) fn checks(&self, value: &Value) -> Option<Vec<(CheckName, Span)>> {
        match &value.is {
            Is::Text(text) => self.checks(&self.quoted(text, value)?),
            Is::List(items) => {
                let found: Vec<_> = items.iter().map(|item| self.checks(item)).collect();
                found
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(|found| found.into_iter().flatten().collect())
            }
            Is::Path(names) => match names.as_slice() {
                [root, name] if root.is == "check" => {
                    self.check_name(name).map(|found| vec![(found, value.span)])
                }
                _ => self.no_reference(value, "check.NAME"),
            },
            _ => self.no_reference(value, "check.NAME"),
        }
    }

    /// The name in a reference `root.NAME`.
    pub(crate) fn reference(&self, value: &Value, root: &str) -> Option<Text> {
        let form = format!("{root}.NAME");
        match &value.is {
            Is::Text(text) => self.reference(&self.quoted(text, value)?, root),
            Is::Path(names) => match names.as_slice() {
                [first, name] if first.is == root => Some(name.clone()),
                _ => self.no_reference(value, &form),
            },
            _ => self.no_reference(value, &form),
        }
    }

    fn no_reference<T>(&self, value: &Value, form: &str) -> Option<T> {
        let message = match &value.is {
            Is::Path(names) => format!("`{}` is not {form}", dotted(names)),
            other => format!("this is {}, not a reference such as {form}", other.describe()),
        };
        self.none(Draft::new(Code::WrongType, value.span, message))
    }

    fn none<T>(&self, draft: Draft) -> Option<T> {
        self.add(draft);
        None
    }

    fn near<'n, T>(&self, draft: Draft, typed: &str, known: impl IntoIterator<Item = &'n str>) -> Option<T> {
        self.add_near(draft, typed, known);
        None
    }

    fn misplaced<T>(&self, what: &str, span: Span) -> Option<T> {
        let message = format!("{what} and never holds, so it cannot be a condition or part of one");
        let help = "events can only start something: put it into `on`, alone, in a list, or joined by `||`";
        self.none(Draft::new(Code::Event, span, message).help(help))
    }

    fn unknown_function<T>(&self, name: &Text) -> Option<T> {
        let draft = Draft::new(Code::Condition, name.span, format!("unknown function `{}`", name.is));
        self.near(draft, &name.is, ["no_data", "changed", "rate"])
    }

    /// An expression that is a text of the file, as JSON has it.
    fn quoted(&self, text: &str, value: &Value) -> Option<Value> {
        if !self.is_json(value.span) {
            let draft =
                Draft::new(Code::WrongType, value.span, "text stands where an expression is expected");
            return self.none(draft.help("write it without quotes"));
        }
        if text.len() > QUOTED {
            let message = format!("an expression is at most {QUOTED} bytes long, not {}", text.len());
            return self.none(Draft::new(Code::Condition, value.span, message));
        }
        let place = |range: Range<usize>| self.inside(value.span, range);
        match hcl::expression(text, &place) {
            // A text in a text would never end.
            Ok(Value { is: Is::Text(_), .. }) => {
                self.none(Draft::new(Code::Condition, value.span, "text is not a condition"))
            }
            Ok(parsed) => Some(parsed),
            Err(draft) => self.none(*draft),
        }
    }

    /// The place in the file of a part of a quoted text.
    pub(crate) fn inside(&self, literal: Span, range: Range<usize>) -> Span {
        let Some(source) = self.sources.get(literal.file) else { return literal };
        let start = source.inside(literal, range.start);
        let end = source.inside(literal, range.end).max(start);
        Span { start, end, ..literal }
    }

    fn bare<T>(&self, names: &[Text], span: Span) -> Option<T> {
        let written = dotted(names);
        let root = names.first().map_or("", |name| name.is.as_str());
        let draft = match (root, names.len()) {
            ("check", 2) => {
                Draft::new(Code::Condition, span, format!("`{written}` alone is not a condition"))
                    .help(format!("compare it: {written} == \"critical\""))
            }
            ("value", 3) => {
                Draft::new(Code::Condition, span, format!("`{written}` alone is not a condition"))
                    .help(format!("compare it: {written} > 90"))
            }
            ("check", _) => Draft::new(Code::Condition, span, format!("`{written}` is not a reference"))
                .help("a check is check.NAME; names with dots are check[\"a.b\"]"),
            ("value", _) => Draft::new(Code::Condition, span, format!("`{written}` is not a reference"))
                .help("a value is value.CHECK.VALUE; names with dots are value[\"a.b\"].VALUE"),
            _ => Draft::new(Code::Condition, span, format!("`{written}` is not a condition"))
                .help_if(near_root(root))
                .help_if(None),
        };
        self.none(draft)
    }

    fn comparison(&self, operator: Operator, left: &Value, right: &Value, span: Span) -> Option<Condition> {
        let Some(compare) = compare(operator) else {
            let draft = Draft::new(Code::Condition, span, "arithmetic is not a condition");
            return self.none(draft.help(format!("write a comparison, {FORMS}")));
        };
        match (&left.is, &right.is) {
            (Is::Path(names), Is::Text(text)) if names.first().is_some_and(|root| root.is == "value") => {
                self.worded(names, text, compare, span)
            }
            (Is::Text(text), Is::Path(names)) if names.first().is_some_and(|root| root.is == "value") => {
                self.worded(names, text, compare, span)
            }
            (Is::Call(name, arguments), Is::Number(number)) if name.is == "rate" => {
                self.rate(arguments, *number, compare, left.span)
            }
            (Is::Number(number), Is::Call(name, arguments)) if name.is == "rate" => {
                self.rate(arguments, *number, flip(compare), right.span)
            }
            (Is::Path(names), Is::Text(status)) => self.is(names, status, right.span, compare, span),
            (Is::Text(status), Is::Path(names)) => self.is(names, status, left.span, flip(compare), span),
            (Is::Path(names), Is::Number(number)) => self.measured(names, *number, compare, span),
            (Is::Number(number), Is::Path(names)) => self.measured(names, *number, flip(compare), span),
            _ => {
                let (left, right) = (left.is.describe(), right.is.describe());
                let message = format!("{left} and {right} cannot be compared");
                let help = "compare a check with a status, or a value with a number";
                self.none(Draft::new(Code::Comparison, span, message).help(help))
            }
        }
    }

    fn is(&self, names: &[Text], status: &str, at: Span, compare: Compare, span: Span) -> Option<Condition> {
        let [root, name] = names else { return self.odd_side(names, span, "a status") };
        if root.is != "check" {
            return self.odd_side(names, span, "a status");
        }
        let check = self.check_name(name);
        let Ok(status) = status.parse::<Status>() else {
            let draft = Draft::new(Code::Word, at, format!("`{status}` is not a status"));
            let known = Status::ALL.map(Status::as_str);
            return self.near(draft, status, known);
        };
        let is = Condition::Is { check: check?, status };
        match compare {
            Compare::Equal => Some(is),
            Compare::NotEqual => Some(Condition::Not(Box::new(is))),
            Compare::Less | Compare::LessOrEqual | Compare::GreaterOrEqual | Compare::Greater => {
                let draft = Draft::new(Code::Comparison, span, "statuses have no order here");
                self.none(draft.help("use `==` or `!=`, joined by `||`"))
            }
        }
    }

    fn measured(&self, names: &[Text], number: f64, op: Compare, span: Span) -> Option<Condition> {
        match names {
            [root, check, value] if root.is == "value" => {
                let (check, value) = (self.check_name(check), self.value_name(check, value));
                Some(Condition::Value { check: check?, value: value?, op, number })
            }
            _ => self.odd_side(names, span, "a number"),
        }
    }

    fn worded(&self, names: &[Text], text: &str, compare: Compare, span: Span) -> Option<Condition> {
        let [_, check, value] = names else { return self.odd_side(names, span, "a text") };
        let (check, value) = (self.check_name(check), self.value_name(check, value));
        let is = Condition::Text { check: check?, value: value?, text: text.to_owned() };
        match compare {
            Compare::Equal => Some(is),
            Compare::NotEqual => Some(Condition::Not(Box::new(is))),
            Compare::Less | Compare::LessOrEqual | Compare::GreaterOrEqual | Compare::Greater => {
                let draft = Draft::new(Code::Comparison, span, "texts have no order here");
                self.none(draft.help("use `==` or `!=`, or compare with a number"))
            }
        }
    }

    /// `rate(value.CHECK.VALUE, "5m")`: a value of its own, which the engine keeps.
    fn rate(&self, arguments: &[Value], number: f64, op: Compare, span: Span) -> Option<Condition> {
        let form = "write rate(value.CHECK.VALUE, \"5m\")";
        let [Value { is: Is::Path(names), .. }, Value { is: Is::Text(text), span: at }] = arguments else {
            let message = "`rate` needs a value and a time";
            return self.none(Draft::new(Code::Condition, span, message).help(form));
        };
        let [root, check, value] = names.as_slice() else { return self.odd_side(names, span, "a number") };
        if root.is != "value" {
            return self.odd_side(names, span, "a number");
        }
        let within = match crate::units::duration(text) {
            Some(within) if (1..=86_400).contains(&within.as_secs()) => within,
            Some(_) => {
                let message = format!("`{text}` is not between 1s and 1d");
                return self.none(Draft::new(Code::Range, *at, message));
            }
            None => {
                let message = format!("`{text}` is not a duration");
                return self.none(Draft::new(Code::WrongType, *at, message).help(form));
            }
        };
        let (check, of) = (self.check_name(check)?, self.value_name(check, value)?);
        let value = rate_name(&of, within)?;
        self.rates.borrow_mut().insert((check.clone(), of, within));
        Some(Condition::Value { check, value, op, number })
    }

    /// Something is compared with what it cannot be compared with.
    fn odd_side<T>(&self, names: &[Text], span: Span, with: &str) -> Option<T> {
        let written = dotted(names);
        let root = names.first().map_or("", |name| name.is.as_str());
        let draft = Draft::new(Code::Comparison, span, format!("`{written}` cannot be compared with {with}"));
        self.none(match root {
            "check" => draft.help("a check is check.NAME and has a status: check.NAME == \"critical\""),
            "value" => draft.help("a value is value.CHECK.VALUE and a number: value.CHECK.VALUE > 90"),
            "match" => return self.misplaced("a match is an event", span),
            other => draft.help_if(near_root(other)),
        })
    }

    fn no_data(&self, arguments: &[Value], span: Span) -> Option<Condition> {
        let form = "no_data(check.NAME)";
        let [(check, _)] = self.only_argument(arguments, span, form, |value| self.checks(value))?;
        Some(Condition::Is { check, status: Status::Unknown })
    }

    fn only_argument<T, const N: usize>(
        &self,
        arguments: &[Value],
        span: Span,
        form: &str,
        read: impl Fn(&Value) -> Option<Vec<T>>,
    ) -> Option<[T; N]> {
        let [argument] = arguments else {
            return self.none(Draft::new(Code::Condition, span, format!("write {form}")));
        };
        let found = read(argument)?;
        found
            .try_into()
            .ok()
            .or_else(|| self.none(Draft::new(Code::Condition, span, format!("write {form}"))))
    }

    fn changed(&self, arguments: &[Value], span: Span) -> Option<Trigger> {
        let (names, states) = match arguments {
            [Value { is: Is::Path(names), .. }, states @ ..] => (names.as_slice(), states),
            _ => (&[][..], &[][..]),
        };
        let mut states = states.iter().map(|state| match &state.is {
            Is::Text(text) => Some(Measured::Text(text.clone())),
            Is::Number(number) => Some(Measured::Number(*number)),
            other => {
                let message = format!("a value changes to a number or a text, not to {}", other.describe());
                self.none(Draft::new(Code::Condition, state.span, message))
            }
        });
        let (from, to) = match (states.next(), states.next(), states.next()) {
            (None, _, _) => (None, None),
            (Some(to), None, _) => (None, Some(to?)),
            (Some(from), Some(to), None) => (Some(from?), Some(to?)),
            (Some(_), Some(_), Some(_)) => {
                let draft = Draft::new(Code::Condition, span, "`changed` has too many arguments");
                return self.none(draft.help("write changed(value.CHECK.VALUE, FROM, TO)"));
            }
        };
        match names {
            [root, check, value] if root.is == "value" => {
                let (check, value) = (self.check_name(check), self.value_name(check, value));
                Some(Trigger::Changed { check: check?, value: value?, from, to })
            }
            _ => {
                let draft = Draft::new(Code::Condition, span, "`changed` needs a value");
                self.none(
                    draft
                        .help("write changed(value.CHECK.VALUE), or with what it changes to, or from and to"),
                )
            }
        }
    }

    /// `match.CHECK.PATTERN` or `match.KIND.CHECK.PATTERN`.
    fn matched(&self, names: &[Text], span: Span) -> Option<Trigger> {
        let (kind, check, pattern) = match names {
            [_, check, pattern] => (None, check, pattern),
            [_, kind, check, pattern] => (Some(kind), check, pattern),
            _ => {
                let draft =
                    Draft::new(Code::Condition, span, format!("`{}` is not a reference", dotted(names)));
                return self.none(draft.help("a match is match.CHECK.PATTERN"));
            }
        };
        let source = self.check_name(check)?;
        let known = self.scope.checks.get(&check.is);
        let real = known.and_then(|known| known.kind.as_deref());
        if let Some(kind) = kind.filter(|kind| known.is_some() && real != Some(kind.is.as_str())) {
            let message = match real {
                Some(real) => format!("`{}` is a watcher of kind `{real}`, not `{}`", check.is, kind.is),
                None => format!("`{}` is a check, not a watcher of kind `{}`", check.is, kind.is),
            };
            return self.none(Draft::new(Code::UnknownReference, kind.span, message));
        }
        let patterns = known.map(|known| &known.patterns);
        if patterns.is_some_and(|patterns| !patterns.contains_key(&pattern.is)) {
            let message = format!("`{}` has no `match` block named `{}`", check.is, pattern.is);
            let names = patterns.into_iter().flat_map(|patterns| patterns.keys().map(String::as_str));
            let draft = Draft::new(Code::UnknownReference, pattern.span, message);
            return self.near(draft, &pattern.is, names);
        }
        let pattern = PatternName::new(&pattern.is).ok()?;
        Some(Trigger::Match { source, pattern })
    }

    /// The check of that name, if there is one.
    pub(crate) fn check_name(&self, name: &Text) -> Option<CheckName> {
        let known = &self.scope.checks;
        if known.contains_key(&name.is) || self.report.is_partial() {
            // A name that is none is reported where it is defined.
            return CheckName::new(&name.is).ok();
        }
        let draft = Draft::new(
            Code::UnknownReference,
            name.span,
            format!("no watcher or check is named `{}`", name.is),
        );
        self.near(draft, &name.is, known.keys().map(String::as_str))
    }

    fn value_name(&self, check: &Text, name: &Text) -> Option<ValueName> {
        if let Some(known) = self.scope.checks.get(&check.is) {
            let watch = TOP.block("watch").filter(|_| known.kind.is_some());
            let schema = watch.and_then(|watch| watch.body(known.kind.as_deref()));
            if schema.is_some_and(|schema| !schema.reports(&name.is)) {
                let message = format!("the watcher `{}` reports no value `{}`", check.is, name.is);
                let values = schema.into_iter().flat_map(|schema| schema.values);
                let draft = Draft::warning(Code::UnknownValue, name.span, message);
                self.add_near(draft, &name.is, values.map(|(value, _)| *value));
            } else if known.kind.is_none() {
                let message = format!("`{}` is a check over checks and has no values", check.is);
                self.add(Draft::warning(Code::UnknownValue, name.span, message));
            }
        }
        let wrong = |error| self.none(Draft::new(Code::Name, name.span, format!("{error}")));
        ValueName::new(&name.is).map_or_else(wrong, Some)
    }
}

/// The name under which the engine keeps a rate.
pub(crate) fn rate_name(of: &ValueName, within: Duration) -> Option<ValueName> {
    ValueName::new(&format!("{of}.per_second.{}s", within.as_secs())).ok()
}

/// Two conditions of one operator in a flat list.
fn joined(left: Condition, right: Condition, all: bool) -> Vec<Condition> {
    let flat = |condition| match condition {
        Condition::All(parts) if all => parts,
        Condition::Any(parts) if !all => parts,
        other => vec![other],
    };
    let mut parts = flat(left);
    parts.extend(flat(right));
    parts
}

fn has_event(value: &Value) -> bool {
    match &value.is {
        Is::Path(names) => names.first().is_some_and(|first| first.is == "match"),
        Is::Call(name, _) => name.is == "changed",
        Is::Binary(Operator::Or, left, right) => has_event(left) || has_event(right),
        _ => false,
    }
}

fn near_root(root: &str) -> Option<String> {
    let known = ["check", "value", "match", "no_data", "changed", "rate"];
    suggestion(root, known)
        .filter(|text| text.starts_with("did"))
        .or_else(|| Some(format!("write a comparison, {FORMS}")))
}

fn compare(operator: Operator) -> Option<Compare> {
    match operator {
        Operator::Equal => Some(Compare::Equal),
        Operator::NotEqual => Some(Compare::NotEqual),
        Operator::Less => Some(Compare::Less),
        Operator::LessOrEqual => Some(Compare::LessOrEqual),
        Operator::Greater => Some(Compare::Greater),
        Operator::GreaterOrEqual => Some(Compare::GreaterOrEqual),
        Operator::And | Operator::Or | Operator::Arithmetic => None,
    }
}

/// The comparison with its sides exchanged.
fn flip(compare: Compare) -> Compare {
    match compare {
        Compare::Less => Compare::Greater,
        Compare::LessOrEqual => Compare::GreaterOrEqual,
        Compare::Greater => Compare::Less,
        Compare::GreaterOrEqual => Compare::LessOrEqual,
        Compare::Equal | Compare::NotEqual => compare,
    }
}

fn dotted(names: &[Text]) -> String {
    names.iter().map(|name| name.is.as_str()).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests;
