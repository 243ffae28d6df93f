//! HCL text into the tree.

use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::expr::{BinaryOperator, Expression, ObjectKey, TraversalOperator, UnaryOperator};
use hcl_edit::parser::{Error, parse_body, parse_expr};
use hcl_edit::structure::{BlockLabel, Structure};
use hcl_edit::template::Element;

use super::scan::scan;
use super::tree::{At, Attribute, Block, Body, Is, Operator, Text, Value};
use crate::code::Code;
use crate::problem::Draft;
use crate::source::Span;

/// Reads a file. Statements that cannot be read are left out and reported.
pub(crate) fn read(file: usize, text: &str, problems: &mut Vec<Draft>) -> Body {
    let found = scan(file, text);
    // Sorted, or a file of nothing but mistakes would take the square of their number.
    let mut starts: Vec<usize> = found.problems.iter().map(|draft| draft.span().start).collect();
    starts.sort_unstable();
    let bad = |range: &Range<usize>| {
        let first = starts.partition_point(|start| *start < range.start);
        starts.get(first).is_some_and(|start| *start < range.end)
    };
    let mut body = Body::default();
    for range in &found.statements {
        let statement = text.get(range.clone()).unwrap_or_default();
        if bad(range) || statement.trim().is_empty() {
            continue;
        }
        match parse_body(statement) {
            Ok(parsed) => {
                let place =
                    |inner: Range<usize>| Span::new(file, range.start + inner.start..range.start + inner.end);
                lower_body(&parsed, &place, &mut body);
            }
            Err(error) => problems.push(reword(file, text, range.start, statement, &error)),
        }
    }
    problems.extend(found.problems);
    body
}

/// Reads one expression that is itself a text of the file; `place` says where its bytes are.
pub(crate) fn expression(text: &str, place: &dyn Fn(Range<usize>) -> Span) -> Result<Value, Box<Draft>> {
    // The whole text is one statement: what is too deep or not closed is found first.
    let found = scan(0, text);
    if let Some(problem) = found.problems.into_iter().next() {
        let span = problem.span();
        let draft = Draft::new(problem.code(), place(span.start..span.end), "this is not an expression");
        return Err(Box::new(draft));
    }
    match parse_expr(text) {
        Ok(parsed) => Ok(lower(&parsed, place)),
        Err(error) => {
            let at = error.location().offset().min(text.len());
            let found = text.get(at..).and_then(|rest| rest.chars().next());
            let draft = match found {
                None => Draft::new(Code::Syntax, place(at..at), "the expression is not complete"),
                Some(c) => {
                    let message = format!("unexpected `{c}` in an expression");
                    Draft::new(Code::Syntax, place(at..at + c.len_utf8()), message)
                }
            };
            Err(Box::new(draft.help("write comparisons by `==` and join them by `&&` or `||`")))
        }
    }
}

/// Says in our words what the parser found, at the place in the whole file.
fn reword(file: usize, text: &str, start: usize, statement: &str, error: &Error) -> Draft {
    let offset = error.location().offset().min(statement.len());
    let rest = statement.get(offset..).unwrap_or_default();
    let found = rest.chars().next();
    let length = found.map_or(0, char::len_utf8);
    let span = Span::new(file, start + offset..start + offset + length);
    let what = match found {
        None => "the end of the file".to_owned(),
        Some('\n' | '\r') => "the end of the line".to_owned(),
        Some(c) => format!("`{c}`"),
    };
    let message = error.message();
    if message.contains("unique attribute key") || message.contains("unique object key") {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let key: String = rest.trim_start_matches('"').chars().take_while(|c| word(*c)).collect();
        let span = Span::new(file, start + offset..start + offset + key.len());
        let draft =
            Draft::new(Code::Twice, span, format!("`{key}` is set twice in this block")).label("again here");
        return match earlier(text, start, start + offset, &key) {
            Some(first) => draft.also(Span::new(file, first..first + key.len()), "first here"),
            None => draft,
        };
    }
    let expected = message.split_once("; expected ").map_or("", |(_, expected)| expected);
    if found == Some('=') {
        let draft = Draft::new(Code::Syntax, span, "unexpected `=`");
        return draft.help("set a value by `name = value`; compare by `==`");
    }
    if message.contains("block body") {
        let draft = Draft::new(Code::Syntax, span, format!("unexpected {what} in a block"));
        return draft.help("a block on one line holds at most one attribute; put each on a line of its own");
    }
    if message.contains("escape sequence") || message.contains("hex code") {
        // The parser stops behind what it cannot read.
        let from = statement.get(..offset).and_then(|before| before.rfind('\\')).unwrap_or(offset);
        let escape: String = statement.get(from..).unwrap_or_default().chars().take(2).collect();
        let span = Span::new(file, start + from..start + from + escape.len());
        let draft = Draft::new(Code::Syntax, span, format!("`{escape}` is not an escape"));
        return draft.help("write a backslash twice to mean itself, as in \"\\\\d+\"");
    }
    if message.contains("invalid structure") || message.contains("newline") {
        let draft = Draft::new(Code::Syntax, span, format!("unexpected {what}"));
        return draft.help(
            "set a value by `name = value`, each on its own line; begin a block by `kind \"label\" {`",
        );
    }
    if message.contains("invalid expression") {
        let draft = Draft::new(Code::Syntax, span, format!("a value is expected, not {what}"));
        return draft.help("texts stand in double quotes");
    }
    if expected.is_empty() {
        return Draft::new(Code::Syntax, span, format!("unexpected {what}"));
    }
    Draft::new(Code::Syntax, span, format!("unexpected {what}, expected {expected}"))
}

/// Where the same attribute was set before, as nearly as the lines tell.
fn earlier(text: &str, start: usize, end: usize, key: &str) -> Option<usize> {
    let before = text.get(start..end)?;
    let mut at = start;
    let mut last = None;
    for line in before.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let named = trimmed.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        if named {
            last = Some(at + indent);
        }
        at += line.len();
    }
    last
}

type Place<'a> = &'a dyn Fn(Range<usize>) -> Span;

fn lower_body(parsed: &hcl_edit::structure::Body, place: Place<'_>, into: &mut Body) {
    for structure in parsed {
        match structure {
            Structure::Attribute(attribute) => into.attributes.push(Attribute {
                name: text(attribute.key.as_str(), attribute.key.span(), place),
                value: lower(&attribute.value, place),
            }),
            Structure::Block(block) => {
                let mut body = Body::default();
                lower_body(&block.body, place, &mut body);
                let labels = block.labels.iter().map(|label| match label {
                    BlockLabel::Ident(ident) => text(ident.as_str(), ident.span(), place),
                    BlockLabel::String(string) => text(string.as_str(), string.span(), place),
                });
                let kind = text(block.ident.as_str(), block.ident.span(), place);
                into.blocks.push(Block { kind, labels: labels.collect(), body });
            }
        }
    }
}

fn text(text: &str, span: Option<Range<usize>>, place: Place<'_>) -> Text {
    At { is: text.to_owned(), span: place(span.unwrap_or_default()) }
}

fn lower(parsed: &Expression, place: Place<'_>) -> Value {
    let is = match parsed {
        Expression::Null(_) => Is::Null,
        Expression::Bool(flag) => Is::Flag(**flag),
        Expression::Number(number) => number.as_f64().map_or(Is::Other("a number"), Is::Number),
        Expression::String(string) => Is::Text(string.as_str().to_owned()),
        Expression::HeredocTemplate(heredoc) => literal(heredoc.template.iter()),
        Expression::StringTemplate(template) => literal(template.iter()),
        Expression::Array(items) => Is::List(items.iter().map(|item| lower(item, place)).collect()),
        Expression::Object(object) => {
            let entries =
                object.iter().map(|(key, value)| (lower_key(key, place), lower(value.expr(), place)));
            Is::Map(entries.collect())
        }
        Expression::Parenthesis(inner) => return lower(inner.inner(), place),
        Expression::Variable(name) => Is::Path(vec![text(name.as_str(), name.span(), place)]),
        Expression::Traversal(traversal) => return lower_path(traversal, place),
        Expression::FuncCall(call) if !call.name.is_namespaced() => {
            let name = text(call.name.name.as_str(), call.name.name.span(), place);
            Is::Call(name, call.args.iter().map(|argument| lower(argument, place)).collect())
        }
        Expression::FuncCall(_) => Is::Other("a function call"),
        Expression::UnaryOp(operation) => {
            let inner = lower(&operation.expr, place);
            match (operation.operator.value(), inner.is) {
                (UnaryOperator::Not, is) => Is::Not(Box::new(At { is, span: inner.span })),
                (UnaryOperator::Neg, Is::Number(number)) => Is::Number(-number),
                (UnaryOperator::Neg, _) => Is::Other("arithmetic"),
            }
        }
        Expression::BinaryOp(operation) => {
            let (left, right) = (lower(&operation.lhs_expr, place), lower(&operation.rhs_expr, place));
            Is::Binary(operator(*operation.operator.value()), Box::new(left), Box::new(right))
        }
        Expression::Conditional(_) => Is::Other("a choice by `?`"),
        Expression::ForExpr(_) => Is::Other("a `for` expression"),
    };
    At { is, span: place(parsed.span().unwrap_or_default()) }
}

/// A text of which only the literal parts exist; the scan has refused all others.
fn literal<'a>(elements: impl Iterator<Item = &'a Element>) -> Is {
    let mut whole = String::new();
    for element in elements {
        match element {
            Element::Literal(part) => whole.push_str(part.value()),
            Element::Interpolation(_) | Element::Directive(_) => return Is::Other("a template"),
        }
    }
    Is::Text(whole)
}

fn lower_key(key: &ObjectKey, place: Place<'_>) -> Text {
    match key {
        ObjectKey::Ident(name) => text(name.as_str(), name.span(), place),
        ObjectKey::Expression(expression) => {
            let name = match expression {
                Expression::String(string) => string.as_str().to_owned(),
                Expression::Number(number) => number.value().to_string(),
                other => other.to_string().trim().to_owned(),
            };
            text(&name, expression.span(), place)
        }
    }
}

fn lower_path(traversal: &hcl_edit::expr::Traversal, place: Place<'_>) -> Value {
    let span = place(traversal.span().unwrap_or_default());
    let Is::Path(mut names) = lower(&traversal.expr, place).is else {
        return At { is: Is::Other("an access to a part of a value"), span };
    };
    for step in &traversal.operators {
        match step.value() {
            TraversalOperator::GetAttr(name) => names.push(text(name.as_str(), name.span(), place)),
            TraversalOperator::Index(Expression::String(name)) => {
                names.push(text(name.as_str(), name.span(), place));
            }
            TraversalOperator::LegacyIndex(number) => {
                names.push(text(&number.value().to_string(), number.span(), place));
            }
            TraversalOperator::Index(_)
            | TraversalOperator::AttrSplat(_)
            | TraversalOperator::FullSplat(_) => {
                return At { is: Is::Other("an access to a part of a value"), span };
            }
        }
    }
    At { is: Is::Path(names), span }
}

fn operator(operator: BinaryOperator) -> Operator {
    match operator {
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Less => Operator::Less,
        BinaryOperator::LessEq => Operator::LessOrEqual,
        BinaryOperator::Greater => Operator::Greater,
        BinaryOperator::GreaterEq => Operator::GreaterOrEqual,
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Mul
        | BinaryOperator::Div
        | BinaryOperator::Mod => Operator::Arithmetic,
    }
}
