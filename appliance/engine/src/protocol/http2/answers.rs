//! The server's side: frames of many streams, each with its heads decoded.

use super::frames::{Frame, Frames, kind};
use super::heads::{Heads, told};
use super::hpack::Field;
use crate::protocol::{Boundary, Garbled, Part, Step};
use std::collections::BTreeSet;

/// Streams with a head and without an end, at most. Servers allow some hundred at once.
const STREAMS_MAX: usize = 4_096;

#[derive(Debug)]
pub struct Answers {
    frames: Frames,
    heads: Heads,
    /// Streams whose head has come.
    begun: BTreeSet<u32>,
    /// What the last step hands out.
    head: Vec<u8>,
}

impl Answers {
    pub fn new(head_bytes_limit: usize) -> Self {
        Self {
            frames: Frames::default(),
            heads: Heads::new(head_bytes_limit),
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
            self.heads.begin_frame();
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

    /// Content, with or without padding around it.
    fn data<'a>(&'a mut self, frame: Frame, consumed: usize, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let (consumed, data) = self.frames.take_data(consumed, bytes);
        let ends = self.frames.finish().is_some_and(Frame::ends_stream);
        if ends {
            self.begun.remove(&frame.stream);
        }
        Ok(step(consumed, Part::Body(&bytes[data]), ends))
    }

    /// A frame whose content is needed whole.
    fn gather<'a>(&'a mut self, frame: Frame, mut consumed: usize, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let from = consumed;
        consumed += self.frames.take_content(&bytes[from..], usize::MAX);
        self.heads.push(&bytes[from..consumed])?;
        if self.frames.finish().is_none() {
            return Ok(step(consumed, Part::Framing, false));
        }
        if frame.kind == kind::RST_STREAM {
            self.begun.remove(&frame.stream);
            return Ok(step(consumed, Part::Body(self.heads.content()), true));
        }
        match self.heads.end_frame(frame)? {
            Some((first, fields)) => self.take_head(first, &fields, consumed),
            None => Ok(step(consumed, Part::Framing, false)),
        }
    }

    /// A head is whole: an interim one, the answer's, or the trailers behind its content.
    fn take_head(&mut self, first: Frame, fields: &[Field], consumed: usize) -> Result<Step<'_>, Garbled> {
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
        // The comparison reads it as HTTP/1's; trailers have no start line.
        let start = status.filter(|_| !has_begun).map(|status| [b"HTTP/1.1 ", status, b" \r\n"].concat());
        self.head = told(&start.unwrap_or_default(), fields);
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
        let is_data = self.frames.within().is_some_and(|frame| frame.kind == kind::DATA);
        match usize::try_from(len) {
            Ok(len) if is_data && self.frames.knows_padding() && len <= self.frames.left() => {
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

fn step(consumed: usize, part: Part<'_>, ends: bool) -> Step<'_> {
    Step { consumed, part, boundary: if ends { Boundary::End } else { Boundary::Inside } }
}
