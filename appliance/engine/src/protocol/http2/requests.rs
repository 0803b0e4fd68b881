//! The client's side: the run of frames that begins each stream is a request, all other frames are asides. What is handed out of
//! either as head and content is what it says, without its framing.

use super::PREFACE;
use super::frames::{Frame, Frames, flag, kind};
use super::heads::{Heads, told_request};
use crate::protocol::{Boundary, Garbled, Part, Step};

#[derive(Debug)]
pub struct Requests {
    frames: Frames,
    /// None where a head could not be read: the requests are sent all the same, and nobody knows what they say.
    heads: Option<Heads>,
    /// The head that the last step hands out.
    head: Vec<u8>,
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
    continued: Option<u32>,
}

impl Requests {
    pub fn new(head_bytes_limit: usize) -> Self {
        Self {
            frames: Frames::default(),
            heads: Some(Heads::new(head_bytes_limit)),
            head: Vec::new(),
            preface: 0,
            run: None,
            has_head: false,
            is_ended: false,
            is_answered: false,
            last: 0,
            cancelled: None,
            continued: None,
        }
    }

    /// The stream of the request that was begun last.
    pub fn stream(&self) -> u32 {
        self.last
    }

    /// The stream which the aside that ended last gives up.
    pub fn cancelled(&self) -> Option<u32> {
        self.cancelled
    }

    /// The stream whose request the step of an aside that was taken last goes on with.
    pub fn continued(&self) -> Option<u32> {
        self.continued
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
        let begins = self.frames.within().is_none();
        let head_len = if begins { self.begin_frame(bytes) } else { 0 };
        let within = self.frames.within();
        self.continued = within.filter(|frame| frame.is_of_message()).map(|frame| frame.stream);
        let (consumed, data, _) = self.take_content(head_len, bytes);
        let part = match within {
            Some(frame) if frame.is_credit() => Part::Aside,
            Some(frame) if frame.is_of_message() && begins => Part::Head(data),
            Some(frame) if frame.is_of_message() => Part::Body(data),
            _ => Part::Framing,
        };
        let ended = self.frames.finish();
        if let Some(frame) = ended {
            self.cancelled = (frame.kind == kind::RST_STREAM).then_some(frame.stream);
        }
        Some(step(consumed, part, ended.is_some()))
    }

    /// Takes what there is of the next frame's head; how many bytes.
    fn begin_frame(&mut self, bytes: &[u8]) -> usize {
        self.heads.iter_mut().for_each(Heads::begin_frame);
        self.frames.take_head(bytes)
    }

    /// Takes content of the frame within, if there is one, behind so many bytes of its head: how many bytes are consumed then,
    /// the data among them, and whether a head has become whole that can be read.
    fn take_content<'a>(&mut self, head_len: usize, bytes: &'a [u8]) -> (usize, &'a [u8], bool) {
        let Some(frame) = self.frames.within() else { return (head_len, b"", false) };
        if frame.kind == kind::DATA {
            let (consumed, data) = self.frames.take_data(head_len, bytes);
            return (consumed, &bytes[data], false);
        }
        let consumed = head_len + self.frames.take_content(&bytes[head_len..], usize::MAX);
        let is_head = matches!(frame.kind, kind::HEADERS | kind::CONTINUATION);
        let is_told = is_head && self.take_head(frame, &bytes[head_len..consumed]).unwrap_or(false);
        (consumed, b"", is_told)
    }

    /// Takes a piece of a head; whether that is whole now. Where it cannot be read, neither can those that follow.
    fn take_head(&mut self, frame: Frame, piece: &[u8]) -> Option<bool> {
        let mut heads = self.heads.take()?;
        heads.push(piece).ok()?;
        let whole = if self.frames.left() == 0 { heads.end_frame(frame).ok()? } else { None };
        self.heads = Some(heads);
        let Some((_, fields)) = whole else { return Some(false) };
        self.head = told_request(&fields);
        Some(true)
    }

    fn take_preface<'a>(&mut self, bytes: &'a [u8]) -> Option<Step<'a>> {
        let due = &PREFACE[self.preface..];
        let len = due.len().min(bytes.len());
        if bytes[..len] != due[..len] {
            return None;
        }
        self.preface += len;
        (self.cancelled, self.continued) = (None, None);
        Some(step(len, Part::Framing, self.preface == PREFACE.len()))
    }

    /// Streams of clients have odd numbers, each higher than the one before (RFC 9113, section 5.1.1).
    fn begins(&self, frame: Frame) -> bool {
        frame.kind == kind::HEADERS && frame.stream % 2 == 1 && frame.stream > self.last
    }

    /// The run of frames that begins a stream; it ends with the client's last word on it, in front of a frame that is not of
    /// it, or of one that follows what the server has answered.
    pub fn step<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
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
            consumed = self.begin_frame(bytes);
        }
        let (consumed, data, is_told) = self.take_content(consumed, bytes);
        let Some(frame) = self.frames.finish() else { return Ok(step(consumed, Part::Body(data), false)) };
        let completes_head = !self.has_head && frame.has(flag::END_HEADERS);
        self.has_head |= completes_head;
        self.is_ended |= frame.ends_stream();
        let is_whole = self.has_head && self.is_ended;
        if is_whole {
            self.run = None;
        }
        let part = match completes_head {
            true => Part::Head(if is_told { &self.head } else { b"" }),
            false => Part::Body(data),
        };
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
