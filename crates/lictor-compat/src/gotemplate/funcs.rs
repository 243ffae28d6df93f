//! The built-in functions.

use std::cmp::Ordering;

use super::format::{print, printf, println};
use super::value::Value;
use crate::push;

/// Their names.
pub(super) const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

/// Calls one. (`and` and `or` are evaluated where the arguments are.)
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("not", [value]) => Ok(Value::Bool(!value.truth())),
        ("len", [value]) => len(value),
        ("index", [value, places @ ..]) => index(value, places),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            for other in others {
                if equal(first, other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        ("ne", [one, two]) => Ok(Value::Bool(!equal(one, two)?)),
        ("lt", [one, two]) => Ok(Value::Bool(order(one, two)? == Ordering::Less)),
        ("le", [one, two]) => Ok(Value::Bool(order(one, two)? != Ordering::Greater)),
        ("gt", [one, two]) => Ok(Value::Bool(order(one, two)? == Ordering::Greater)),
        ("ge", [one, two]) => Ok(Value::Bool(order(one, two)? != Ordering::Less)),
        ("print", _) => print(arguments).map(Value::text),
        ("println", _) => println(arguments).map(Value::text),
        ("printf", [Value::Text(format), values @ ..]) => printf(format, values).map(Value::text),
        ("printf", [_, ..]) => Err("the first argument of `printf` must be a text".to_owned()),
        ("html", _) => text_of(arguments).map(|text| Value::text(html(&text))),
        ("js", _) => text_of(arguments).map(|text| Value::text(js(&text))),
        ("urlquery", _) => text_of(arguments).map(|text| Value::text(urlquery(&text))),
        _ => Err(format!("`{name}` does not take {} arguments", arguments.len())),
    }
}

/// What stands for the arguments of a function that takes one text: a single text is itself,
/// and anything else is printed.
pub(super) fn text_of(arguments: &[Value]) -> Result<String, String> {
    let shown = |value: &Value| match value {
        Value::Nil => Value::text("<no value>"),
        other => other.clone(),
    };
    match arguments {
        [Value::Text(text)] => Ok(text.to_string()),
        _ => print(&arguments.iter().map(shown).collect::<Vec<_>>()),
    }
}

fn len(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        Value::Map(entries) => entries.values.len(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Record(_) | Value::Time(_) => {
            return Err(format!("{} has no length", value.type_name()));
        }
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(value: &Value, places: &[Value]) -> Result<Value, String> {
    if *value == Value::Nil {
        return Err("nothing cannot be indexed".to_owned());
    }
    let mut found = value.clone();
    for place in places {
        found = match (&found, place) {
            (Value::List(values), Value::Int(number)) => values.get(within(*number, values.len())?).cloned(),
            (Value::Text(text), Value::Int(number)) => {
                text.as_bytes().get(within(*number, text.len())?).map(|byte| Value::Int(i64::from(*byte)))
            }
            (Value::Map(entries), Value::Text(name)) => {
                Some(entries.values.get(&**name).unwrap_or(&entries.missing).clone())
            }
            (value, place) => {
                return Err(format!("{} cannot be indexed with {}", value.type_name(), place.type_name()));
            }
        }
        .unwrap_or_default();
    }
    Ok(found)
}

fn within(number: i64, length: usize) -> Result<usize, String> {
    let place = usize::try_from(number).ok().filter(|place| *place < length);
    place.ok_or_else(|| format!("there is no element {number}: there are {length}"))
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        other => return Err(format!("{} cannot be sliced", other.type_name())),
    };
    if bounds.len() > 2 {
        return Err("`slice` takes two bounds at most".to_owned());
    }
    let bound = |place: usize, default: usize| match bounds.get(place) {
        None => Ok(default),
        Some(Value::Int(number)) => within(*number, length + 1),
        Some(other) => Err(format!("{} is no bound", other.type_name())),
    };
    let (from, to) = (bound(0, 0)?, bound(1, length)?);
    if from > to {
        return Err(format!("the bounds {from} and {to} are the wrong way round"));
    }
    match value {
        Value::List(values) => Ok(Value::list(values.get(from..to).unwrap_or_default().iter().cloned())),
        Value::Text(text) => {
            let bytes = text.as_bytes().get(from..to).unwrap_or_default();
            Ok(Value::text(String::from_utf8_lossy(bytes)))
        }
        _ => Ok(Value::Nil),
    }
}

fn equal(one: &Value, two: &Value) -> Result<bool, String> {
    match (one, two) {
        (Value::Bool(one), Value::Bool(two)) => Ok(one == two),
        (Value::Int(one), Value::Int(two)) => Ok(one == two),
        (Value::Float(one), Value::Float(two)) => Ok(one.total_cmp(two) == Ordering::Equal),
        (Value::Text(one), Value::Text(two)) => Ok(one == two),
        (Value::Time(one), Value::Time(two)) => Ok(one == two),
        (Value::Record(one), Value::Record(two)) if one.name == two.name => Ok(one == two),
        (Value::Nil, other) | (other, Value::Nil) => Ok(*other == Value::Nil),
        (one, two) => Err(format!("{} and {} cannot be compared", one.type_name(), two.type_name())),
    }
}

fn order(one: &Value, two: &Value) -> Result<Ordering, String> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => Ok(one.cmp(two)),
        (Value::Float(one), Value::Float(two)) => {
            one.partial_cmp(two).ok_or_else(|| "a number that is none cannot be compared".to_owned())
        }
        (Value::Text(one), Value::Text(two)) => Ok(one.cmp(two)),
        (one, two) => Err(format!("{} and {} have no order", one.type_name(), two.type_name())),
    }
}

/// `html` of the text templates: other than their own escaping, it leaves `+` as it is.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0' => escaped.push('\u{fffd}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..' ' => {
                push(&mut escaped, format_args!("\\u{:04X}", u32::from(character)));
            }
            other if !other.is_ascii() && other.is_control() => {
                push(&mut escaped, format_args!("\\u{:04X}", u32::from(other)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

pub(super) fn urlquery(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            _ => push(&mut escaped, format_args!("%{byte:02X}")),
        }
    }
    escaped
}
