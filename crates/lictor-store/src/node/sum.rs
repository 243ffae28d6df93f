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

/// CRC-32 as in IEEE 802.3 (reflected polynomial 0xEDB88320), over the parts in a row.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        let index = (crc ^ u32::from(*byte)) & 0xff;
        crc = (crc >> 8) ^ TABLE[index as usize];
    }
    !crc
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut start = 0_u32;
    while index < 256 {
        let mut crc = start;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        start += 1;
    }
    table
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
