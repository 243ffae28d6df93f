//! A checksum with each stored value: redb does not look at a page's checksum when it
//! reads, and one flipped bit in a number is still a number.

use super::error::StoreError;

/// The stored form of a value: CRC-32 of key and body, little endian, then the body.
pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 4);
    bytes.extend_from_slice(&crc32(&[key, body]).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The checksum that a stored value begins with; 0 for what has none.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |sum| u32::from_le_bytes(*sum))
}

/// The body of a stored value.
pub(super) fn unseal<'a>(key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged = |why: &str| StoreError::Damaged {
        why: format!("record `{}` {why}", String::from_utf8_lossy(key).escape_debug()),
    };
    let (sum, body) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged("is cut short"))?;
    if u32::from_le_bytes(*sum) == crc32(&[key, body]) {
        Ok(body)
    } else {
        Err(damaged("does not match its checksum"))
    }
}

/// CRC-32 as in IEEE 802.3 (reflected polynomial 0xEDB88320), over the parts in a row; four
/// bytes at a time, with a table for each.
fn crc32(parts: &[&[u8]]) -> u32 {
    let look = |table: &[u32; 256], index: u32| table[(index & 0xff) as usize];
    let mut crc = u32::MAX;
    for part in parts {
        let (words, rest) = part.as_chunks::<4>();
        for word in words {
            let index = crc ^ u32::from_le_bytes(*word);
            crc = look(&TABLES[3], index)
                ^ look(&TABLES[2], index >> 8)
                ^ look(&TABLES[1], index >> 16)
                ^ look(&TABLES[0], index >> 24);
        }
        for byte in rest {
            crc = (crc >> 8) ^ look(&TABLES[0], crc ^ u32::from(*byte));
        }
    }
    !crc
}

/// The sum of each byte, then of each byte with one, two and three zeros after it.
const TABLES: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut index = 0;
    let mut start = 0_u32;
    while index < 256 {
        let mut crc = start;
        let mut table = 0;
        while table < 4 {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            tables[table][index] = crc;
            table += 1;
        }
        index += 1;
        start += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_standard_one() {
        assert_eq!(crc32(&[b"123456789"]), 0xCBF4_3926);
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xCBF4_3926);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(b"run/1", b"{\"v\":1}");
        assert_eq!(unseal(b"run/1", &sealed).unwrap(), b"{\"v\":1}");
        assert!(unseal(b"run/2", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(b"run/1", &flipped).is_err(), "bit {bit}");
        }
        assert!(unseal(b"run/1", b"abc").is_err());
    }
}
