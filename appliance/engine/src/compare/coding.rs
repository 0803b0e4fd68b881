//! Content codings (RFC 9110, section 8.4.1; `br`: RFC 7932; `zstd`: RFC 8878) and how they are undone, within a bound: a
//! few bytes can stand for any number.

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::borrow::Cow;
use std::io::Read;

/// Codings one upon another that are undone; more is nobody's practice.
const CODINGS_MAX: usize = 3;

/// Working space of a Brotli decoder.
const BROTLI_BUFFER: usize = 4_096;

/// A content without its coding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded<'a> {
    /// All of it.
    Whole(Cow<'a, [u8]>),
    /// Its beginning, as far as the bound allows.
    Cut(Cow<'a, [u8]>),
    /// Its beginning, up to where it cannot be decoded.
    Broken(Cow<'a, [u8]>),
}

/// Undoes what a Content-Encoding field says, to at most `bound` bytes.
pub(super) fn decode<'a>(codings: &[u8], body: &'a [u8], bound: usize) -> Decoded<'a> {
    let mut content = Cow::Borrowed(body);
    let names = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    let names: Vec<&[u8]> = names.take(CODINGS_MAX + 1).collect();
    if names.len() > CODINGS_MAX {
        return Decoded::Broken(content);
    }
    for name in names.into_iter().rev().filter(|name| !name.eq_ignore_ascii_case(b"identity")) {
        match undo(name, &content, bound) {
            Some((bytes, End::Whole)) => content = Cow::Owned(bytes),
            Some((bytes, End::Bound)) => return Decoded::Cut(Cow::Owned(bytes)),
            Some((bytes, End::Fault)) => return Decoded::Broken(Cow::Owned(bytes)),
            // A coding that nobody knows is compared as it is.
            None => return Decoded::Whole(content),
        }
    }
    Decoded::Whole(content)
}

/// A content without its one coding, as far as it can be decoded within `bound` bytes; `None` where there are several, or one
/// that nobody knows: what comes of it may still be coded.
pub fn decoded(coding: &[u8], body: &[u8], bound: usize) -> Option<Vec<u8>> {
    undo(coding.trim_ascii(), body, bound).map(|(bytes, _)| bytes)
}

enum End {
    Whole,
    Bound,
    Fault,
}

fn undo(name: &[u8], body: &[u8], bound: usize) -> Option<(Vec<u8>, End)> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => read(MultiGzDecoder::new(body), bound),
        b"deflate" => match read(ZlibDecoder::new(body), bound) {
            // Some servers leave the zlib wrapper out (RFC 9110, section 8.4.1.2).
            (bytes, End::Fault) if bytes.is_empty() => read(DeflateDecoder::new(body), bound),
            done => done,
        },
        b"br" => read(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER), bound),
        b"zstd" => match ruzstd::decoding::StreamingDecoder::new(body) {
            Ok(decoder) => read(decoder, bound),
            Err(_) => (Vec::new(), End::Fault),
        },
        _ => return None,
    })
}

fn read(decoder: impl Read, bound: usize) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let end = match decoder.take(bound as u64 + 1).read_to_end(&mut bytes) {
        Err(_) => End::Fault,
        Ok(_) if bytes.len() > bound => End::Bound,
        Ok(_) => End::Whole,
    };
    bytes.truncate(bound);
    (bytes, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    const TEXT: &[u8] = b"{\"a\": 1, \"b\": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}";

    fn coded(mut encoder: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        encoder.read_to_end(&mut bytes).expect("memory can be read");
        bytes
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        coded(GzEncoder::new(text, Compression::default()))
    }

    /// `TEXT` as the reference encoders of the two formats write it.
    const BR: &[u8] =
        b"\x1b\x32\x00\xf8\x2d\x0a\x6c\x1b\x6b\xb5\x09\x96\x43\x3d\x53\x2f\x87\xd5\x5e\x5f\x8a\xc4\x6c\xa5\x4e\
        \x98\x58\x80\x14\x4b\x57\x49\x52\x55\x10\x10\x21\x62\x8e\x01";
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x00\x58\xd5\x00\x00\xa0{\"a\": 1, \"b\": [1, ]}\x01\x00\x6c\x5c\x18";

    #[test]
    fn every_coding_is_undone() {
        let deflate = coded(ZlibEncoder::new(TEXT, Compression::default()));
        let raw = coded(DeflateEncoder::new(TEXT, Compression::default()));
        let twice = gzip(&deflate);
        let cases: [(&str, &[u8]); 9] = [
            ("", TEXT),
            ("identity", TEXT),
            ("gzip", &gzip(TEXT)),
            ("X-GZIP", &gzip(TEXT)),
            ("deflate", &deflate),
            ("deflate", &raw),
            ("br", BR),
            ("zstd", ZSTD),
            ("deflate, gzip", &twice),
        ];
        for (codings, body) in cases {
            assert_eq!(decode(codings.as_bytes(), body, 1_000), Decoded::Whole(TEXT.into()), "{codings}");
        }
        assert_eq!(decode(b"compress", b"xyz", 1_000), Decoded::Whole(b"xyz".into()));
        assert_eq!(decoded(b" GZip", &gzip(TEXT), 10).as_deref(), Some(&TEXT[..10]));
        assert_eq!((decoded(b"deflate, gzip", &twice, 1_000), decoded(b"compress", b"xyz", 1_000)), (None, None));
    }

    #[test]
    fn bombs_are_cut_and_torn_ones_are_told() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(decode(b"gzip", &bomb, 5_000), Decoded::Cut(vec![0; 5_000].into()));
        let torn = &gzip(TEXT)[..30];
        assert!(matches!(decode(b"gzip", torn, 1_000), Decoded::Broken(bytes) if TEXT.starts_with(&bytes)));
        for coding in ["gzip", "deflate", "br", "zstd"] {
            assert!(matches!(decode(coding.as_bytes(), b"\xff\xfe nothing", 1_000), Decoded::Broken(_)), "{coding}");
        }
        assert!(matches!(decode(b"gzip, gzip, gzip, gzip", b"", 10), Decoded::Broken(_)));
    }
}
