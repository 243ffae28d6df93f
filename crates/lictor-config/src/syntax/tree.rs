//! The tree that both notations are read into: what is written, with places, and
//! nothing yet of what it means.

use crate::source::Span;

/// Something with a place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) is: T,
    pub(crate) span: Span,
}

/// A name or other bare text with a place.
pub(crate) type Text = At<String>;

/// What stands between two braces, or in a whole file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<Block>,
}

/// `name = value`.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: Text,
    pub(crate) value: Value,
}

/// `kind "label" { … }`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: Text,
    pub(crate) labels: Vec<Text>,
    pub(crate) body: Body,
}

impl Block {
    /// The block as it begins, for messages: `watch "http" "shop"`.
    pub(crate) fn title(&self) -> String {
        self.labels.iter().fold(self.kind.is.clone(), |title, label| title + " \"" + &label.is + "\"")
    }

    /// The place of the block's first line.
    pub(crate) fn head(&self) -> Span {
        let end = self.labels.last().map_or(self.kind.span.end, |label| label.span.end);
        Span { end: end.max(self.kind.span.end), ..self.kind.span }
    }
}

/// A value or expression.
pub(crate) type Value = At<Is>;

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Is {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Text, Value)>),
    /// `a.b["c"]`
    Path(Vec<Text>),
    /// `name(arguments)`
    Call(Text, Vec<Value>),
    Not(Box<Value>),
    Binary(Operator, Box<Value>, Box<Value>),
    /// Something of the notation that this language does not use.
    Other(&'static str),
}

/// An operator between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Arithmetic,
}

impl Is {
    /// What it is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
            Self::Path(_) => "a reference",
            Self::Call(..) => "a function call",
            Self::Not(_) | Self::Binary(..) => "an expression",
            Self::Other(what) => what,
        }
    }
}

impl Value {
    /// Calls `each` for every text in it.
    pub(crate) fn texts(&self, each: &mut dyn FnMut(Span)) {
        match &self.is {
            Is::Text(_) => each(self.span),
            Is::List(items) | Is::Call(_, items) => items.iter().for_each(|item| item.texts(each)),
            Is::Map(entries) => entries.iter().for_each(|(_, value)| value.texts(each)),
            Is::Not(inner) => inner.texts(each),
            Is::Binary(_, left, right) => {
                left.texts(each);
                right.texts(each);
            }
            Is::Null | Is::Flag(_) | Is::Number(_) | Is::Path(_) | Is::Other(_) => {}
        }
    }
}

impl Body {
    /// Calls `each` for every text that is a value in it.
    pub(crate) fn texts(&self, each: &mut dyn FnMut(Span)) {
        self.attributes.iter().for_each(|attribute| attribute.value.texts(each));
        self.blocks.iter().for_each(|block| block.body.texts(each));
    }
}
