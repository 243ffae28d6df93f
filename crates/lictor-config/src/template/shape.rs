//! JSON with templates in it: the document is built by value, so that nothing a check printed can
//! change its form.

use serde_json::{Map, Value};

use super::{Template, TemplateError, check_expression, evaluate};

/// The key of an object that stands in a list once for each of what its expression gives, which
/// is called `item` within.
const EACH: &str = "$each";

/// JSON whose texts are templates.
///
/// A text that begins with `=` is an expression whose value stands in its place; an entry of an
/// object whose expression gives nothing is left out. In a list, an object with the entry
/// `"$each": "items"` stands once for each of `items`, as `item`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape(Value);

impl Shape {
    /// The shape of a document, after it has been tried with every kind of message.
    ///
    /// # Errors
    /// The text that has a mistake, and what is wrong with it.
    pub fn new(document: Value) -> Result<Self, (String, TemplateError)> {
        let shape = Self(document);
        check(&shape.0, &[])?;
        for message in super::view::samples() {
            shape.render(&super::view::of(&message)).map_err(|error| (String::new(), error))?;
        }
        Ok(shape)
    }

    /// A shape of ours, as JSON. One that is none is `null`, which the tests find.
    pub fn trusted(json: &str) -> Self {
        Self(serde_json::from_str(json).unwrap_or_default())
    }

    /// The document for a message.
    ///
    /// # Errors
    /// When a template cannot be filled in with what this message holds.
    pub fn render(&self, view: &Value) -> Result<Value, TemplateError> {
        fill(&self.0, view)
    }
}

fn fill(shape: &Value, view: &Value) -> Result<Value, TemplateError> {
    match shape {
        Value::String(text) => match text.strip_prefix('=') {
            Some(expression) => evaluate(expression, view),
            None if text.contains('{') => Template::trusted(text).render(view).map(Value::String),
            None => Ok(Value::String(text.clone())),
        },
        Value::Array(items) => {
            let mut filled = Vec::new();
            for item in items {
                match each(item) {
                    Some((of, inner)) => {
                        for one in repeated(of, inner, view)? {
                            filled.push(one);
                        }
                    }
                    None => filled.push(fill(item, view)?),
                }
            }
            Ok(Value::Array(filled))
        }
        Value::Object(entries) => {
            let mut filled = Map::new();
            for (name, inner) in entries {
                let value = fill(inner, view)?;
                let optional = inner.as_str().is_some_and(|text| text.starts_with('='));
                if !(optional && value.is_null()) {
                    filled.insert(name.clone(), value);
                }
            }
            Ok(Value::Object(filled))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(shape.clone()),
    }
}

/// What is repeated in a list, and for what.
fn each(item: &Value) -> Option<(&str, Value)> {
    let entries = item.as_object()?;
    let of = entries.get(EACH)?.as_str()?;
    // With an entry `=`, that value stands there and not an object.
    if let Some(only) = entries.get("=") {
        return Some((of, only.clone()));
    }
    let inner = entries.iter().filter(|(name, _)| *name != EACH);
    Some((of, Value::Object(inner.map(|(name, value)| (name.clone(), value.clone())).collect())))
}

fn repeated(of: &str, inner: Value, view: &Value) -> Result<Vec<Value>, TemplateError> {
    let found = evaluate(of, view)?;
    let mut scope = view.clone();
    let items = found.as_array().cloned().unwrap_or_default();
    let one = |item: Value| {
        if let Some(scope) = scope.as_object_mut() {
            scope.insert("item".to_owned(), item);
        }
        fill(&inner, &scope)
    };
    items.into_iter().map(one).collect()
}

/// Whether every text in it can be read.
fn check(shape: &Value, besides: &[&str]) -> Result<(), (String, TemplateError)> {
    match shape {
        Value::String(text) => {
            let checked = match text.strip_prefix('=') {
                Some(expression) => check_expression(expression),
                None => Template::trusted(text).check(besides),
            };
            checked.map_err(|error| (text.clone(), error))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check(item, besides)),
        Value::Object(entries) => {
            if let Some(Value::String(of)) = entries.get(EACH) {
                check_expression(of).map_err(|error| (of.clone(), error))?;
                let mut inner = entries.iter().filter(|(name, _)| *name != EACH);
                return inner.try_for_each(|(_, value)| check(value, besides));
            }
            entries.values().try_for_each(|value| check(value, besides))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}
