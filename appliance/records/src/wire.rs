//! Numbers and texts as bytes: LEB128 for numbers that are mostly small, a length before what has one.

/// Appends a number, seven bits to a byte, the lowest first.
pub fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends bytes behind their length.
pub fn push_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    push_number(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

/// Takes values off the front of bytes; every `None` means that they are not what was written.
#[derive(Clone, Copy, Debug)]
pub struct Taker<'a>(pub &'a [u8]);

impl<'a> Taker<'a> {
    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many bytes, as an array.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// A number of [`push_number`].
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Bytes of [`push_bytes`].
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// The same as text.
    pub fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_come_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            push_bytes(&mut bytes, b"text");
            let mut taker = Taker(&bytes);
            assert_eq!((taker.number(), taker.text().as_deref(), taker.0.len()), (Some(number), Some("text"), 0));
            let mut cut = Taker(&bytes[..bytes.len() - 1]);
            assert_eq!((cut.number(), cut.bytes()), (Some(number), None));
        }
        assert_eq!(Taker(&[0xff; 11]).number(), None);
    }
}
