//! `meta.json`: what a snapshot says of itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// What Raft notes beside a state. Fields that are not known are passed over, and those that are missing
/// are zero, as in Consul.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Meta {
    /// The version of Raft's format: 0 or 1.
    pub version: u8,
    /// Term, index and milliseconds since 1970, with hyphens between.
    #[serde(rename = "ID")]
    pub id: String,
    /// The index up to which the state goes.
    pub index: u64,
    /// The term of that index.
    pub term: u64,
    /// The servers in the form of long ago: base64 of MessagePack.
    pub peers: Option<String>,
    /// The servers.
    pub configuration: Configuration,
    /// The index at which they became these.
    pub configuration_index: u64,
    /// How long the state is, in bytes.
    pub size: u64,
    /// Base64 of the state's CRC-64, in Raft's own folder only.
    #[serde(rename = "CRC", skip_serializing_if = "Option::is_none")]
    pub crc: Option<String>,
}

/// The servers of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Configuration {
    /// In no order.
    pub servers: Option<Vec<Server>>,
}

/// A server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Server {
    /// 0 for one that votes, 1 for one that does not, 2 for one that is on its way.
    pub suffrage: u8,
    /// What it is called in Raft.
    #[serde(rename = "ID")]
    pub id: String,
    /// Host and port.
    pub address: String,
}

/// The highest version of Raft's format that is known.
pub(crate) const HIGHEST_VERSION: u8 = 1;

impl Meta {
    /// Reads it. Text that is not UTF-8 is taken for text with replacement characters, as in Consul.
    ///
    /// # Errors
    /// If there is no JSON of this kind.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(serde::de::Error::custom("it is not a JSON object"));
        }
        let meta: Self = serde_json::from_str(&String::from_utf8_lossy(bytes))?;
        for (name, text) in [("Peers", &meta.peers), ("CRC", &meta.crc)] {
            if text.as_ref().is_some_and(|text| STANDARD.decode(text).is_err()) {
                return Err(serde::de::Error::custom(format_args!("`{name}` is not base64")));
            }
        }
        Ok(meta)
    }

    /// As Consul writes it.
    pub(crate) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Milliseconds since 1970 at which it was taken, from its ID.
    #[must_use]
    pub fn taken_unix_ms(&self) -> Option<u64> {
        self.id.rsplit('-').next()?.parse().ok()
    }
}

/// The sum that Raft keeps of a state: CRC-64 with the polynomial of ECMA-182, bits reversed.
#[derive(Debug)]
pub(crate) struct Crc64(u64);

/// What a byte does to the sum.
static TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xC96C_5795_D787_0F42 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

impl Crc64 {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = self.0.to_le_bytes()[0] ^ byte;
            self.0 = TABLE[usize::from(place)] ^ self.0 >> 8;
        }
    }

    pub(crate) fn finish(&self) -> [u8; 8] {
        (!self.0).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"Version":1,"ID":"2-21-1795219762088","Index":21,"Term":2,"Peers":"ka4=","Configuration":{"Servers":[{"Suffrage":0,"ID":"u","Address":"127.0.0.1:8300"}]},"ConfigurationIndex":1,"Size":5109}"#;

    #[test]
    fn it_is_written_as_it_was_read() {
        let meta = Meta::read(TEXT.as_bytes()).unwrap();
        assert_eq!(meta.write().unwrap(), [TEXT.as_bytes(), b"\n"].concat());
        assert_eq!(meta.taken_unix_ms(), Some(1_795_219_762_088));
    }

    #[test]
    fn fields_of_later_versions_are_passed_over() {
        let meta = Meta::read(br#"{"Index":3,"New":{},"Configuration":{"Servers":null}}"#).unwrap();
        assert_eq!((meta.index, meta.size), (3, 0));
        assert!(Meta::read(b"{\"Peers\":\"ka4\"}").is_err());
        assert_eq!(Meta::read(b"{\"ID\":\"\xff\"}").unwrap().id, "\u{fffd}");
        assert!(Meta::read(b"{} more").is_err());
        assert!(Meta::read(b"").is_err());
        assert!(Meta::read(b"[1]").is_err());
    }

    #[test]
    fn the_check_value_of_the_sum_is_the_known_one() {
        let mut sum = Crc64::new();
        sum.update(b"123456789");
        assert_eq!(u64::from_be_bytes(sum.finish()), 0x995D_C9BB_DF19_39FA);
    }
}
