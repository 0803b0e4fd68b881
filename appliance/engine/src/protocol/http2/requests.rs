//! The client's side: the run of frames that begins each stream is a request, all other frames are asides.

use super::PREFACE;
use super::frames::{Frame, Frames, flag, kind};
use crate::protocol::{Boundary, Garbled, Part, Step};

#[derive(Debug, Default)]
pub struct Requests {
    frames: Frames,
    preface: usize,
    /// The stream whose beginning is read.
    run: Option<u32>,
    /// Whether the head of that stream is whole.
    has_head: bool,
    /// Whether the client says no more on it.
    is_ended: bool,
    /// The server has answered on it.
    is_answered: bool,
    /// The stream that was begun last.
    last: u32,
    cancelled: Option<u32>,
}

impl Requests {
    /// The stream of the request that was begun last.
    pub fn stream(&self) -> u32 {
        self.last
    }

    /// The stream which the aside that ended last gives up.
    pub fn cancelled(&self) -> Option<u32> {
        self.cancelled
    }

    pub fn at_boundary(&self) -> bool {
        self.frames.at_boundary() && (self.preface == 0 || self.preface == PREFACE.len())
    }

    /// The server says something on a stream: what the client says there from now on may depend on it.
    pub fn note_answer(&mut self, stream: u32) {
        self.is_answered |= self.run == Some(stream);
    }

    /// Frames that begin no stream. The head of a frame that is not whole belongs to none yet.
    pub fn aside<'a>(&mut self, bytes: &'a [u8]) -> Option<Step<'a>> {
        if self.preface < PREFACE.len() {
            return self.take_preface(bytes);
        }
        if self.frames.peek(bytes).is_some_and(|frame| self.begins(frame)) {
            return None;
        }
        let (mut consumed, mut part) = (0, Part::Framing);
        if self.frames.within().is_none() {
            consumed = self.frames.take_head(bytes);
            if self.frames.within().is_some_and(Frame::is_of_message) {
                part = Part::Head(&bytes[..consumed]);
            }
        }
        if self.frames.within().is_some_and(Frame::is_credit) {
            part = Part::Aside;
        }
        consumed += self.frames.take_content(&bytes[consumed..], usize::MAX);
        let ended = self.frames.finish();
        if let Some(frame) = ended {
            self.cancelled = (frame.kind == kind::RST_STREAM).then_some(frame.stream);
        }
        Some(step(consumed, part, ended.is_some()))
    }

    fn take_preface<'a>(&mut self, bytes: &'a [u8]) -> Option<Step<'a>> {
        let due = &PREFACE[self.preface..];
        let len = due.len().min(bytes.len());
        if bytes[..len] != due[..len] {
            return None;
        }
        self.preface += len;
        self.cancelled = None;
        Some(step(len, Part::Framing, self.preface == PREFACE.len()))
    }

    /// Streams of clients have odd numbers, each higher than the one before (RFC 9113, section 5.1.1).
    fn begins(&self, frame: Frame) -> bool {
        frame.kind == kind::HEADERS && frame.stream % 2 == 1 && frame.stream > self.last
    }

    /// The run of frames that begins a stream; it ends with the client's last word on it, in front of a frame that is not of
    /// it, or of one that follows what the server has answered.
    pub fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if self.preface < PREFACE.len() {
            return Err(Garbled);
        }
        let mut consumed = 0;
        if self.frames.within().is_none() {
            match self.frames.peek(bytes) {
                Some(frame) if self.run.is_none() && self.begins(frame) => self.begin(frame),
                Some(_) if self.run.is_none() => return Err(Garbled),
                Some(frame) if self.ends_before(frame) => {
                    self.run = None;
                    return Ok(step(0, Part::Framing, true));
                }
                _ => {}
            }
            consumed = self.frames.take_head(bytes);
        }
        consumed += self.frames.take_content(&bytes[consumed..], usize::MAX);
        let Some(frame) = self.frames.finish() else { return Ok(step(consumed, Part::Framing, false)) };
        let completes_head = !self.has_head && frame.has(flag::END_HEADERS);
        self.has_head |= completes_head;
        self.is_ended |= frame.ends_stream();
        let is_whole = self.has_head && self.is_ended;
        if is_whole {
            self.run = None;
        }
        let part = if completes_head { Part::Head(&bytes[..consumed]) } else { Part::Framing };
        Ok(step(consumed, part, is_whole))
    }

    fn begin(&mut self, frame: Frame) {
        self.last = frame.stream;
        self.run = Some(frame.stream);
        (self.has_head, self.is_ended, self.is_answered) = (false, false, false);
    }

    /// A head that is not whole is continued whatever follows (RFC 9113, section 6.10).
    fn ends_before(&self, frame: Frame) -> bool {
        let belongs =
            Some(frame.stream) == self.run && matches!(frame.kind, kind::DATA | kind::HEADERS | kind::CONTINUATION);
        self.has_head && (!belongs || self.is_answered)
    }
}

fn step(consumed: usize, part: Part<'_>, ends: bool) -> Step<'_> {
    Step { consumed, part, boundary: if ends { Boundary::End } else { Boundary::Inside } }
}
