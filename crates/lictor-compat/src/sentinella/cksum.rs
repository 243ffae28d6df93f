//! The checksum of POSIX's `cksum`, after which state files are named.

/// CRC-32 with the polynomial 0x04C11DB7, most significant bit first, begun with 0, over the bytes and
/// then their number (least significant octet first, as many as it needs), complemented.
pub fn cksum(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(0, |crc, byte| step(crc, *byte));
    let length = bytes.len().to_le_bytes();
    let used = length.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    !length.iter().take(used).fold(crc, |crc, octet| step(crc, *octet))
}

fn step(crc: u32, byte: u8) -> u32 {
    let begun = crc ^ (u32::from(byte) << 24);
    (0..8).fold(begun, |crc, _bit| if crc >> 31 == 1 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 })
}

#[cfg(test)]
mod tests {
    use super::cksum;

    #[test]
    fn it_is_the_one_of_the_program() {
        let known: [(&str, u32); 7] = [
            ("", 4_294_967_295),
            ("a", 1_220_704_766),
            ("node-a.test", 2_659_220_373),
            ("node-a.peers.test", 3_228_428_739),
            ("node-a.peers.example.com", 194_273_379),
            ("http://1.2.3.4:5988", 2_659_616_119),
            ("http://host1:8080", 95_199_293),
        ];
        for (text, sum) in known {
            assert_eq!(cksum(text.as_bytes()), sum, "{text:?}");
        }
    }

    #[test]
    fn a_length_of_two_octets_counts_with_both() {
        assert_eq!(cksum(&[0; 256]), 4_215_202_376);
        assert_eq!(cksum(&[0; 300]), 351_385_237);
    }
}
