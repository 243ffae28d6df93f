//! What templates work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gotime::Moment;

/// A value of a template. Copies are cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing at all.
    #[default]
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Values in order.
    List(Arc<[Self]>),
    /// Values by name.
    Map(Arc<Entries>),
    /// A structure with fields and methods.
    Record(Arc<Record>),
    /// A time.
    Time(Arc<Moment>),
}

/// The entries of a map, all of one type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    /// By name.
    pub values: BTreeMap<String, Value>,
    /// What `index` gives for a name that it does not have; as a field it is nothing.
    pub missing: Value,
}

/// A structure: other than a map, it does not have any other fields than these.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What errors call it.
    pub name: &'static str,
    /// Its fields, in order.
    pub fields: Vec<(&'static str, Value)>,
    /// Its methods without arguments, and what they give.
    pub methods: Vec<(&'static str, Value)>,
}

impl Value {
    /// A text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// A list.
    pub fn list(values: impl IntoIterator<Item = Self>) -> Self {
        Self::List(values.into_iter().collect())
    }

    /// A map in which what is missing is nothing.
    pub fn map<N: Into<String>>(values: impl IntoIterator<Item = (N, Self)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self::Map(Arc::new(Entries { values, missing: Self::Nil }))
    }

    /// A structure.
    pub fn record(record: Record) -> Self {
        Self::Record(Arc::new(record))
    }

    /// Whether a condition takes it as true: nothing, no, zero and what is empty are not.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(yes) => *yes,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Map(entries) => !entries.values.is_empty(),
            Self::Record(_) | Self::Time(_) => true,
        }
    }

    /// What errors call it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nothing",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Record(record) => record.name,
            Self::Time(_) => "a time",
        }
    }
}

impl Record {
    /// A field, or what a method gives.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let mut all = self.fields.iter().chain(&self.methods);
        all.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}
