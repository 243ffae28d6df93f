//! SPDX licence expressions, as far as deciding needs them: `AND`, `OR`, `WITH`, parentheses,
//! and the `/` that old manifests write for `OR` (SPDX 2.3, annex D).

/// Whether the expression can be satisfied by allowed licences alone.
///
/// `None` when it is not an expression. A `WITH` exception makes one name of
/// its two words: `Apache-2.0 WITH LLVM-exception`.
pub(crate) fn is_allowed(expression: &str, allowed: &[&str]) -> Option<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_ascii_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    let verdict = parser.any()?;
    parser.words.is_empty().then_some(verdict)
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl<'a> Parser<'a> {
    /// One of several, joined by `OR`, which binds weakest.
    fn any(&mut self) -> Option<bool> {
        let mut verdict = self.all()?;
        while self.take("OR") {
            verdict |= self.all()?;
        }
        Some(verdict)
    }

    /// All of several, joined by `AND`.
    fn all(&mut self) -> Option<bool> {
        let mut verdict = self.one()?;
        while self.take("AND") {
            verdict &= self.one()?;
        }
        Some(verdict)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let verdict = self.any()?;
            return self.take(")").then_some(verdict);
        }
        let name = self.word()?;
        if self.take("WITH") {
            let whole = format!("{name} WITH {}", self.word()?);
            return Some(self.allowed.contains(&whole.as_str()));
        }
        Some(self.allowed.contains(&name))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }

    fn word(&mut self) -> Option<&'a str> {
        let (&first, rest) = self.words.split_first()?;
        self.words = rest;
        (!["(", ")", "AND", "OR", "WITH"].contains(&first)).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &[&str] = &["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];

    fn verdict(expression: &str) -> Option<bool> {
        is_allowed(expression, ALLOWED)
    }

    #[test]
    fn one_allowed_choice_is_enough_of_an_or_and_none_missing_of_an_and() {
        assert_eq!(verdict("MIT OR GPL-3.0-only"), Some(true));
        assert_eq!(verdict("GPL-3.0-only/MIT"), Some(true));
        assert_eq!(verdict("MIT AND ISC"), Some(true));
        assert_eq!(verdict("MIT AND GPL-3.0-only"), Some(false));
        assert_eq!(verdict("GPL-3.0-only"), Some(false));
    }

    #[test]
    fn and_binds_tighter_than_or_and_parentheses_tighter_still() {
        assert_eq!(verdict("MIT OR GPL-3.0-only AND MPL-2.0"), Some(true));
        assert_eq!(verdict("(MIT OR GPL-3.0-only) AND MPL-2.0"), Some(false));
        assert_eq!(verdict("(MIT OR GPL-3.0-only) AND (ISC OR MPL-2.0)"), Some(true));
    }

    #[test]
    fn an_exception_is_part_of_the_name() {
        assert_eq!(verdict("Apache-2.0 WITH LLVM-exception"), Some(true));
        assert_eq!(verdict("Apache-2.0"), Some(false));
        assert_eq!(verdict("MIT WITH Some-exception"), Some(false));
    }

    #[test]
    fn what_is_no_expression_is_not_judged() {
        for broken in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", "MIT)"] {
            assert_eq!(verdict(broken), None, "{broken:?}");
        }
    }
}
