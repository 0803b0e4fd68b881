//! Heads of one direction: pieces of blocks put together, and decoded.

use super::frames::{Frame, flag, kind};
use super::hpack::{Decoder, Field};
use crate::protocol::Garbled;

/// Bytes in front of a block in a frame: priority (RFC 9113, section 6.2), the number of a promised stream (section 6.6).
const PRIORITY_BYTES: usize = 5;
const PROMISE_BYTES: usize = 4;

/// The heads of one direction, each of which builds on those before.
#[derive(Debug)]
pub struct Heads {
    decoder: Decoder,
    bytes_limit: usize,
    /// Content of the frame within.
    content: Vec<u8>,
    /// The block that is not whole, and the frame that began it.
    block: Option<(Frame, Vec<u8>)>,
}

impl Heads {
    /// At the start of a connection. A head of more than so many bytes, compressed or not, is [`Garbled`].
    pub fn new(bytes_limit: usize) -> Self {
        Self { decoder: Decoder::new(), bytes_limit, content: Vec::new(), block: None }
    }

    /// A frame begins.
    pub fn begin_frame(&mut self) {
        self.content.clear();
    }

    /// Takes content of the frame within.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Garbled> {
        self.content.extend_from_slice(bytes);
        if self.content.len() > self.bytes_limit { Err(Garbled) } else { Ok(()) }
    }

    /// What the frame within has said.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// A frame that carries a piece of a head is whole; if the head is, too, the frame that began it and its fields.
    pub fn end_frame(&mut self, frame: Frame) -> Result<Option<(Frame, Vec<Field>)>, Garbled> {
        self.gather(frame)?;
        let Some((first, block)) = self.block.take_if(|_| frame.has(flag::END_HEADERS)) else { return Ok(None) };
        let fields = self.decoder.decode(&block, self.bytes_limit).ok_or(Garbled)?;
        Ok(Some((first, fields)))
    }

    /// Adds a frame's piece to the others.
    fn gather(&mut self, frame: Frame) -> Result<(), Garbled> {
        if let (kind::CONTINUATION, Some((_, block))) = (frame.kind, &mut self.block) {
            block.extend_from_slice(&self.content);
            return if block.len() > self.bytes_limit { Err(Garbled) } else { Ok(()) };
        }
        if frame.kind == kind::CONTINUATION || self.block.is_some() {
            return Err(Garbled);
        }
        let piece = fragment(frame, &self.content).ok_or(Garbled)?;
        self.block = Some((frame, piece.to_vec()));
        Ok(())
    }
}

/// The piece of a block in a frame's content.
fn fragment(frame: Frame, mut content: &[u8]) -> Option<&[u8]> {
    if frame.has(flag::PADDED) {
        let padding = usize::from(*content.split_off_first()?);
        content = &content[..content.len().checked_sub(padding)?];
    }
    let in_front = match frame.kind {
        kind::PUSH_PROMISE => PROMISE_BYTES,
        _ if frame.has(flag::PRIORITY) => PRIORITY_BYTES,
        _ => 0,
    };
    content.get(in_front..)
}

/// A head as HTTP/1 would say it: a first line, if there is one, and the fields that are of HTTP.
pub fn told(first: &[u8], fields: &[Field]) -> Vec<u8> {
    let mut head = first.to_vec();
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
        push_line(&mut head, &[name, b": ", value]);
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A client's head: its first line and its host from the pseudo-fields (RFC 9113, section 8.3.1).
pub fn told_request(fields: &[Field]) -> Vec<u8> {
    let find = |name: &[u8]| fields.iter().find(|(found, _)| found == name).map_or(&b""[..], |(_, value)| value);
    let mut first = Vec::new();
    let path = if find(b":path").is_empty() { find(b":authority") } else { find(b":path") };
    push_line(&mut first, &[find(b":method"), b" ", path, b" HTTP/2"]);
    if !find(b":authority").is_empty() {
        push_line(&mut first, &[b"host: ", find(b":authority")]);
    }
    told(&first, fields)
}

fn push_line(head: &mut Vec<u8>, words: &[&[u8]]) {
    let plain = |byte: &u8| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { *byte };
    head.extend(words.iter().flat_map(|word| word.iter().map(plain)));
    head.extend_from_slice(b"\r\n");
}
