//! The server's side: frames of many streams, each with its heads decoded.

use super::frames::{Frame, Frames, flag, kind};
use super::hpack::{Decoder, Field};
use crate::protocol::{Boundary, Garbled, Part, Step};
use std::collections::BTreeSet;

/// Streams with a head and without an end, at most. Servers allow some hundred at once.
const STREAMS_MAX: usize = 4_096;

/// Bytes in front of a block in a frame: priority (RFC 9113, section 6.2), the number of a promised stream (section 6.6).
const PRIORITY_BYTES: usize = 5;
const PROMISE_BYTES: usize = 4;

#[derive(Debug)]
pub struct Answers {
    frames: Frames,
    decoder: Decoder,
    head_bytes_limit: usize,
    /// Content of the frame within, where it is needed whole.
    content: Vec<u8>,
    /// The compressed head that is not whole, and the frame that began it.
    block: Option<(Frame, Vec<u8>)>,
    /// Bytes of padding at the end of the frame within; not known before its first byte.
    padding: Option<usize>,
    /// Streams whose head has come.
    begun: BTreeSet<u32>,
    /// What the last step hands out.
    head: Vec<u8>,
}

impl Answers {
    pub fn new(head_bytes_limit: usize) -> Self {
        Self {
            frames: Frames::default(),
            decoder: Decoder::new(),
            head_bytes_limit,
            content: Vec::new(),
            block: None,
            padding: None,
            begun: BTreeSet::new(),
            head: Vec::new(),
        }
    }

    /// The stream to whose answer the next of these bytes belong.
    pub fn stream(&self, bytes: &[u8]) -> Option<u32> {
        let frame = self.frames.peek(bytes)?;
        (frame.is_of_message() && frame.stream % 2 == 1).then_some(frame.stream)
    }

    pub fn step<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let mut consumed = 0;
        if self.frames.within().is_none() {
            consumed = self.frames.take_head(bytes);
            self.content.clear();
            self.padding = None;
        }
        let Some(frame) = self.frames.within() else { return Ok(step(consumed, Part::Framing, false)) };
        match frame.kind {
            kind::DATA => self.data(frame, consumed, bytes),
            kind::HEADERS | kind::CONTINUATION | kind::PUSH_PROMISE | kind::RST_STREAM => {
                self.gather(frame, consumed, bytes)
            }
            _ => {
                consumed += self.frames.take_content(&bytes[consumed..], usize::MAX);
                self.frames.finish();
                Ok(step(consumed, Part::Framing, false))
            }
        }
    }

    /// Content, with or without padding around it (section 6.1).
    fn data<'a>(&'a mut self, frame: Frame, mut consumed: usize, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if frame.has(flag::PADDED) && self.padding.is_none() && frame.len > 0 {
            let Some(len) = bytes.get(consumed) else { return Ok(step(consumed, Part::Framing, false)) };
            consumed += self.frames.take_content(&bytes[consumed..], 1);
            self.padding = Some(usize::from(*len));
        }
        let from = consumed;
        let padding = self.padding.unwrap_or(0);
        let most = self.frames.left().saturating_sub(padding);
        consumed += self.frames.take_content(&bytes[from..], most);
        let to = consumed;
        if self.frames.left() <= padding {
            consumed += self.frames.take_content(&bytes[to..], usize::MAX);
        }
        let ends = self.frames.finish().is_some_and(Frame::ends_stream);
        if ends {
            self.begun.remove(&frame.stream);
        }
        Ok(step(consumed, Part::Body(&bytes[from..to]), ends))
    }

    /// A frame whose content is needed whole.
    fn gather<'a>(&'a mut self, frame: Frame, mut consumed: usize, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let from = consumed;
        consumed += self.frames.take_content(&bytes[from..], usize::MAX);
        self.content.extend_from_slice(&bytes[from..consumed]);
        if self.content.len() > self.head_bytes_limit {
            return Err(Garbled);
        }
        if self.frames.finish().is_none() {
            return Ok(step(consumed, Part::Framing, false));
        }
        if frame.kind == kind::RST_STREAM {
            self.begun.remove(&frame.stream);
            return Ok(step(consumed, Part::Body(&self.content), true));
        }
        self.gather_block(frame)?;
        match self.block.take_if(|_| frame.has(flag::END_HEADERS)) {
            Some((first, block)) => self.take_head(first, &block, consumed),
            None => Ok(step(consumed, Part::Framing, false)),
        }
    }

    /// Adds a frame's piece of a head to the others.
    fn gather_block(&mut self, frame: Frame) -> Result<(), Garbled> {
        if let (kind::CONTINUATION, Some((_, block))) = (frame.kind, &mut self.block) {
            block.extend_from_slice(&self.content);
            return if block.len() > self.head_bytes_limit { Err(Garbled) } else { Ok(()) };
        }
        if frame.kind == kind::CONTINUATION || self.block.is_some() {
            return Err(Garbled);
        }
        let piece = fragment(frame, &self.content).ok_or(Garbled)?;
        self.block = Some((frame, piece.to_vec()));
        Ok(())
    }

    /// A head is whole: an interim one, the answer's, or the trailers behind its content.
    fn take_head(&mut self, first: Frame, block: &[u8], consumed: usize) -> Result<Step<'_>, Garbled> {
        let fields = self.decoder.decode(block, self.head_bytes_limit).ok_or(Garbled)?;
        if first.kind == kind::PUSH_PROMISE {
            return Ok(step(consumed, Part::Framing, false));
        }
        let status = fields.iter().find(|(name, _)| name == b":status").map(|(_, status)| &status[..]);
        if status.is_some_and(|status| status.starts_with(b"1")) {
            return Ok(step(consumed, Part::Framing, false));
        }
        let has_begun = self.begun.contains(&first.stream);
        if has_begun && !first.ends_stream() {
            // Behind the first head there are only trailers, and they are the end (RFC 9113, section 8.1).
            return Err(Garbled);
        }
        self.head = told(status.filter(|_| !has_begun), &fields);
        if first.ends_stream() {
            self.begun.remove(&first.stream);
        } else if self.begun.len() < STREAMS_MAX {
            self.begun.insert(first.stream);
        } else {
            return Err(Garbled);
        }
        Ok(step(consumed, Part::Head(&self.head), first.ends_stream()))
    }

    /// `len` bytes were lost; whether all of them were content.
    pub fn skip(&mut self, len: u64) -> bool {
        let Some(frame) = self.frames.within().filter(|frame| frame.kind == kind::DATA) else { return false };
        let is_content = !frame.has(flag::PADDED) || self.padding.is_some();
        match usize::try_from(len) {
            Ok(len) if is_content && len <= self.frames.left() => {
                self.frames.skip(len);
                true
            }
            _ => false,
        }
    }

    pub fn at_boundary(&self) -> bool {
        self.frames.at_boundary() && self.begun.is_empty()
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

/// A head as that of HTTP/1, which the comparison reads; trailers have no start line.
fn told(status: Option<&[u8]>, fields: &[Field]) -> Vec<u8> {
    let mut head = Vec::new();
    if let Some(status) = status {
        head.extend_from_slice(&[b"HTTP/1.1 ", status, b" \r\n"].concat());
    }
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
        let line = [name, &b": "[..], value].concat();
        head.extend(line.into_iter().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }));
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn step(consumed: usize, part: Part<'_>, ends: bool) -> Step<'_> {
    Step { consumed, part, boundary: if ends { Boundary::End } else { Boundary::Inside } }
}
