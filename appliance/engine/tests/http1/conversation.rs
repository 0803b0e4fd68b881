//! Conversations, cut into segments in many ways, and what the framer makes of them.

use tapcopy_engine::protocol::http1::Http1;
use tapcopy_engine::protocol::{Boundary, Expect, Framer, Garbled, Part, Step};

pub const LIMIT: usize = 1_000;

/// One direction's messages as text: start line, number of fields, content in braces, then how each ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    pub text: String,
    heads: Vec<Vec<u8>>,
    in_body: bool,
}

impl Transcript {
    fn add(&mut self, step: &Step<'_>) {
        match step.part {
            Part::Framing | Part::Aside => {}
            Part::Head(head) => {
                let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end();
                self.heads.push(head.to_vec());
                self.text += &format!("{} ", line.escape_ascii());
            }
            Part::Body([]) => {}
            Part::Body(body) => {
                if !self.in_body {
                    self.text += "{";
                    self.in_body = true;
                }
                self.text += &body.escape_ascii().to_string();
            }
        }
        if step.boundary != Boundary::Inside {
            self.close_body();
            self.text += &format!("{:?}, ", step.boundary);
        }
    }

    fn close_body(&mut self) {
        if self.in_body {
            self.text += "} ";
            self.in_body = false;
        }
    }

    fn end(&mut self, how: &str) {
        self.close_body();
        self.text += how;
    }
}

/// Feeds one slice to the end, whatever `step` is of; progress is part of the promise.
pub fn feed(mut bytes: &[u8], mut step: impl FnMut(&[u8]) -> Result<(usize, bool), Garbled>) -> Result<(), Garbled> {
    loop {
        let (consumed, is_boundary) = step(bytes)?;
        assert!(consumed <= bytes.len());
        assert!(consumed > 0 || is_boundary || bytes.is_empty(), "stands still at {}", bytes.escape_ascii());
        if bytes.is_empty() && !is_boundary {
            return Ok(());
        }
        bytes = &bytes[consumed..];
    }
}

/// Feeds a client's pieces; the transcript and what each request said of its answer.
pub fn requests(framer: &mut Http1, pieces: &[&[u8]]) -> (Transcript, Vec<Expect>) {
    let mut seen = Transcript::default();
    let mut expects = Vec::new();
    for piece in pieces {
        let fed = feed(piece, |bytes| {
            let step = framer.request(bytes)?;
            seen.add(&step);
            let (consumed, is_head, ends) =
                (step.consumed, matches!(step.part, Part::Head(_)), step.boundary != Boundary::Inside);
            if is_head {
                expects.push(framer.expect());
            }
            Ok((consumed, ends))
        });
        if fed.is_err() {
            seen.end("Garbled");
            assert_eq!(framer.request(b"GET / HTTP/1.1\r\n\r\n"), Err(Garbled), "a garbled stream stays so");
            return (seen, expects);
        }
    }
    seen.end(&format!("{:?}", framer.request_at_close()));
    (seen, expects)
}

/// Feeds a server's pieces as answers to the requests that `expects` were said of.
pub fn answers(framer: &mut Http1, expects: &[Expect], pieces: &[&[u8]]) -> Transcript {
    let mut seen = Transcript::default();
    let mut due = expects.iter().copied().chain(std::iter::repeat(Expect::default())).peekable();
    for piece in pieces {
        let mut tunnel = false;
        let fed = feed(piece, |bytes| {
            if tunnel {
                return Ok((bytes.len(), false));
            }
            let step = framer.answer(*due.peek().unwrap(), bytes)?;
            seen.add(&step);
            tunnel = step.boundary == Boundary::Tunnel;
            if step.boundary != Boundary::Inside {
                due.next();
            }
            Ok((step.consumed, step.boundary != Boundary::Inside))
        });
        if fed.is_err() {
            seen.end("Garbled");
            return seen;
        }
        if tunnel {
            seen.end("");
            return seen;
        }
    }
    seen.end(&format!("{:?}", framer.answer_at_close(*due.peek().unwrap())));
    seen
}

/// Every way to cut `bytes` that the tests try: whole, single bytes, any two pieces, and some at random.
pub fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut random = Random(1);
    let mut ways = vec![vec![bytes], bytes.chunks(1).collect()];
    ways.extend((0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]));
    for _ in 0..100 {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len().min(40)));
            pieces.push(piece);
            rest = behind;
        }
        ways.push(pieces);
    }
    ways
}

/// Holds both transcripts of a conversation against what is expected, however it is cut.
#[track_caller]
pub fn check(client: &[u8], server: &[u8], expected_requests: &str, expected_answers: &str) {
    let mut whole = Http1::new(LIMIT);
    let (seen, expects) = requests(&mut whole, &[client]);
    assert_eq!(seen.text, expected_requests, "requests");
    let replies = answers(&mut whole, &expects, &[server]);
    assert_eq!(replies.text, expected_answers, "answers");
    for pieces in cuts(client) {
        assert_eq!(requests(&mut Http1::new(LIMIT), &pieces), (seen.clone(), expects.clone()), "cut as {pieces:?}");
    }
    for pieces in cuts(server) {
        assert_eq!(answers(&mut Http1::new(LIMIT), &expects, &pieces), replies, "cut as {pieces:?}");
    }
}

#[track_caller]
pub fn check_requests(client: &[u8], expected: &str) {
    check(client, b"", expected, "Clean");
}

/// Answers to a request of the given method.
#[track_caller]
pub fn check_answers(method: &str, server: &[u8], expected: &str) {
    let client = format!("{method} /a HTTP/1.1\r\n\r\n");
    check(client.as_bytes(), server, &format!("{method} /a HTTP/1.1 End, Clean"), expected);
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
