//! TLS: recognised, so that it is named instead of being replayed in vain (RFC 8446, sections 4 and 5.1). The keys are
//! the two peers' own; a target would refuse another connection's records.

use super::{Definition, Opening, Recognition};

/// Recognises TLS.
pub const PROTOCOL: Definition =
    Definition { name: "tls", recognise, subject: |_| None, reader: None, framer: None, resumable: false };

/// Longest record that a receiver must accept: 2^14 bytes and what encryption adds in TLS 1.2 (RFC 5246, section 6.2.3).
const RECORD_MAX: u16 = (1 << 14) + 2_048;

/// A handshake record that begins with a ClientHello; midstream, a record of application data.
fn recognise(opening: &Opening<'_>) -> Recognition {
    if !opening.midstream && opening.client.is_empty() {
        return Recognition::No;
    }
    match (opening.midstream, opening.client) {
        (false, &[0x16, 0x03, 0..=4, high, low, 0x01, ..]) | (true, &[0x17, 0x03, 3, high, low, _, ..]) => {
            is_length(u16::from_be_bytes([high, low]))
        }
        (false, [0x16] | [0x16, 0x03] | [0x16, 0x03, 0..=4] | [0x16, 0x03, 0..=4, _] | [0x16, 0x03, 0..=4, _, _]) => {
            Recognition::More
        }
        _ => Recognition::No,
    }
}

fn is_length(len: u16) -> Recognition {
    if (1..=RECORD_MAX).contains(&len) { Recognition::Yes } else { Recognition::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(client: &[u8], midstream: bool, expected: Recognition) {
        let opening = Opening { client, server: b"", midstream };
        assert_eq!(recognise(&opening), expected, "{}", client.escape_ascii());
    }

    #[test]
    fn a_client_hello_is_recognised_from_its_sixth_byte_on() {
        let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03";
        for len in 1..6 {
            check(&hello[..len], false, Recognition::More);
        }
        check(hello, false, Recognition::Yes);
        check(hello, true, Recognition::No);
    }

    #[test]
    fn other_records_and_lengths_are_not_taken_for_one() {
        check(b"", false, Recognition::No);
        check(b"\x16\x03\x01\xFF\xFF\x01", false, Recognition::No);
        check(b"\x16\x03\x01\x00\x20\x02", false, Recognition::No);
        check(b"\x17\x03\x03\x00\x20\x00", false, Recognition::No);
        check(b"GET / HTTP/1.1\r\n", false, Recognition::No);
    }

    #[test]
    fn application_data_is_recognised_midstream() {
        check(b"\x17\x03\x03\x00\x20\x5A", true, Recognition::Yes);
        check(b"\x17\x03\x03\x00\x00\x5A", true, Recognition::No);
        check(b"\x17\x03\x03", true, Recognition::No);
    }
}
