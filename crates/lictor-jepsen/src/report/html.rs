//! Pieces of the page. Whatever comes from outside goes through [`escape`].

use crate::check::linear;

/// A page that comes into being.
pub(super) struct Page {
    out: String,
}

const STYLE: &str = include_str!("style.css");

/// Text that stands for itself, between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What no page may have.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A place of another file as an address: what is no plain character is written by its bytes.
fn address(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(format!("%{byte:02X}").chars());
        }
    }
    // What begins like a protocol or another host is a file all the same.
    if out.starts_with('/') { out } else { format!("./{out}") }
}

impl Page {
    pub(super) fn new(title: &str) -> Self {
        let title = escape(title);
        Self {
            out: format!(
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
                 <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
            ),
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</body>\n</html>\n");
        self.out
    }

    /// What is a piece of a page already.
    pub(super) fn raw(&mut self, piece: &str) {
        self.out.push_str(piece);
    }

    pub(super) fn open(&mut self, tag: &str, class: &str) {
        self.out.extend(["<", tag, " class=\"", &escape(class), "\">\n"]);
    }

    pub(super) fn close(&mut self, tag: &str) {
        self.out.extend(["</", tag, ">\n"]);
    }

    pub(super) fn text(&mut self, tag: &str, text: &str) {
        self.out.extend(["<", tag, ">", &escape(text), "</", tag, ">\n"]);
    }

    pub(super) fn section(&mut self, name: &str) {
        self.text("h2", name);
    }

    pub(super) fn details(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.details_if(false, name, inside);
    }

    /// Something to fold out, or that is already.
    pub(super) fn details_if(&mut self, open: bool, name: &str, inside: impl FnOnce(&mut Self)) {
        self.out.push_str(if open { "<details open>" } else { "<details>" });
        self.text("summary", name);
        inside(self);
        self.close("details");
    }

    pub(super) fn pairs<'a>(&mut self, pairs: impl IntoIterator<Item = &'a (String, String)>) {
        self.open("table", "pairs");
        for (name, value) in pairs {
            self.out.extend([
                "<tr><th scope=\"row\">",
                &escape(name),
                "</th><td>",
                &escape(value),
                "</td></tr>\n",
            ]);
        }
        self.close("table");
    }

    pub(super) fn header(&mut self, names: &[&str]) {
        self.out.push_str("<tr>");
        for name in names {
            self.out.extend(["<th scope=\"col\">", &escape(name), "</th>"]);
        }
        self.out.push_str("</tr>\n");
    }

    pub(super) fn row(&mut self, cells: &[String]) {
        self.out.push_str("<tr>");
        self.cells(cells);
    }

    /// An entry of the history, to which others link.
    pub(super) fn entry(&mut self, index: u64, cells: &[String]) {
        self.out.extend([format!("<tr id=\"e{index}\"><td>{index}</td>")]);
        self.cells(cells);
    }

    fn cells(&mut self, cells: &[String]) {
        for cell in cells {
            self.out.extend(["<td>", &escape(cell), "</td>"]);
        }
        self.out.push_str("</tr>\n");
    }

    /// Links to entries.
    pub(super) fn entries(&mut self, entries: &[u64]) {
        const MOST: usize = 60;
        self.out.push_str("<p class=\"entries\">entries");
        for index in entries.iter().take(MOST) {
            self.out.extend([format!(" <a href=\"#e{index}\">{index}</a>")]);
        }
        if entries.len() > MOST {
            self.out.extend([format!(" and {} more", entries.len() - MOST)]);
        }
        self.out.push_str("</p>\n");
    }

    pub(super) fn link(&mut self, name: &str, path: &str) {
        let (name, path) = (escape(name), escape(&address(path)));
        self.out.extend(["<li><a href=\"", &path, "\">", &name, "</a></li>\n"]);
    }
}

/// A time on an axis.
pub(super) fn clock(nanoseconds: u64) -> String {
    let text = linear::seconds(nanoseconds);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_from_outside_stands_for_itself() {
        assert_eq!(
            escape("<a href=\"x\" y='z'>&\u{0}"),
            "&lt;a href=&quot;x&quot; y=&#39;z&#39;&gt;&amp;\u{fffd}"
        );
        let mut page = Page::new("</title><script>");
        page.link("<b>", "javascript:alert(1)");
        page.link("a", "n 1/\"x\".log");
        let page = page.finish();
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert!(page.contains("href=\"./javascript%3Aalert%281%29\""), "{page}");
        assert!(page.contains("href=\"./n%201/%22x%22.log\""), "{page}");
    }

    #[test]
    fn times_are_told_as_short_as_they_are() {
        assert_eq!(clock(0), "0 s");
        assert_eq!(clock(1_500_000_000), "1.5 s");
        assert_eq!(clock(20_000_000_000), "20 s");
    }
}
