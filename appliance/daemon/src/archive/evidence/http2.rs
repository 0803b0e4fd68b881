//! A message of HTTP/2 as frames (RFC 9113), with its head spelled out (RFC 7541, section 6.2.2).

use tapcopy_records::Said;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
/// The stream of the one request.
const STREAM: u8 = 1;
/// Content of one frame, at most (section 4.2).
const FRAME_BYTES: usize = 16_384;

/// What one side says: of a client the preface, of both the settings, then the message. The trailers of a call of gRPC, which are
/// kept with its head, stand behind its content.
pub fn frames(said: &Said) -> Vec<u8> {
    let head = String::from_utf8_lossy(&said.head);
    let mut lines = head.lines();
    let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let fields = lines.filter_map(|line| line.split_once(": "));
    let is_left_out = |name: &str| !said.note.is_empty() && ["content-encoding", "content-length"].contains(&name);
    let is_trailer = |name: &str| name.starts_with("grpc-status") || name.starts_with("grpc-message");
    let (mut block, mut trailers, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let is_request = start.first() != Some(&"HTTP/2");
    match start.as_slice() {
        [_, status, ..] if !is_request => push_field(&mut block, ":status", status),
        [method, path, ..] => {
            bytes.extend_from_slice(PREFACE);
            push_field(&mut block, ":method", method);
            push_field(&mut block, ":scheme", "http");
            push_field(&mut block, ":path", path);
        }
        _ => {}
    }
    for (name, value) in fields.filter(|(name, _)| !is_left_out(name)) {
        let name = if is_request && name == "host" { ":authority" } else { name };
        let is_behind = !is_request && !said.body.is_empty() && is_trailer(name);
        push_field(if is_behind { &mut trailers } else { &mut block }, name, value);
    }
    push_frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let ends = |is_last: bool| if is_last { END_STREAM } else { 0 };
    let is_bare = said.body.is_empty() && trailers.is_empty();
    push_frame(&mut bytes, HEADERS, END_HEADERS | ends(is_bare), STREAM, &block);
    let mut chunks = said.body.chunks(FRAME_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        let is_last = chunks.peek().is_none() && trailers.is_empty();
        push_frame(&mut bytes, DATA, ends(is_last), STREAM, chunk);
    }
    if !trailers.is_empty() {
        push_frame(&mut bytes, HEADERS, END_HEADERS | END_STREAM, STREAM, &trailers);
    }
    bytes
}

fn push_frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u8, content: &[u8]) {
    bytes.extend_from_slice(&(content.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags, 0, 0, 0, stream]);
    bytes.extend_from_slice(content);
}

/// A field that nobody is to remember, with its name spelled out.
fn push_field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        push_length(block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

/// A length in the low seven bits of a byte, or behind it (RFC 7541, section 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    const MASK: usize = 0x7F;
    if length < MASK {
        return block.push(length as u8);
    }
    block.push(MASK as u8);
    let mut rest = length - MASK;
    while rest > MASK {
        block.push((rest & MASK) as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}
