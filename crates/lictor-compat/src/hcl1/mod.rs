//! Reading configuration in the first version of HCL, and in JSON with the same meaning.
//!
//! Of a file that begins with `{` everything is JSON. Names may stand more than once, as `name = value` and as blocks; what
//! that means is the affair of who asks. `name "label" { … }` is `name { label { … } }`.

mod lex;
mod parse;

use std::fmt;

/// Longest text that is read, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// Reads a text.
///
/// # Errors
/// The first mistake.
pub(crate) fn read(text: &str) -> Result<Object, SyntaxError> {
    if text.len() > LONGEST {
        return Err(SyntaxError { at: Place::START, why: "the file has more than 1 MiB".to_owned() });
    }
    parse::document(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) at: Place,
    pub(crate) why: String,
}

/// Names with values, in their order.
pub(crate) type Object = Vec<Entry>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) at: Place,
    pub(crate) node: Node,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Object(Object),
}

impl Value {
    /// What it is, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "a block",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value in one line.
    fn shown(value: &Value) -> String {
        match value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => format!("{value:?}"),
            Value::Text(value) => format!("{value:?}"),
            Value::List(nodes) => {
                let inner: Vec<_> = nodes.iter().map(|node| shown(&node.value)).collect();
                format!("[{}]", inner.join(" "))
            }
            Value::Object(entries) => format!("{{{}}}", listed(entries)),
        }
    }

    fn listed(entries: &[Entry]) -> String {
        let entry = |entry: &Entry| format!("{}={}", entry.name, shown(&entry.node.value));
        entries.iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    fn of(text: &str) -> String {
        match read(text) {
            Ok(entries) => listed(&entries),
            Err(SyntaxError { at, why }) => format!("{at}: {why}"),
        }
    }

    #[test]
    fn names_have_values_or_blocks() {
        assert_eq!(of(""), "");
        assert_eq!(of("a = 1"), "a=1");
        assert_eq!(of("a = 1 b = true\nc-d.e_2 = \"x\""), "a=1 b=true c-d.e_2=\"x\"");
        assert_eq!(of("a { b = 1, c { } }"), "a={b=1 c={}}");
        assert_eq!(of("a = { \"b\" = [] }"), "a={b=[]}");
        assert_eq!(of("\u{feff}größe = 1"), "größe=1");
    }

    #[test]
    fn a_name_may_stand_more_than_once() {
        assert_eq!(of("p = \"a\"\np = \"b\"\np { }"), "p=\"a\" p=\"b\" p={}");
    }

    #[test]
    fn a_label_is_a_block_in_the_block() {
        assert_eq!(of("a \"b\" c { d = 1 }"), "a={b={c={d=1}}}");
        assert_eq!(of("a \"b\" = 1"), "1:7: a value cannot follow a label; `{` is expected");
    }

    #[test]
    fn comments_are_passed_over() {
        assert_eq!(of("# x\na = 1 // y\n/* z\n = { */ b = 2 #"), "a=1 b=2");
        assert_eq!(of("a = 1 /* b"), "1:7: the comment does not end");
        assert_eq!(of("a = 1 / b"), "1:7: `/` begins nothing here");
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_octal_or_with_a_point() {
        assert_eq!(of("a = 5s"), "1:5: `5s` is no number that can be used");
        assert_eq!(of("a = [0, -7, 0x1F, 017, 1.5, -1e3, .5]"), "a=[0 -7 31 15 1.5 -1000.0 0.5]");
        assert_eq!(of("a = 9223372036854775807"), "a=9223372036854775807");
        assert_eq!(of("a = 9223372036854775808"), "1:5: `9223372036854775808` is no number that can be used");
        assert_eq!(of("a = 09"), "1:5: `09` is no number that can be used");
    }

    #[test]
    fn texts_have_escapes() {
        assert_eq!(of(r#"a = "\"\\\n\t\x41\u00e9\U0001F980\101""#), "a=\"\\\"\\\\\\n\\tAé🦀A\"");
        assert_eq!(of("a = \"${x(\"b\\q\",\n{})} $ }\""), r#"a="${x(\"b\\q\",\n{})} $ }""#);
        assert_eq!(of("a = \"x\ny\""), "1:5: the text does not end");
        assert_eq!(of("a = \"x"), "1:5: the text does not end");
        assert_eq!(of(r#"a = "\q""#), "1:6: `\\q` is no escape");
        assert_eq!(of(r#"a = "\ud800""#), "1:6: the escape is no character");
    }

    #[test]
    fn here_documents_are_texts_of_lines() {
        assert_eq!(of("a = <<X\n one\n  two\nX\nb = 1"), "a=\" one\\n  two\\n\" b=1");
        assert_eq!(of("a = <<-X\r\n  one\n    two\n  X\n"), "a=\"one\\n  two\\n\"");
        assert_eq!(of("a = <<-X\n  one\n two\n  X\n"), "a=\"  one\\n two\\n\"");
        assert_eq!(of("a = <<X\nX"), "a=\"\"");
        assert_eq!(of("a = <<X\none\n"), "1:5: the here-document does not end: no line is `X`");
        assert_eq!(
            of("a = <<\n"),
            "1:5: a here-document begins with `<<NAME` or `<<-NAME` and the end of the line"
        );
        assert_eq!(
            of("a = <X"),
            "1:5: a here-document begins with `<<NAME` or `<<-NAME` and the end of the line"
        );
    }

    #[test]
    fn lists_hold_values_and_blocks() {
        assert_eq!(of("a = [1, \"b\", [true], { c = 2 },\n]"), "a=[1 \"b\" [true] {c=2}]");
        assert_eq!(of("a = [1 2]"), "1:8: `,` or `]` is expected");
        assert_eq!(of("a = [1"), "1:7: `,` or `]` is expected");
    }

    #[test]
    fn a_mistake_has_its_place() {
        assert_eq!(of("a"), "1:2: `=` or `{` is expected");
        assert_eq!(of("\n  invalid\n"), "3:1: `=` or `{` is expected");
        assert_eq!(of("a = b"), "1:5: `b` is no value");
        assert_eq!(of("a ="), "1:4: a value is expected");
        assert_eq!(of("a {"), "1:4: a name or `}` is expected");
        assert_eq!(of("}"), "1:1: a name is expected");
        assert_eq!(of("a = 1 ]"), "1:7: a name is expected");
        assert_eq!(of("é = \0"), "1:5: `\\u{0}` begins nothing here");
    }

    #[test]
    fn json_means_the_same() {
        assert_eq!(
            of(r#" { "a": {"b": [1, -2.5, {"c": "\/\ud83e\udd80"}]}, "d": false, "a": 1 } "#),
            r#"a={b=[1 -2.5 {c="/🦀"}]} d=false a=1"#
        );
        assert_eq!(of("{}"), "");
        assert_eq!(of(r#"{"a": null}"#), "1:7: `null` is no value");
        assert_eq!(of(r#"{"a" 1}"#), "1:6: `:` is expected");
        assert_eq!(of(r#"{"a": 1 "b": 2}"#), "1:9: `,` or `}` is expected");
        assert_eq!(of("{a: 1}"), "1:2: a name in quotes or `}` is expected");
        assert_eq!(of("{} x"), "1:4: nothing can follow the end of the JSON");
        assert_eq!(of(r#"{"a": 1"#), "1:8: `,` or `}` is expected");
        assert_eq!(of("[1]"), "1:1: a name is expected");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(of(&deep(30)).starts_with("a=[["));
        assert_eq!(of(&deep(100_000)), "1:37: it is nested too deeply");
        assert_eq!(of(&"a {".repeat(100_000)), "1:99: it is nested too deeply");
        assert_eq!(of(&format!("a {}", "b ".repeat(100_000))), "1:67: it is nested too deeply");
        assert_eq!(of(&" ".repeat(LONGEST + 1)), "1:1: the file has more than 1 MiB");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            read(&text).ok();
        }

        #[test]
        fn no_text_of_its_own_words_makes_it_panic(
            text in r#"\{?([a-z]{1,2}|"|\\|\$\{|[{}\[\](),:=\-.]|<<-?|X\n|/\*|\*/|#|//|0x|[0-9]|\\u00|é|\n| ){0,60}"#,
        ) {
            read(&text).ok();
        }

        #[test]
        fn a_quoted_text_is_read_as_it_was(text in any::<String>()) {
            // Between the braces of `${…}` nothing is escaped; this writer escapes with `$$`, which is not of this version.
            prop_assume!(!text.contains("${") && !text.contains("%{"));
            let written = format!("a = {}", crate::hcl::quoted(&text));
            let Ok(entries) = read(&written) else { panic!("{written}") };
            prop_assert_eq!(&entries[0].node.value, &Value::Text(text));
        }
    }
}
