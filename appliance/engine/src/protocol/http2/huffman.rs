//! The Huffman code of HPACK (RFC 7541, appendix B). It is canonical: the lengths of its codes say all.

/// Length of the code of each byte, and of the end of a string, in bits.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// Stands for the end of a string, which is never sent.
const END: u16 = 256;

/// The longest code.
const LONGEST: usize = 30;

/// How many codes have each length, and what they stand for, in the order of the codes.
struct Code {
    counts: [u32; LONGEST + 1],
    symbols: [u16; LENGTHS.len()],
}

static CODE: Code = Code::canonical();

impl Code {
    const fn canonical() -> Self {
        let mut code = Self { counts: [0; LONGEST + 1], symbols: [0; LENGTHS.len()] };
        let (mut filled, mut len) = (0, 1);
        while len <= LONGEST {
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == len {
                    code.symbols[filled] = symbol as u16;
                    code.counts[len] += 1;
                    filled += 1;
                }
                symbol += 1;
            }
            len += 1;
        }
        code
    }
}

/// Adds what `bytes` stand for to `out`; `None` where they stand for nothing.
pub fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // The code so far, the first one of its length, and how many are shorter.
    let (mut code, mut first, mut shorter, mut len) = (0_u32, 0_u32, 0_u32, 0_usize);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1))) {
        (code, first, len) = (code << 1 | bit, first << 1, len + 1);
        let count = *CODE.counts.get(len)?;
        if code - first < count {
            let symbol = CODE.symbols[(shorter + code - first) as usize];
            out.push(u8::try_from(symbol).ok().filter(|_| symbol != END)?);
            (code, first, shorter, len) = (0, 0, 0, 0);
        } else {
            (first, shorter) = (first + count, shorter + count);
        }
    }
    // What is left is the beginning of the end's code, and no whole byte of it (section 5.2).
    (len < 8 && code == (1 << len) - 1).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Option<&[u8]>) {
        let mut out = Vec::new();
        let decoded = decode(bytes, &mut out).map(|()| out);
        assert_eq!(decoded.as_deref(), expected);
    }

    #[test]
    fn the_examples_of_the_specification() {
        check(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], Some(b"www.example.com"));
        check(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], Some(b"no-cache"));
        check(&[0x64, 0x02], Some(b"302"));
        check(b"", Some(b""));
    }

    #[test]
    fn what_ends_otherwise_is_refused() {
        check(&[0x64, 0x02, 0xff], None);
        check(&[0x60], None);
        check(&[0xff; 4], None);
    }
}
