//! What is written, in one form: comments, layout, and the order of attributes aside.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::tree::{Block, Body, Is, Operator, Value};

/// The SHA-256 of a block's canonical text, in hexadecimal.
pub(crate) fn digest(block: &Block) -> String {
    let mut text = String::new();
    write_block(block, &mut text);
    hash(&text)
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

fn write_block(block: &Block, out: &mut String) {
    out.push_str(&block.kind.is);
    for label in &block.labels {
        write!(out, " {:?}", label.is).ok();
    }
    write_body(&block.body, out);
}

fn write_body(body: &Body, out: &mut String) {
    out.push('{');
    let mut attributes: Vec<(&str, String)> = body
        .attributes
        .iter()
        .map(|attribute| (attribute.name.is.as_str(), written(&attribute.value)))
        .collect();
    // `flap { … }` is another way to write `flap = { … }`.
    let is_object = |block: &&Block| block.labels.is_empty() && block.body.blocks.is_empty();
    for block in body.blocks.iter().filter(is_object) {
        let mut inner = String::new();
        write_body(&block.body, &mut inner);
        attributes.push((block.kind.is.as_str(), inner));
    }
    attributes.sort();
    for (name, value) in attributes {
        write!(out, "{name:?}={value};").ok();
    }
    for block in body.blocks.iter().filter(|block| !is_object(block)) {
        write_block(block, out);
    }
    out.push('}');
}

fn written(value: &Value) -> String {
    let mut text = String::new();
    write_value(value, &mut text);
    text
}

fn write_value(value: &Value, out: &mut String) {
    let list = |items: &[Value], out: &mut String| {
        for item in items {
            write_value(item, out);
            out.push(',');
        }
    };
    match &value.is {
        Is::Null => out.push_str("null"),
        Is::Flag(flag) => write!(out, "{flag}").unwrap_or_default(),
        Is::Number(number) => write!(out, "{number}").unwrap_or_default(),
        Is::Text(text) => write!(out, "{text:?}").unwrap_or_default(),
        Is::List(items) => {
            out.push('[');
            list(items, out);
            out.push(']');
        }
        Is::Map(entries) => {
            let mut entries: Vec<(&str, String)> =
                entries.iter().map(|(name, value)| (name.is.as_str(), written(value))).collect();
            entries.sort();
            out.push('{');
            for (name, value) in entries {
                write!(out, "{name:?}={value};").ok();
            }
            out.push('}');
        }
        Is::Path(names) => {
            for name in names {
                write!(out, "[{:?}]", name.is).ok();
            }
        }
        Is::Call(name, arguments) => {
            out.push_str(&name.is);
            out.push('(');
            list(arguments, out);
            out.push(')');
        }
        Is::Not(inner) => {
            out.push('!');
            write_value(inner, out);
        }
        Is::Binary(operator, left, right) => {
            out.push('(');
            write_value(left, out);
            out.push_str(symbol(*operator));
            write_value(right, out);
            out.push(')');
        }
        Is::Other(what) => out.push_str(what),
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::And => "&&",
        Operator::Or => "||",
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Arithmetic => "?",
    }
}
