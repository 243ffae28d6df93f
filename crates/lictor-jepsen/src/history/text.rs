//! Entries as lines of JSON or EDN.

use serde_json::Value;

use super::edn::{self, Edn};
use super::reader::Format;
use super::{Kind, Op, Process};

/// Appends an entry, without the end of the line.
pub(super) fn put(out: &mut String, op: &Op, format: Format) {
    match format {
        // An entry has no map whose keys are not text, which is all that can go wrong.
        Format::Json => out.push_str(&serde_json::to_string(op).unwrap_or_default()),
        Format::Edn => to_edn(op).put(out),
    }
}

/// An entry as Jepsen has it.
pub(super) fn to_edn(op: &Op) -> Edn {
    let word = |text: &str| Edn::word(text);
    let number = |number: u64| Edn::Number(number.into());
    let process = match op.process {
        Process::Client(process) => number(process),
        Process::Nemesis => word("nemesis"),
    };
    let mut fields = vec![
        ("index", number(op.index)),
        ("time", number(op.time)),
        ("process", process),
        ("type", word(op.kind.name())),
        ("f", word(&op.f)),
    ];
    if let Some(key) = &op.key {
        fields.push(("key", Edn::from_json(key)));
    }
    fields.push(("value", if op.f == "txn" { transaction(&op.value) } else { Edn::from_json(&op.value) }));
    let texts = [("node", &op.node), ("error", &op.error)];
    fields.extend(texts.iter().filter_map(|(name, text)| Some((*name, Edn::Text(text.as_ref()?.clone())))));
    let numbers = [("latency_ns", op.latency_ns), ("consul_index", op.consul_index)];
    fields.extend(numbers.iter().filter_map(|(name, value)| Some((*name, number((*value)?)))));
    Edn::Map(fields.into_iter().map(|(name, value)| (word(name), value)).collect())
}

/// The verbs of a transaction are keywords.
fn transaction(value: &Value) -> Edn {
    let Value::Array(steps) = value else { return Edn::from_json(value) };
    let step = |step: &Value| match step.as_array().map(Vec::as_slice) {
        Some([Value::String(verb), rest @ ..]) => {
            Edn::List(std::iter::once(Edn::word(verb)).chain(rest.iter().map(Edn::from_json)).collect())
        }
        _ => Edn::from_json(step),
    };
    Edn::List(steps.iter().map(step).collect())
}

/// An entry of what stands in a map of EDN; `position` is its index if it says none.
pub(super) fn from_edn(edn: &Edn, position: u64) -> Result<Op, String> {
    let Edn::Map(fields) = edn else { return Err("an entry is a map".into()) };
    let field = |name: &str| fields.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value);
    let number = |name: &str| match field(name) {
        None | Some(Edn::Nil) => Ok(None),
        Some(Edn::Number(number)) => number
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("`:{name}` is {number}, not a whole number from 0")),
        Some(other) => Err(format!("`:{name}` is {other}, not a number")),
    };
    let word = |name: &str| {
        let value = field(name).ok_or_else(|| format!("an entry has no `:{name}`"))?;
        value.text().map(str::to_owned).ok_or_else(|| format!("`:{name}` is {value}, not a word"))
    };
    let json = |name: &str| field(name).map_or(Ok(Value::Null), edn::Edn::to_json);
    let text = |name: &str| -> Result<Option<String>, String> {
        Ok(match field(name) {
            None | Some(Edn::Nil) => None,
            // Jepsen's errors are words, or lists of them.
            Some(value) => Some(value.text().map_or_else(|| value.to_string(), str::to_owned)),
        })
    };
    let process = match field("process") {
        Some(value) if value.text() == Some("nemesis") => Process::Nemesis,
        Some(_) => Process::Client(number("process")?.ok_or("`:process` is nil")?),
        None => return Err("an entry has no `:process`".into()),
    };
    let kind = word("type")?;
    Ok(Op {
        index: number("index")?.unwrap_or(position),
        time: number("time")?.unwrap_or_default(),
        process,
        kind: Kind::named(&kind).ok_or_else(|| format!("`:type` is {kind}, not invoke, ok, fail or info"))?,
        f: word("f")?,
        key: Some(json("key")?).filter(|key| !key.is_null()),
        value: json("value")?,
        node: text("node")?,
        error: text("error")?,
        latency_ns: number("latency_ns")?,
        consul_index: number("consul_index")?,
    })
}
