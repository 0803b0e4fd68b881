//! The bytes of requests and answers.

use crate::plan::mark;
use crate::seed::Rng;

/// A body of `len` bytes that names its request and is like no other.
pub fn body(request: usize, len: usize) -> Vec<u8> {
    let mut bytes = format!("body of {}: ", mark(request)).into_bytes();
    let mut state = request as u32 ^ 0x9E37_79B9;
    bytes.resize_with(len, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnopqrstuvwxyz012345"[(state >> 27) as usize]
    });
    bytes.truncate(len);
    bytes
}

/// How a message says where its content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No content.
    None,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The close of the connection.
    Close,
}

/// A whole HTTP message from its start line and fields (each line ended).
pub fn http(start: &str, fields: &str, framing: Framing, content: &[u8], rng: &mut Rng) -> (Vec<u8>, usize) {
    let framing_field = match framing {
        Framing::Length => format!("Content-Length: {}\r\n", content.len()),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::None | Framing::Close => String::new(),
    };
    let mut bytes = format!("{start}\r\n{fields}{framing_field}\r\n").into_bytes();
    let head = bytes.len();
    match framing {
        Framing::Chunked => bytes.extend(chunks(content, rng)),
        Framing::Length | Framing::Close => bytes.extend_from_slice(content),
        Framing::None => {}
    }
    (bytes, head)
}

/// Content in chunks of random sizes (RFC 9112, section 7.1), sometimes with extensions and a trailer field.
pub fn chunks(content: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 64);
    let mut rest = content;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(rng.size(1, rest.len().min(5_000)));
        let extension = if rng.percent(10) { ";a=b" } else { "" };
        bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = later;
    }
    bytes.extend_from_slice(if rng.percent(10) { b"0\r\nX-Trailer: t\r\n\r\n" } else { b"0\r\n\r\n" });
    bytes
}
