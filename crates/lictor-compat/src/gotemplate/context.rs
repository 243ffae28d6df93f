//! Where in a page the next thing is written.

use super::{escape, funcs};

/// The place up to which a page was written.
#[derive(Debug, Default)]
pub(super) struct Context {
    state: State,
    /// The element that was opened last, if its content is no ordinary text.
    element: Element,
    /// The name of the attribute, as far as it is known.
    name: String,
    attribute: Attribute,
    quote: Option<char>,
    /// The address has begun; and is behind its `?` or `#`.
    address: Address,
    /// The quote or parenthesis that is open in a style.
    style_quote: Option<char>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Text,
    Comment,
    /// Between the attributes of a tag.
    Tag,
    Name,
    AfterName,
    BeforeValue,
    Value,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Element {
    #[default]
    Ordinary,
    Title,
    Textarea,
    Script,
    Style,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Attribute {
    #[default]
    Plain,
    Address,
    Style,
    Script,
    /// A list of addresses, or a page in a page.
    Other,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Address {
    #[default]
    Empty,
    Begun,
    Query,
}

const BLANKS: [char; 5] = [' ', '\t', '\n', '\x0c', '\r'];

/// Attributes that are addresses.
const ADDRESSES: &[&str] = &[
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "xmlns",
];

/// The function at the end of a pipeline that escapes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Done {
    /// There is none.
    Nothing,
    /// `html`.
    Html,
    /// `urlquery`.
    Query,
}

impl Context {
    /// Whether a page may end here.
    pub(super) fn ends(&self) -> bool {
        self.state == State::Text && matches!(self.element, Element::Ordinary)
    }

    /// Writes a value.
    pub(super) fn value(&mut self, text: &str, done: Done, page: &mut String) -> Result<(), String> {
        match self.state {
            State::Text => page.push_str(&match (self.element, done) {
                (Element::Ordinary | Element::Title | Element::Textarea, Done::Html) => funcs::html(text),
                (Element::Ordinary | Element::Title | Element::Textarea, _) => {
                    escape::html(&done.before(text))
                }
                (Element::Style, _) => self.style_value(&done.before(text))?,
                (Element::Script, _) => return Err(beyond("inside a script")),
            }),
            State::Comment => {}
            State::Tag | State::Name | State::AfterName => {
                let name = escape::name(&done.before(text), |name| attribute(name) == Attribute::Plain);
                page.push_str(&name);
                if self.state != State::Name {
                    self.name.clear();
                }
                self.name.push_str(&name);
                self.state = State::Name;
            }
            State::BeforeValue => {
                self.begin_value(None);
                self.attribute_value(text, done, page)?;
            }
            State::Value => self.attribute_value(text, done, page)?,
        }
        Ok(())
    }

    fn attribute_value(&mut self, text: &str, done: Done, page: &mut String) -> Result<(), String> {
        if self.quote.is_none() && done == Done::Html {
            return Err("`html` does not escape enough for an attribute without quotes".to_owned());
        }
        let query = if done == Done::Query { funcs::urlquery(text) } else { text.to_owned() };
        let value = match self.attribute {
            Attribute::Plain => query,
            Attribute::Style => self.style_value(&query)?,
            Attribute::Address => {
                let before = self.address;
                self.address = before.max_begun();
                let safe =
                    if before == Address::Empty { escape::address_start(text) } else { text.to_owned() };
                match before {
                    _ if done == Done::Query => funcs::urlquery(&safe),
                    Address::Query => escape::query(&safe),
                    Address::Empty | Address::Begun => escape::address(&safe),
                }
            }
            Attribute::Script => return Err(beyond("in an attribute that is a script")),
            Attribute::Other => return Err(beyond(&format!("in the attribute `{}`", self.name))),
        };
        page.push_str(&match self.quote {
            Some(_) if done == Done::Html => funcs::html(&value),
            Some(_) => escape::html(&value),
            None => escape::unquoted(&value),
        });
        Ok(())
    }

    fn style_value(&self, text: &str) -> Result<String, String> {
        if self.style_quote.is_some() {
            return Err(beyond("in quotes or an address inside a style"));
        }
        Ok(escape::style(text))
    }

    /// Writes what the template itself says.
    pub(super) fn text(&mut self, text: &str, page: &mut String) -> Result<(), String> {
        let mut rest = text;
        while !rest.is_empty() {
            let before = (self.state, self.element, rest.len());
            rest = match self.state {
                State::Text => match self.element {
                    Element::Ordinary => self.ordinary(rest, page),
                    Element::Title | Element::Textarea | Element::Script | Element::Style => {
                        self.special(rest, page)
                    }
                },
                State::Comment => match rest.find("-->") {
                    Some(end) => {
                        self.state = State::Text;
                        rest.get(end + 3..).unwrap_or_default()
                    }
                    None => "",
                },
                State::Tag => self.tag(rest, page)?,
                State::Name => self.attribute_name(rest, page)?,
                State::AfterName => self.after_name(rest, page),
                State::BeforeValue => self.before_value(rest, page),
                State::Value => self.attribute_text(rest, page)?,
            };
            debug_assert!(before != (self.state, self.element, rest.len()), "no step at {rest:?}");
        }
        Ok(())
    }

    fn ordinary<'a>(&mut self, text: &'a str, page: &mut String) -> &'a str {
        let Some(place) = text.find('<') else {
            page.push_str(text);
            return "";
        };
        let (before, rest) = text.split_at(place);
        page.push_str(before);
        if let Some(comment) = rest.strip_prefix("<!--") {
            self.state = State::Comment;
            return comment;
        }
        let inner = rest.get(1..).unwrap_or_default();
        let closing = inner.starts_with('/');
        let name = inner.strip_prefix('/').unwrap_or(inner);
        if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            let other =
                |character: char| !character.is_ascii_alphanumeric() && !matches!(character, ':' | '-');
            let length = name.find(other).unwrap_or(name.len());
            let (tag, after) = name.split_at(length);
            self.element = if closing { Element::Ordinary } else { Element::of(tag) };
            self.state = State::Tag;
            page.push_str(if closing { "</" } else { "<" });
            page.push_str(tag);
            return after;
        }
        let doctype = rest.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"));
        page.push_str(if doctype { "<" } else { "&lt;" });
        inner
    }

    /// The content of an element that ends at its own tag only.
    fn special<'a>(&mut self, text: &'a str, page: &mut String) -> &'a str {
        let end = self.element.end(text).unwrap_or(text.len());
        let (content, rest) = text.split_at(end);
        match self.element {
            Element::Title | Element::Textarea => page.push_str(&content.replace('<', "&lt;")),
            Element::Style => {
                self.style_quote = style_quote(self.style_quote, content);
                page.push_str(content);
            }
            Element::Ordinary | Element::Script => page.push_str(content),
        }
        if !rest.is_empty() {
            self.element = Element::Ordinary;
            self.style_quote = None;
        }
        rest
    }

    fn tag<'a>(&mut self, text: &'a str, page: &mut String) -> Result<&'a str, String> {
        let rest = blanks(text, page);
        if let Some(after) = rest.strip_prefix('>') {
            page.push('>');
            self.state = State::Text;
            return Ok(after);
        }
        if rest.starts_with(['=', '"', '\'', '<']) {
            let found = rest.chars().next().unwrap_or_default();
            return Err(format!("`{found}` where a tag has the name of an attribute"));
        }
        if !rest.is_empty() {
            self.name.clear();
            self.state = State::Name;
        }
        Ok(rest)
    }

    fn attribute_name<'a>(&mut self, text: &'a str, page: &mut String) -> Result<&'a str, String> {
        let end = text.find(|next| BLANKS.contains(&next) || matches!(next, '=' | '>')).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if let Some(found) = name.chars().find(|next| matches!(next, '"' | '\'' | '<')) {
            return Err(format!("`{found}` in the name of an attribute"));
        }
        self.name.push_str(&name.to_ascii_lowercase());
        page.push_str(name);
        if !rest.is_empty() {
            self.attribute = attribute(&self.name);
            self.state = State::AfterName;
        }
        Ok(rest)
    }

    fn after_name<'a>(&mut self, text: &'a str, page: &mut String) -> &'a str {
        let rest = blanks(text, page);
        if let Some(after) = rest.strip_prefix('=') {
            page.push('=');
            self.state = State::BeforeValue;
            return after;
        }
        if !rest.is_empty() {
            self.state = State::Tag;
        }
        rest
    }

    fn before_value<'a>(&mut self, text: &'a str, page: &mut String) -> &'a str {
        let rest = blanks(text, page);
        match rest.chars().next() {
            None => "",
            Some(quote @ ('"' | '\'')) => {
                page.push(quote);
                self.begin_value(Some(quote));
                rest.get(1..).unwrap_or_default()
            }
            Some(_) => {
                self.begin_value(None);
                rest
            }
        }
    }

    fn begin_value(&mut self, quote: Option<char>) {
        self.state = State::Value;
        self.quote = quote;
        self.address = Address::Empty;
        self.style_quote = None;
        if quote.is_none() && self.attribute == Attribute::Plain {
            self.attribute = attribute(&self.name);
        }
    }

    fn attribute_text<'a>(&mut self, text: &'a str, page: &mut String) -> Result<&'a str, String> {
        let end = match self.quote {
            Some(quote) => text.find(quote),
            None => text.find(|next| BLANKS.contains(&next) || next == '>'),
        };
        let (value, rest) = text.split_at(end.unwrap_or(text.len()));
        if let (None, Some(found)) =
            (self.quote, value.chars().find(|next| matches!(next, '"' | '\'' | '<' | '=' | '`')))
        {
            return Err(format!("`{found}` in the value of an attribute without quotes"));
        }
        page.push_str(value);
        match self.attribute {
            Attribute::Address if value.contains(['?', '#']) => self.address = Address::Query,
            Attribute::Address if !value.trim().is_empty() => self.address = self.address.max_begun(),
            Attribute::Style => {
                self.style_quote = style_quote(self.style_quote, &value.replace("&#39;", "'"));
            }
            Attribute::Address | Attribute::Plain | Attribute::Script | Attribute::Other => {}
        }
        if end.is_none() {
            return Ok("");
        }
        self.state = State::Tag;
        match self.quote {
            Some(quote) => {
                page.push(quote);
                Ok(rest.get(1..).unwrap_or_default())
            }
            None => Ok(rest),
        }
    }
}

impl Done {
    /// What the function gives, where nothing else escapes as it does.
    fn before(self, text: &str) -> String {
        match self {
            Self::Nothing => text.to_owned(),
            Self::Html => funcs::html(text),
            Self::Query => funcs::urlquery(text),
        }
    }
}

impl Address {
    const fn max_begun(self) -> Self {
        match self {
            Self::Empty | Self::Begun => Self::Begun,
            Self::Query => Self::Query,
        }
    }
}

impl Element {
    fn of(tag: &str) -> Self {
        match tag.to_ascii_lowercase().as_str() {
            "title" => Self::Title,
            "textarea" => Self::Textarea,
            "script" => Self::Script,
            "style" => Self::Style,
            _ => Self::Ordinary,
        }
    }

    /// Where its closing tag begins.
    fn end(self, text: &str) -> Option<usize> {
        let name = match self {
            Self::Ordinary => return Some(0),
            Self::Title => "title",
            Self::Textarea => "textarea",
            Self::Script => "script",
            Self::Style => "style",
        };
        text.match_indices("</").map(|(place, _)| place).find(|place| {
            let inner = text.get(place + 2..).unwrap_or_default();
            let named = inner.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
            let after = inner.get(name.len()..).unwrap_or_default();
            named && after.starts_with(['>', '/', ' ', '\t', '\n', '\x0c'])
        })
    }
}

/// What an attribute of this name holds.
fn attribute(name: &str) -> Attribute {
    let lower = name.to_ascii_lowercase();
    let plain = lower.strip_prefix("data-").unwrap_or(&lower);
    let plain = match plain.split_once(':') {
        Some(("xmlns", _)) => return Attribute::Address,
        Some((_, local)) => local,
        None => plain,
    };
    match plain {
        "style" => Attribute::Style,
        "srcset" | "srcdoc" => Attribute::Other,
        _ if ADDRESSES.contains(&plain) => Attribute::Address,
        _ if plain.starts_with("on") => Attribute::Script,
        _ if ["src", "uri", "url"].iter().any(|part| plain.contains(part)) => Attribute::Address,
        _ => Attribute::Plain,
    }
}

/// The quote or parenthesis that is open behind a piece of a style.
fn style_quote(open: Option<char>, style: &str) -> Option<char> {
    let mut open = open;
    let mut escaped = false;
    for (place, character) in style.char_indices() {
        match (open, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(quote), _) if quote == character => open = None,
            (None, '"' | '\'') => open = Some(character),
            (None, '(') => {
                let before = style.as_bytes().get(place.saturating_sub(3)..place);
                let address = before.is_some_and(|before| before.eq_ignore_ascii_case(b"url"));
                open = address.then_some(')');
            }
            _ => {}
        }
    }
    open
}

fn blanks<'a>(text: &'a str, page: &mut String) -> &'a str {
    let rest = text.trim_start_matches(BLANKS);
    page.push_str(text.get(..text.len() - rest.len()).unwrap_or_default());
    rest
}

fn beyond(place: &str) -> String {
    format!("a value {place} is not supported: there is no rule that escapes it")
}
