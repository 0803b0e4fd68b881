//! HPACK: the compressed heads of HTTP/2 (RFC 7541), read only.
//!
//! A decoder follows all heads of one direction: one that it has not seen, or cannot read, makes the later ones unreadable.

use super::huffman;
use std::collections::VecDeque;

/// Largest table that the sender of heads may ask for, in bytes: what browsers offer. Servers use the 4,096 of the beginning.
const TABLE_BYTES_MAX: usize = 64 << 10;

/// What an entry of the table counts for beside its name and value (section 4.1).
const ENTRY_BYTES: usize = 32;

/// A field: its name and its value.
pub type Field = (Vec<u8>, Vec<u8>);

/// The table of one direction.
#[derive(Debug)]
pub struct Decoder {
    entries: VecDeque<Field>,
    bytes: usize,
    bytes_max: usize,
}

impl Decoder {
    /// At the start of a connection (RFC 9113, section 6.5.2).
    pub fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: 4_096 }
    }

    /// The fields of one whole block; `None` where it is no such block, or they are longer than `limit` bytes together.
    pub fn decode(&mut self, mut block: &[u8], limit: usize) -> Option<Vec<Field>> {
        let (mut fields, mut bytes) = (Vec::new(), 0);
        while let Some(first) = block.first().copied() {
            if first & 0xE0 == 0x20 {
                self.resize(integer(&mut block, 5)?)?;
                continue;
            }
            let field = self.field(first, &mut block)?;
            bytes += size(&field);
            if bytes > limit {
                return None;
            }
            fields.push(field);
        }
        Some(fields)
    }

    /// One field, by its representation (section 6).
    fn field(&mut self, first: u8, block: &mut &[u8]) -> Option<Field> {
        if first & 0x80 != 0 {
            return self.entry(integer(block, 7)?);
        }
        let is_kept = first & 0x40 != 0;
        let name = match integer(block, if is_kept { 6 } else { 4 })? {
            0 => string(block)?,
            index => self.entry(index)?.0,
        };
        let field = (name, string(block)?);
        if is_kept {
            self.keep(field.clone());
        }
        Some(field)
    }

    /// The static table and the dynamic one behind it are counted from 1 together (section 2.3.3).
    fn entry(&self, index: usize) -> Option<Field> {
        let index = index.checked_sub(1)?;
        match STATIC.get(index) {
            Some((name, value)) => Some((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
            None => self.entries.get(index - STATIC.len()).cloned(),
        }
    }

    fn keep(&mut self, field: Field) {
        self.bytes += size(&field);
        self.entries.push_front(field);
        self.evict();
    }

    fn resize(&mut self, bytes_max: usize) -> Option<()> {
        self.bytes_max = Some(bytes_max).filter(|bytes| *bytes <= TABLE_BYTES_MAX)?;
        self.evict();
        Some(())
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max
            && let Some(field) = self.entries.pop_back()
        {
            self.bytes -= size(&field);
        }
    }
}

fn size((name, value): &Field) -> usize {
    name.len() + value.len() + ENTRY_BYTES
}

/// An integer whose first byte gives it the low `prefix` bits (section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(*block.split_off_first()?) & mask;
    if value < mask {
        return Some(value);
    }
    // No length or index of a block that is held has more than four bytes.
    for shift in [0, 7, 14, 21] {
        let byte = *block.split_off_first()?;
        value += usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn string(block: &mut &[u8]) -> Option<Vec<u8>> {
    let is_coded = block.first()? & 0x80 != 0;
    let len = integer(block, 7)?;
    let bytes = block.split_off(..len)?;
    if !is_coded {
        return Some(bytes.to_vec());
    }
    let mut decoded = Vec::with_capacity(len * 2);
    huffman::decode(bytes, &mut decoded)?;
    Some(decoded)
}

/// Appendix A.
static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4_096;

    fn check(decoder: &mut Decoder, block: &[u8], expected: Option<&str>) {
        let fields = decoder.decode(block, LIMIT).map(|fields| {
            let line = |(name, value): &Field| format!("{}: {};", name.escape_ascii(), value.escape_ascii());
            fields.iter().map(line).collect::<String>()
        });
        assert_eq!(fields.as_deref(), expected);
    }

    /// Appendix C.6: answers in Huffman's code, each of which uses the table that those before have filled.
    #[test]
    fn answers_that_build_on_each_other() {
        let mut decoder = Decoder::new();
        decoder.resize(256).expect("a small table");
        let first = [
            0x48, 0x82, 0x64, 0x02, 0x58, 0x85, 0xae, 0xc3, 0x77, 0x1a, 0x4b, 0x61, 0x96, 0xd0, 0x7a, 0xbe, 0x94, 0x10,
            0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff, 0x6e,
            0x91, 0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3,
        ];
        let rest = "cache-control: private;date: Mon, 21 Oct 2013 20:13:21 GMT;location: https://www.example.com;";
        check(&mut decoder, &first, Some(&format!(":status: 302;{rest}")));
        let second = [0x48, 0x83, 0x64, 0x0e, 0xff, 0xc1, 0xc0, 0xbf];
        check(&mut decoder, &second, Some(&format!(":status: 307;{rest}")));
        check(&mut decoder, &[0xc1], Some("cache-control: private;"));
        check(&mut decoder, &[0xc2], None);
    }

    #[test]
    fn broken_blocks_are_refused() {
        for block in [
            &[0x80][..],
            &[0xFF, 0x80],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            &[0x40, 0x05, b'a'],
            &[0x40, 0x01, b'a'],
            &[0x3F, 0xE2, 0xFF, 0x03],
            &[0x40, 0x01, b'a', 0x81, 0x00],
        ] {
            check(&mut Decoder::new(), block, None);
        }
    }

    /// A kilobyte that stands for a megabyte.
    #[test]
    fn a_bomb_is_bounded() {
        let mut decoder = Decoder::new();
        let long = [&[0x40, 0x01, b'a', 0x7F, 0xA1, 0x0F][..], &[b'x'; 2_080]].concat();
        assert!(decoder.decode(&long, LIMIT).is_some());
        assert!(decoder.decode(&[0xBE; 1_000], LIMIT).is_none());
    }
}
