//! Torrents made for a test: a name, trackers, and no data anywhere.

/// Length of the one file of such a torrent, bytes.
const LENGTH: u64 = 16 * 1024;

/// A `.torrent` file. Nobody has its data, so a client that runs it only asks the trackers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// Its name; two of one name are the same torrent.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Torrent {
    /// A torrent with these announce URLs, each in a tier of its own.
    #[must_use]
    pub fn new(name: &str, trackers: &[&str]) -> Self {
        let mut root = Dict::default();
        if let Some(first) = trackers.first() {
            root.bytes("announce", first.as_bytes());
        }
        if trackers.len() > 1 {
            root.open("announce-list", b'l');
            for tracker in trackers {
                root.0.push(b'l');
                string(&mut root.0, tracker.as_bytes());
                root.0.push(b'e');
            }
            root.0.push(b'e');
        }
        root.open("info", b'd');
        root.number("length", LENGTH);
        root.bytes("name", name.as_bytes());
        root.number("piece length", LENGTH);
        // The digest of a piece that does not exist.
        root.bytes("pieces", &[7; 20]);
        // Peers are learnt from the trackers alone.
        root.number("private", 1);
        root.0.push(b'e');
        Self { name: name.to_owned(), bytes: [b"d".as_slice(), &root.0, b"e"].concat() }
    }
}

/// The inside of a bencoded dictionary; keys must be added in their order.
#[derive(Default)]
struct Dict(Vec<u8>);

impl Dict {
    fn bytes(&mut self, key: &str, value: &[u8]) {
        string(&mut self.0, key.as_bytes());
        string(&mut self.0, value);
    }

    fn number(&mut self, key: &str, value: u64) {
        string(&mut self.0, key.as_bytes());
        self.0.extend_from_slice(format!("i{value}e").as_bytes());
    }

    fn open(&mut self, key: &str, kind: u8) {
        string(&mut self.0, key.as_bytes());
        self.0.push(kind);
    }
}

fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(format!("{}:", value.len()).as_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_is_a_bencoded_dictionary_with_its_keys_in_order() {
        let torrent = Torrent::new("x", &["http://a/announce", "http://b/announce"]);
        let text = String::from_utf8(torrent.bytes).unwrap();
        let pieces = "\u{7}".repeat(20);
        let wanted = format!(
            "d8:announce17:http://a/announce13:announce-listll17:http://a/announceel17:http://b/announceee\
             4:infod6:lengthi16384e4:name1:x12:piece lengthi16384e6:pieces20:{pieces}7:privatei1eee"
        );
        assert_eq!(text, wanted);
    }
}
