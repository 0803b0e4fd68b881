//! The framers, each by its name in the settings.
//!
//! An input is either a conversation, which must give the same messages however it is cut, or a run of calls in any order,
//! gaps among them, after which a framer must still keep its promises.

use crate::http;
use arbitrary::{Result, Unstructured};
use core::fmt::Write;
use tapcopy_engine::protocol::{AtClose, Boundary, Expect, Framer, Garbled, PROTOCOLS, Part, Step};

/// A framer with a bound on the bytes of a head.
type Begin = fn(usize) -> Box<dyn Framer>;

/// Bounds on the bytes of a head: one that is met, and one that is not.
const HEAD_BYTES: [usize; 2] = [100, 64 << 10];

/// Takes the framer, the bound and the kind of run from one byte each, and the rest of the input for the run.
pub fn check(bytes: &[u8]) {
    // An input that ends early is a shorter one.
    let _ = run(&mut Unstructured::new(bytes));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let framers: Vec<_> = PROTOCOLS.iter().filter_map(|protocol| Some((protocol.name, protocol.framer?))).collect();
    let (name, begin) = framers[usize::from(input.arbitrary::<u8>()?) % framers.len()];
    let limit = HEAD_BYTES[usize::from(input.arbitrary::<u8>()?) % HEAD_BYTES.len()];
    match input.arbitrary::<u8>()? {
        0 => calls(begin(limit).as_mut(), input),
        cut => conversation((name, begin), limit, cut, input),
    }
}

/// What one direction of a conversation was cut into.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transcript {
    messages: Vec<Message>,
    end: String,
}

/// A message: its heads and content, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
    boundary: Option<Boundary>,
}

impl Transcript {
    fn add(&mut self, step: &Step<'_>) {
        if self.messages.last().is_none_or(|message| message.boundary.is_some()) {
            self.messages.push(Message::default());
        }
        let message = self.messages.last_mut().expect("one was pushed");
        match step.part {
            Part::Head(head) => message.head.extend(head),
            Part::Body(body) => message.body.extend(body),
            Part::Framing | Part::Aside => {}
        }
        message.boundary = (step.boundary != Boundary::Inside).then_some(step.boundary);
    }

    /// Forgets all but where the messages end.
    fn keep_boundaries(&mut self) {
        self.messages
            .iter_mut()
            .for_each(|message| *message = Message { boundary: message.boundary, ..Message::default() });
        self.cut_last();
    }

    /// A message that turned out to be garbled counts for nothing, however much was made of it.
    fn cut_last(&mut self) {
        self.messages.retain(|message| message.boundary.is_some());
    }

    /// Nothing more comes. A message of which only framing was seen may have been seen in one cut and not in another.
    fn close(&mut self, end: impl core::fmt::Debug) {
        self.messages.retain(|message| *message != Message::default());
        let _ = write!(self.end, "{end:?}");
    }
}

/// Both directions, the client's first.
fn conversation((name, begin): (&str, Begin), limit: usize, cut: u8, input: &mut Unstructured<'_>) -> Result<()> {
    let client_len: u16 = input.arbitrary()?;
    let client = input.bytes(usize::from(client_len).min(input.len()))?;
    let server = input.bytes(input.len())?;
    let mut whole = transcripts(begin(limit).as_mut(), &[client], &[server]);
    let mut pieces = transcripts(begin(limit).as_mut(), &pieces(client, cut), &pieces(server, cut));
    if name != "http" {
        // Of a request's parts nobody reads the bytes, and other framers do not collect them.
        whole.0.keep_boundaries();
        pieces.0.keep_boundaries();
    }
    assert_eq!(whole, pieces, "{name}: whole and in pieces");
    if name == "http" && client.len() < limit {
        let expected = http::requests(client);
        let found = whole.0.messages.iter().map(|message| (message.head.as_slice(), message.body.as_slice()));
        assert!(
            found.take(expected.len()).eq(expected.iter().map(|(head, body)| (*head, body.as_slice()))),
            "{expected:?} was read as {whole:?}"
        );
    }
    Ok(())
}

/// Pieces of lengths that `cut` chooses; with 1, single bytes.
fn pieces(mut bytes: &[u8], cut: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = u32::from(cut);
    while !bytes.is_empty() {
        let longest = 1 + (state >> 16) % u32::from(cut);
        let (piece, rest) = bytes.split_at((longest as usize).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    pieces
}

/// What the client said, what is known of the answers, and what the server said.
type Conversation = (Transcript, Vec<Expect>, Transcript);

fn transcripts(framer: &mut dyn Framer, client: &[&[u8]], server: &[&[u8]]) -> Conversation {
    let (requests, expects) = requests(framer, client);
    let answers = answers(framer, &expects, server);
    (requests, expects, answers)
}

fn requests(framer: &mut dyn Framer, pieces: &[&[u8]]) -> (Transcript, Vec<Expect>) {
    let (mut seen, mut expects, mut is_within) = (Transcript::default(), Vec::new(), false);
    for piece in pieces {
        let mut encrypted = false;
        let fed = feed(piece, |bytes| {
            if encrypted {
                return Ok((bytes.len(), Boundary::Inside));
            }
            if let Some(aside) = aside(framer, is_within, bytes) {
                return Ok((aside, Boundary::Inside));
            }
            let step = framer.request(bytes)?;
            is_within = step.boundary == Boundary::Inside;
            seen.add(&step);
            let (consumed, boundary) = (step.consumed, step.boundary);
            encrypted = is_end_of_protocol(boundary);
            if boundary != Boundary::Inside {
                expects.push(framer.expect());
            }
            Ok((consumed, boundary))
        });
        if fed.is_err() {
            assert_eq!(framer.request(b"x"), Err(Garbled), "a garbled stream stays so");
            seen.cut_last();
            seen.close(Garbled);
            return (seen, expects);
        }
        if encrypted {
            seen.close(Boundary::Encrypted);
            return (seen, expects);
        }
    }
    seen.close(framer.request_at_close());
    (seen, expects)
}

/// The length of what the client says beside requests.
fn aside(framer: &mut dyn Framer, is_within: bool, bytes: &[u8]) -> Option<usize> {
    if is_within || !framer.is_interleaved() {
        return None;
    }
    if bytes.is_empty() {
        return Some(0);
    }
    framer.aside(bytes).map(|step| step.consumed)
}

/// Answers in any order, each in a place of its own.
fn interleaved_answers(framer: &mut dyn Framer, expects: &[Expect], pieces: &[&[u8]]) -> Transcript {
    let mut answers: Vec<(Expect, Transcript)> =
        expects.iter().map(|expect| (*expect, Transcript::default())).collect();
    let mut fed = Ok(());
    for piece in pieces {
        fed = fed.and_then(|()| {
            feed(piece, |bytes| {
                let whose = framer.whose(bytes);
                let due = answers.iter_mut().find(|(expect, _)| Some(expect.kind) == whose);
                let due = due.filter(|(_, seen)| seen.messages.iter().all(|message| message.boundary.is_none()));
                let step = match due {
                    Some((expect, seen)) => {
                        let step = framer.answer(*expect, bytes)?;
                        seen.add(&step);
                        step
                    }
                    None if bytes.is_empty() => return Ok((0, Boundary::Inside)),
                    None => Step { boundary: Boundary::Inside, ..framer.unasked(bytes)? },
                };
                Ok((step.consumed, step.boundary))
            })
        });
    }
    let messages = answers.into_iter().flat_map(|(_, answer)| answer.messages).collect();
    let mut seen = Transcript { messages, ..Transcript::default() };
    if fed.is_err() {
        seen.cut_last();
    }
    seen.close((fed, framer.answer_at_close(Expect::default())));
    seen
}

fn answers(framer: &mut dyn Framer, expects: &[Expect], pieces: &[&[u8]]) -> Transcript {
    if framer.is_interleaved() {
        return interleaved_answers(framer, expects, pieces);
    }
    let mut seen = Transcript::default();
    let mut due = expects.iter().copied();
    let mut expect = due.next().unwrap_or_default();
    for piece in pieces {
        let mut tunnel = false;
        let fed = feed(piece, |bytes| {
            if tunnel {
                return Ok((bytes.len(), Boundary::Inside));
            }
            let step = framer.answer(expect, bytes)?;
            seen.add(&step);
            tunnel = is_end_of_protocol(step.boundary);
            if step.boundary != Boundary::Inside {
                expect = due.next().unwrap_or_default();
            }
            Ok((step.consumed, step.boundary))
        });
        if fed.is_err() {
            seen.cut_last();
        }
        if fed.is_err() || tunnel {
            seen.close(fed);
            return seen;
        }
    }
    seen.close(framer.answer_at_close(expect));
    seen
}

/// What follows is not the framer's.
fn is_end_of_protocol(boundary: Boundary) -> bool {
    matches!(boundary, Boundary::Tunnel | Boundary::Encrypted | Boundary::Compressed)
}

/// Feeds one slice to the end, whatever `step` is of; progress is part of the promise.
fn feed(
    mut bytes: &[u8],
    mut step: impl FnMut(&[u8]) -> core::result::Result<(usize, Boundary), Garbled>,
) -> core::result::Result<(), Garbled> {
    loop {
        let (consumed, boundary) = step(bytes)?;
        assert!(consumed <= bytes.len(), "consumed {consumed} of {}", bytes.len());
        let is_inside = boundary == Boundary::Inside;
        assert!(consumed > 0 || !is_inside || bytes.is_empty(), "stands still at {}", bytes.escape_ascii());
        if bytes.is_empty() && is_inside {
            return Ok(());
        }
        bytes = &bytes[consumed..];
    }
}

/// Calls in any order, as many as the input has. A stream that is garbled or out of step stays so until it begins anew; one of
/// interleaved answers never does, and is not asked.
fn calls(framer: &mut dyn Framer, input: &mut Unstructured<'_>) -> Result<()> {
    let (mut expect, mut requests_lost, mut answers_lost, mut is_within) = (Expect::default(), false, false, false);
    while !input.is_empty() {
        let (call, len): (u8, u8) = (input.arbitrary()?, input.arbitrary()?);
        let bytes = input.bytes(usize::from(len).min(input.len()))?;
        match call % 9 {
            0..3 if !requests_lost => {
                let fed = feed(bytes, |bytes| {
                    if let Some(aside) = aside(framer, is_within, bytes) {
                        return Ok((aside, Boundary::Inside));
                    }
                    let step = framer.request(bytes)?;
                    is_within = step.boundary == Boundary::Inside;
                    Ok((step.consumed, step.boundary))
                });
                requests_lost = fed.is_err();
                expect = framer.expect();
            }
            3..5 if !answers_lost => {
                let fed = feed(bytes, |bytes| {
                    let step = framer.answer(expect, bytes)?;
                    if step.boundary != Boundary::Inside {
                        // A request is answered once.
                        expect = Expect::default();
                    }
                    Ok((step.consumed, step.boundary))
                });
                answers_lost = fed.is_err();
            }
            0..5 if framer.is_interleaved() => {}
            0..3 => assert_eq!(framer.request(bytes), Err(Garbled), "a garbled stream stays so"),
            3..5 => assert_eq!(framer.answer(expect, bytes), Err(Garbled), "a garbled stream stays so"),
            5 if !requests_lost => {
                requests_lost = !framer.request_gap(gap(bytes));
                assert!(requests_lost || framer.request(b"").is_ok(), "garbled behind a gap that is none");
            }
            6 if !answers_lost => {
                answers_lost = !framer.answer_gap(expect, gap(bytes));
                assert!(answers_lost || framer.answer(expect, b"").is_ok(), "garbled behind a gap that is none");
            }
            7 => {
                framer.restart_answers();
                answers_lost = false;
            }
            8 => {
                let Some(at) = framer.resume(bytes) else { continue };
                assert!(at <= bytes.len(), "a request beyond the segment");
                assert_eq!(framer.request_at_close(), AtClose::Clean, "resumed within a request");
                (requests_lost, answers_lost) = (false, false);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The length that up to eight bytes say.
fn gap(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |len, byte| len << 8 | u64::from(*byte))
}
