//! What is answered, byte for byte: heads, and bodies in compact JSON with their keys in a fixed order.
//!
//! Other programs read these bytes, some of them with tools that care for the order, so they are
//! written here and not left to a library.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use lictor_core::peers::Sight;
use serde_json::Value;

/// How a URL or a check stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// What is looked at: a URL, or `check:NAME`.
    pub(super) url: String,
    /// The status of its answer; 0 for none. A check that is good has 200.
    pub(super) code: u16,
    /// How long the answer took; nothing for none.
    pub(super) took: Duration,
}

impl Entry {
    /// One that did not answer.
    pub(super) const fn failed(url: String) -> Self {
        Self { url, code: 0, took: Duration::ZERO }
    }

    fn is_good(&self) -> bool {
        (200..400).contains(&self.code)
    }
}

/// How full a file system is, in blocks of 1,024 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) mount: String,
    pub(super) size: u64,
    pub(super) used: u64,
    pub(super) available: u64,
    /// Why it cannot be read; the numbers say nothing then.
    pub(super) error: Option<String>,
}

impl Volume {
    /// One that cannot be read.
    pub(super) fn unreadable(mount: String, why: String) -> Self {
        Self { mount, error: Some(why), ..Self::default() }
    }

    /// Of what users can have, rounded up; `-` when they can have nothing.
    fn use_percent(&self) -> String {
        let (used, all) = (u128::from(self.used), u128::from(self.used) + u128::from(self.available));
        if all == 0 { "-".to_owned() } else { format!("{}%", (used * 100).div_ceil(all)) }
    }
}

/// What this node sees of its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeshAnswer {
    /// Its name.
    pub node: String,
    /// The peers that it watches.
    pub sees: Vec<Sight>,
}

/// The version of [`MeshAnswer`] as it is written.
const MESH_VERSION: u8 = 1;

/// A text as JSON.
struct Json<'a>(&'a str);

impl std::fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Value::from(self.0).fmt(f)
    }
}

/// Appends what is formatted.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(what);
    debug_assert!(written.is_ok(), "a text takes everything");
}

/// What is between two things of a list.
const fn comma(place: usize) -> &'static str {
    if place == 0 { "" } else { "," }
}

/// `{"checks":[…],"summary":{…}}`
pub(super) fn status(entries: &[Entry], mesh: Option<&MeshAnswer>) -> String {
    let mut text = String::from("{\"checks\":[");
    for (place, entry) in entries.iter().enumerate() {
        push(
            &mut text,
            format_args!("{}{{\"url\":{},\"code\":{},", comma(place), Json(&entry.url), entry.code),
        );
        match entry.code {
            0 => text.push_str("\"time_s\":0,"),
            _ => push(&mut text, format_args!("\"time_s\":{:.6},", entry.took.as_secs_f64())),
        }
        push(&mut text, format_args!("\"ok\":{}}}", entry.is_good()));
    }
    let good = entries.iter().filter(|entry| entry.is_good()).count();
    push(&mut text, format_args!("],\"summary\":{{\"total\":{},\"ok\":{good}}}", entries.len()));
    if let Some(mesh) = mesh {
        push_mesh(&mut text, mesh);
    }
    text.push('}');
    text
}

fn push_mesh(text: &mut String, mesh: &MeshAnswer) {
    push(
        text,
        format_args!(",\"mesh\":{{\"version\":{MESH_VERSION},\"node\":{},\"sees\":[", Json(&mesh.node)),
    );
    for (place, Sight { peer, up, since, age, told, waits }) in mesh.sees.iter().enumerate() {
        let (since, age) = (since.as_secs(), age.as_secs());
        push(
            text,
            format_args!(
                "{}{{\"peer\":{},\"up\":{up},\"since_s\":{since},\"age_s\":{age},\"told\":{told}",
                comma(place),
                Json(peer)
            ),
        );
        if let Some(waits) = waits {
            push(text, format_args!(",\"waits_s\":{}", waits.as_secs()));
        }
        text.push('}');
    }
    text.push_str("]}");
}

/// `{"volumes":[…]}`
pub(super) fn disk(volumes: &[Volume]) -> String {
    let mut text = String::from("{\"volumes\":[");
    for (place, volume) in volumes.iter().enumerate() {
        let Volume { mount, size, used, available, error } = volume;
        push(
            &mut text,
            format_args!(
                "{}{{\"mount\":{},\"size_blocks\":{size},\"used\":{used},\"avail\":{available},\"use_percent\":\"{}\"",
                comma(place),
                Json(mount),
                volume.use_percent()
            ),
        );
        if let Some(why) = error {
            push(&mut text, format_args!(",\"error\":{}", Json(why)));
        }
        text.push('}');
    }
    text.push_str("]}");
    text
}

/// `{"status":…,"disk":…}`
pub(super) fn all(status: &str, disk: &str) -> String {
    format!("{{\"status\":{status},\"disk\":{disk}}}")
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200 with JSON.
    Page(String),
    /// 400.
    Junk,
    /// 401.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405.
    WrongMethod,
    /// 431.
    TooLarge,
    /// 503: who may ask cannot be known.
    Unavailable,
}

impl Answer {
    /// As it goes over the wire. A bodiless one says how long its body would be.
    pub(super) fn bytes(&self, bodiless: bool, closes: bool) -> Vec<u8> {
        const JSON: &str = "application/json";
        let text = Cow::Borrowed;
        let (status, kind, body) = match self {
            Self::Page(body) => ("200 OK", JSON, Cow::Borrowed(body.as_str())),
            Self::Junk => ("400 Bad Request", JSON, text("{\"error\":\"bad request\"}")),
            Self::Unauthorized => ("401 Unauthorized", JSON, text("{\"error\":\"unauthorized\"}")),
            Self::NotFound => ("404 Not Found", "text/plain", text("Not found\n")),
            Self::WrongMethod => ("405 Method Not Allowed", JSON, text("{\"error\":\"method not allowed\"}")),
            Self::TooLarge => {
                ("431 Request Header Fields Too Large", JSON, text("{\"error\":\"head too large\"}"))
            }
            Self::Unavailable => ("503 Service Unavailable", JSON, text("{\"error\":\"unavailable\"}")),
        };
        let more = match self {
            Self::Unauthorized => "WWW-Authenticate: Basic realm=\"minimal\", charset=\"UTF-8\"\r\n",
            Self::WrongMethod => "Allow: GET, HEAD\r\n",
            Self::Page(_) | Self::Junk | Self::NotFound | Self::TooLarge | Self::Unavailable => "",
        };
        let after = if closes { "close" } else { "keep-alive" };
        let length = body.len();
        let mut text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: {after}\r\n\r\n"
        );
        if !bodiless {
            text.push_str(&body);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(url: &str, code: u16, micros: u64) -> Entry {
        Entry { url: url.to_owned(), code, took: Duration::from_micros(micros) }
    }

    fn wire(answer: &Answer) -> String {
        String::from_utf8(answer.bytes(false, true)).unwrap()
    }

    #[test]
    fn the_bytes_are_those_that_others_know() {
        assert_eq!(
            wire(&Answer::Page(status(&[], None))),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\nConnection: close\r\n\r\n\
             {\"checks\":[],\"summary\":{\"total\":0,\"ok\":0}}"
        );
        assert_eq!(
            wire(&Answer::Unauthorized),
            "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\
             WWW-Authenticate: Basic realm=\"minimal\", charset=\"UTF-8\"\r\nConnection: close\r\n\r\n\
             {\"error\":\"unauthorized\"}"
        );
        assert_eq!(
            wire(&Answer::NotFound),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nConnection: close\r\n\r\nNot found\n"
        );
    }

    #[test]
    fn one_without_a_body_says_how_long_it_would_be() {
        let text = String::from_utf8(Answer::NotFound.bytes(true, false)).unwrap();
        assert!(text.ends_with("Content-Length: 10\r\nConnection: keep-alive\r\n\r\n"), "{text}");
    }

    #[test]
    fn urls_are_counted_in_their_order() {
        let entries = [
            entry("http://a/", 200, 1_367),
            entry("http://b/", 302, 2_000_000),
            entry("http://c/", 500, 1),
            Entry::failed("http://d/".into()),
        ];
        assert_eq!(
            status(&entries, None),
            "{\"checks\":[{\"url\":\"http://a/\",\"code\":200,\"time_s\":0.001367,\"ok\":true},\
             {\"url\":\"http://b/\",\"code\":302,\"time_s\":2.000000,\"ok\":true},\
             {\"url\":\"http://c/\",\"code\":500,\"time_s\":0.000001,\"ok\":false},\
             {\"url\":\"http://d/\",\"code\":0,\"time_s\":0,\"ok\":false}],\"summary\":{\"total\":4,\"ok\":2}}"
        );
    }

    #[test]
    fn the_mesh_is_one_more_member() {
        let sight = Sight {
            peer: "node2:5988".into(),
            up: false,
            since: Duration::from_millis(12_900),
            age: Duration::from_secs(3),
            told: true,
            waits: None,
        };
        let mesh = MeshAnswer {
            node: "node1".into(),
            sees: vec![sight.clone(), Sight { up: true, waits: Some(Duration::from_secs(7)), ..sight }],
        };
        assert_eq!(
            status(&[], Some(&mesh)),
            "{\"checks\":[],\"summary\":{\"total\":0,\"ok\":0},\"mesh\":{\"version\":1,\"node\":\"node1\",\"sees\":[\
             {\"peer\":\"node2:5988\",\"up\":false,\"since_s\":12,\"age_s\":3,\"told\":true},\
             {\"peer\":\"node2:5988\",\"up\":true,\"since_s\":12,\"age_s\":3,\"told\":true,\"waits_s\":7}]}}"
        );
    }

    #[test]
    fn volumes_are_as_df_shows_them() {
        let root = Volume {
            mount: "/".into(),
            size: 264_212_084,
            used: 19_502_308,
            available: 75_783_580,
            error: None,
        };
        let empty = Volume { mount: "/proc".into(), ..Volume::default() };
        let lost = Volume::unreadable("/x".into(), "no such file or directory".into());
        assert_eq!(
            disk(&[root, empty, lost]),
            "{\"volumes\":[{\"mount\":\"/\",\"size_blocks\":264212084,\"used\":19502308,\"avail\":75783580,\"use_percent\":\"21%\"},\
             {\"mount\":\"/proc\",\"size_blocks\":0,\"used\":0,\"avail\":0,\"use_percent\":\"-\"},\
             {\"mount\":\"/x\",\"size_blocks\":0,\"used\":0,\"avail\":0,\"use_percent\":\"-\",\"error\":\"no such file or directory\"}]}"
        );
    }

    #[test]
    fn a_percentage_is_rounded_up() {
        let percent = |used, available| Volume { used, available, ..Volume::default() }.use_percent();
        assert_eq!(
            [percent(0, 5), percent(1, 999), percent(50, 50), percent(7, 0)],
            ["0%", "1%", "50%", "100%"]
        );
        assert_eq!(percent(u64::MAX, u64::MAX), "50%");
    }

    proptest::proptest! {
        #[test]
        fn it_is_json_whatever_the_names_are(url in ".*", mount in ".*", code in 0_u16..1_000, micros in 0..u64::MAX) {
            let status = status(&[entry(&url, code, micros)], None);
            let text = all(&status, &disk(&[Volume::unreadable(mount.clone(), url.clone())]));
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["status"]["checks"][0]["url"], url);
            assert_eq!(read["status"]["checks"][0]["code"], code);
            assert_eq!(read["disk"]["volumes"][0]["mount"], mount);
        }
    }
}
