//! A dialogue through a framer, told in words: which requests and answers it cuts, however the bytes come in.

use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::protocol::{AtClose, Boundary, Expect, Framer, Part, find};

/// Head of a message, in bytes, as generous as the engine's own bound.
const HEAD_BYTES: usize = 64 << 10;

/// One side's bytes.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    Client(&'a [u8]),
    Server(&'a [u8]),
}

/// Checks what a protocol's framer makes of a dialogue, with its bytes in one piece, cut in two at every place, and one by
/// one. In the words, a request stands as `?` with its marks, an answer as `=content`, what was unasked as `~`; where answers are interleaved, with the
/// request's kind in front, and what is beside requests and answers is not told.
pub fn check(protocol: &str, said: &[Said<'_>], expected: &str) {
    let longest = said.iter().map(|(Said::Client(bytes) | Said::Server(bytes))| bytes.len()).max().unwrap_or(0);
    for cut in 0..longest {
        let words = tell(protocol, said, |bytes| Vec::from(<[&[u8]; 2]>::from(bytes.split_at(cut.min(bytes.len())))));
        assert_eq!(words, expected, "cut at {cut}");
    }
    assert_eq!(tell(protocol, said, |bytes| bytes.chunks(1).collect()), expected, "byte by byte");
}

/// As [`check`], of a dialogue recorded on the wire: a line of `C "..."` or `S "..."` for each run of one side's bytes.
pub fn check_recorded(protocol: &str, recorded: &str, expected: &str) {
    with_recorded(recorded, |said| check(protocol, said, expected));
}

/// Every answer of a recorded dialogue, and the kind that was expected of it.
pub fn recorded_answers(protocol: &str, recorded: &str) -> Vec<(u64, Vec<u8>)> {
    let mut answers = Vec::new();
    with_recorded(recorded, |said| answers = answered(protocol, said, |bytes| vec![bytes]).answers);
    answers
}

fn with_recorded(recorded: &str, take: impl FnOnce(&[Said<'_>])) {
    let runs: Vec<(bool, Vec<u8>)> =
        recorded.lines().map(|line| (line.starts_with('C'), unescape(&line[3..]))).collect();
    let said: Vec<Said<'_>> = runs
        .iter()
        .map(|(is_client, bytes)| if *is_client { Said::Client(bytes) } else { Said::Server(bytes) })
        .collect();
    take(&said);
}

/// The bytes of a quoted string behind its first quote.
fn unescape(quoted: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), quoted.strip_suffix('"').expect("a closing quote").bytes());
    let hex = |digit: Option<u8>| (digit.expect("two digits") as char).to_digit(16).expect("a digit") as u8;
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().expect("an escaped byte") {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => hex(rest.next()) << 4 | hex(rest.next()),
                other => other,
            },
            other => other,
        });
    }
    bytes
}

fn tell(protocol: &str, said: &[Said<'_>], cut: impl for<'b> Fn(&'b [u8]) -> Vec<&'b [u8]>) -> String {
    let mut teller = answered(protocol, said, cut);
    if teller.framer.request_at_close() != AtClose::Clean {
        teller.words.push("cut".to_owned());
    }
    teller.words.join(" ")
}

fn answered(protocol: &str, said: &[Said<'_>], cut: impl for<'b> Fn(&'b [u8]) -> Vec<&'b [u8]>) -> Teller {
    let definition = find(protocol).expect("a known protocol");
    let mut teller = Teller {
        framer: definition.framer.expect("a framer")(HEAD_BYTES),
        due: VecDeque::new(),
        content: BTreeMap::new(),
        is_within: false,
        words: Vec::new(),
        answers: Vec::new(),
    };
    for words in said {
        match *words {
            Said::Client(bytes) => cut(bytes).into_iter().for_each(|piece| teller.client(piece)),
            Said::Server(bytes) => cut(bytes).into_iter().for_each(|piece| teller.server(piece)),
        }
    }
    teller
}

struct Teller {
    framer: Box<dyn Framer>,
    due: VecDeque<Expect>,
    content: BTreeMap<u64, Vec<u8>>,
    is_within: bool,
    words: Vec<String>,
    answers: Vec<(u64, Vec<u8>)>,
}

impl Teller {
    fn client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let aside = if self.is_within { None } else { self.framer.aside(bytes) };
            if let Some(step) = aside {
                assert!(step.consumed > 0 && step.consumed <= bytes.len(), "a step must go on");
                bytes = &bytes[step.consumed..];
                continue;
            }
            let Ok(step) = self.framer.request(bytes) else { return self.words.push("garbled?".to_owned()) };
            assert!(step.consumed <= bytes.len(), "no step is longer than the bytes");
            let ends = step.boundary != Boundary::Inside;
            assert!(step.consumed > 0 || ends, "a step must go on");
            self.is_within = !ends;
            bytes = &bytes[step.consumed..];
            if ends {
                let expect = self.framer.expect();
                self.words.push(marks(expect));
                self.due.extend((!expect.silent).then_some(expect));
            }
        }
    }

    fn server(&mut self, mut bytes: &[u8]) {
        let (mut is_behind_end, is_interleaved) = (false, self.framer.is_interleaved());
        while is_behind_end || !bytes.is_empty() {
            let due = self.due(bytes);
            let taken = match due {
                Some(expect) => self.framer.answer(expect, bytes),
                None if bytes.is_empty() => return,
                None => self.framer.unasked(bytes),
            };
            let Ok(step) = taken else { return self.words.push("garbled=".to_owned()) };
            if step.is_idle() {
                return;
            }
            if step.part == Part::Aside || due.is_none() {
                if !is_interleaved && self.words.last().is_none_or(|last| last != "~") {
                    self.words.push("~".to_owned());
                }
            } else if let Part::Body(content) | Part::Head(content) = step.part {
                self.content.entry(due.map_or(0, |expect| expect.kind)).or_default().extend_from_slice(content);
            }
            bytes = &bytes[step.consumed..];
            is_behind_end = due.is_some() && step.boundary != Boundary::Inside;
            if let Some(Expect { kind, .. }) = due.filter(|_| is_behind_end) {
                let last = if step.boundary == Boundary::End { "" } else { "!" };
                let content = self.content.remove(&kind).unwrap_or_default();
                let whose = if is_interleaved { kind.to_string() } else { String::new() };
                self.words.push(format!("{whose}={}{last}", content.escape_ascii()));
                self.answers.push((kind, content));
                if let Some(index) = self.due.iter().position(|expect| expect.kind == kind) {
                    self.due.remove(index);
                }
            }
        }
    }

    /// The request that the server's next bytes answer.
    fn due(&self, bytes: &[u8]) -> Option<Expect> {
        match self.framer.is_interleaved() {
            true => {
                let kind = self.framer.whose(bytes)?;
                self.due.iter().find(|expect| expect.kind == kind).copied()
            }
            false => self.due.front().copied(),
        }
    }
}

fn marks(expect: Expect) -> String {
    let marks = [
        (expect.retryable, 'r'),
        (expect.silent, 's'),
        (expect.handshake, 'h'),
        (expect.asked, 'a'),
        (expect.volatile, 'v'),
        (expect.bound, 'n'),
        (expect.binds, 'b'),
    ];
    core::iter::once('?').chain(marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark)).collect()
}
