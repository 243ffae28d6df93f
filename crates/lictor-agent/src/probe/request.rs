//! What is asked: the head of a request, as far as a probe cares for it.
//!
//! No body is ever read, and a connection over which one may come is closed, so it cannot be taken
//! for the next request.

/// The largest head of a request, bytes.
pub const HEAD: usize = 16 * 1024;

/// Asks for what this node sees of its peers, in the header `Accept`.
pub(super) const MESH: &str = "application/vnd.lictor.mesh+json";

/// What can be seen of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// `/`: both others.
    All,
    /// `/status`: how its URLs and checks stand.
    Status,
    /// `/disk`: how full its file systems are.
    Disk,
}

/// What a request line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A page; without its body when `bodiless`.
    Page { page: Page, bodiless: bool },
    /// Something that does not exist; `bodiless` as above.
    Nothing { bodiless: bool },
    /// It can be read, not changed.
    WrongMethod,
    /// It is no request.
    Junk,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    line: String,
    /// What it shows as `Authorization: Basic …`.
    pub(super) shown: Option<String>,
    /// Whether it wants to know what this node sees of its peers.
    pub(super) wants_mesh: bool,
    /// Whether a body may follow.
    pub(super) has_body: bool,
    close: bool,
}

/// Where the head ends that `bytes` begin with; `None` while there is more of it to come. The
/// first `known` bytes were looked at before.
pub(super) fn end(bytes: &[u8], known: usize) -> Option<usize> {
    let from = known.saturating_sub(3);
    let rest = bytes.get(from..)?;
    let at = |pattern: &[u8]| {
        rest.windows(pattern.len()).position(|part| part == pattern).map(|at| at + pattern.len())
    };
    let ends = [at(b"\n\r\n"), at(b"\n\n")];
    ends.into_iter().flatten().min().map(|at| from + at)
}

/// Whether this is all that a request needs: a whole head.
pub fn is_whole(bytes: &[u8]) -> bool {
    end(bytes, 0).is_some()
}

impl Request {
    /// Reads a head. What is no header is passed over.
    pub(super) fn parse(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let line = lines.next().unwrap_or_default().to_owned();
        let mut request = Self { line, shown: None, wants_mesh: false, has_body: false, close: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            request.take(name.trim(), value.trim());
        }
        request
    }

    fn take(&mut self, name: &str, value: &str) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let mut words = value.split(',').map(str::trim);
        if is("authorization") {
            let basic = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
            // The first one counts.
            if let (None, Some((_, token))) = (&self.shown, basic) {
                self.shown = Some(token.trim().to_owned());
            }
        } else if is("accept") {
            let names =
                |word: &str| word.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MESH);
            self.wants_mesh |= words.any(names);
        } else if is("connection") {
            self.close |= words.any(|word| word.eq_ignore_ascii_case("close"));
        } else if is("transfer-encoding") || is("content-length") && value != "0" {
            self.has_body = true;
        }
    }

    /// Whether another request may follow over the same connection.
    pub(super) fn stays(&self) -> bool {
        self.line.ends_with(" HTTP/1.1") && !self.close && !self.has_body
    }

    /// What it asks for: any path with any query, by GET or HEAD.
    pub(super) fn asked(&self) -> Asked {
        let words: Vec<&str> = self.line.split(' ').collect();
        let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words.as_slice() else { return Asked::Junk };
        let bodiless = match *method {
            "GET" => false,
            "HEAD" => true,
            _ => return Asked::WrongMethod,
        };
        match page(path(target)) {
            Some(page) => Asked::Page { page, bodiless },
            None => Asked::Nothing { bodiless },
        }
    }

    /// The same where only GET of the bare paths is known, and anything else is nothing.
    pub(super) fn asked_literally(&self) -> Asked {
        let rest = self.line.strip_prefix("GET ").and_then(|rest| rest.split_once(' '));
        match rest.and_then(|(target, _version)| page(target)) {
            Some(page) => Asked::Page { page, bodiless: false },
            None => Asked::Nothing { bodiless: self.line.starts_with("HEAD ") },
        }
    }
}

fn page(path: &str) -> Option<Page> {
    match path {
        "/" => Some(Page::All),
        "/status" => Some(Page::Status),
        "/disk" => Some(Page::Disk),
        _ => None,
    }
}

/// The path of a target: without a query, and without the host of one that was sent to a proxy.
fn path(target: &str) -> &str {
    let scheme = ["http://", "https://"].into_iter().find_map(|scheme| target.strip_prefix(scheme));
    let local = scheme.map_or(target, |rest| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
    local.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Request {
        Request::parse(text.as_bytes())
    }

    fn got(page: Page) -> Asked {
        Asked::Page { page, bodiless: false }
    }

    #[test]
    fn a_head_ends_with_an_empty_line_however_its_lines_end() {
        for (text, at) in
            [("GET / HTTP/1.1\r\n\r\nrest", 18), ("GET /\n\nrest", 7), ("a\r\n\nb", 4), ("a\n\r\nb", 4)]
        {
            for known in 0..=at {
                assert_eq!(end(text.as_bytes(), known.min(at - 1)), Some(at), "{text:?} {known}");
            }
            for short in 0..at {
                assert_eq!(end(&text.as_bytes()[..short], 0), None, "{text:?} {short}");
            }
        }
    }

    #[test]
    fn paths_may_have_queries_and_hosts() {
        let asked = |line: &str| parse(&format!("{line}\r\n\r\n")).asked();
        assert_eq!(asked("GET / HTTP/1.1"), got(Page::All));
        assert_eq!(asked("GET /?x=/disk HTTP/1.0"), got(Page::All));
        assert_eq!(asked("GET /status?a?b HTTP/1.1"), got(Page::Status));
        assert_eq!(asked("GET http://node1:5988/disk?x HTTP/1.1"), got(Page::Disk));
        assert_eq!(asked("GET http://node1:5988 HTTP/1.1"), got(Page::All));
        assert_eq!(asked("HEAD /disk HTTP/1.1"), Asked::Page { page: Page::Disk, bodiless: true });
        assert_eq!(asked("HEAD /disks HTTP/1.1"), Asked::Nothing { bodiless: true });
        assert_eq!(asked("GET /status/ HTTP/1.1"), Asked::Nothing { bodiless: false });
        assert_eq!(asked("POST /status HTTP/1.1"), Asked::WrongMethod);
        for junk in ["GET /", "GET  / HTTP/1.1", "GET / HTTP/2.0", "", "\u{16}\u{3}"] {
            assert_eq!(asked(junk), Asked::Junk, "{junk:?}");
        }
    }

    #[test]
    fn literally_only_three_requests_are_known() {
        let asked = |line: &str| parse(&format!("{line}\r\n\r\n")).asked_literally();
        assert_eq!(asked("GET / HTTP/1.1"), got(Page::All));
        assert_eq!(asked("GET /status HTTP/1.1"), got(Page::Status));
        assert_eq!(asked("GET /disk anything at all"), got(Page::Disk));
        for other in
            ["GET /status", "GET /status?x HTTP/1.1", "get / HTTP/1.1", "POST / HTTP/1.1", "GET  / HTTP/1.1"]
        {
            assert_eq!(asked(other), Asked::Nothing { bodiless: false }, "{other}");
        }
        assert_eq!(asked("HEAD / HTTP/1.1"), Asked::Nothing { bodiless: true });
    }

    #[test]
    fn names_of_headers_and_of_the_scheme_have_no_case() {
        for head in ["Authorization: Basic dTpw", "authorization:basic   dTpw ", "AUTHORIZATION: BASIC dTpw"]
        {
            assert_eq!(
                parse(&format!("GET / HTTP/1.1\r\n{head}\r\n\r\n")).shown.as_deref(),
                Some("dTpw"),
                "{head}"
            );
        }
        for head in [
            "Authorization: Bearer dTpw",
            "X-Authorization: Basic dTpw",
            "Authorization: Basic",
            "Authorization",
        ] {
            assert_eq!(parse(&format!("GET / HTTP/1.1\r\n{head}\r\n\r\n")).shown, None, "{head}");
        }
    }

    #[test]
    fn a_connection_stays_unless_something_speaks_against_it() {
        let stays = |text: &str| parse(text).stays();
        assert!(stays("GET / HTTP/1.1\r\n\r\n"));
        assert!(stays("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"));
        assert!(!stays("GET / HTTP/1.0\r\n\r\n"));
        assert!(!stays("GET / HTTP/1.1\r\nconnection: upgrade, Close\r\n\r\n"));
        assert!(!stays("GET / HTTP/1.1\r\ncontent-length: 12\r\n\r\n"));
        assert!(!stays("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
    }

    #[test]
    fn who_wants_the_mesh_says_so() {
        let wants = |head: &str| parse(&format!("GET /status HTTP/1.1\r\n{head}\r\n\r\n")).wants_mesh;
        assert!(wants("Accept: application/vnd.lictor.mesh+json, application/json"));
        assert!(wants(
            "accept: text/html\r\nACCEPT: application/json, Application/Vnd.Lictor.Mesh+JSON;q=0.5"
        ));
        assert!(!wants("Accept: application/json, */*"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let request = Request::parse(&bytes);
            let (usual, literal) = (request.asked(), request.asked_literally());
            assert!(matches!(usual, Asked::Junk) || matches!(literal, Asked::Nothing { .. } | Asked::Page { .. }));
            assert!(end(&bytes, 0).is_none_or(|at| at <= bytes.len()));
        }
    }
}
