//! The comparison of two answers.

use arbitrary::{Result, Unstructured};
use tapcopy_engine::compare::{Alignment, Answer, compare};
use tapcopy_engine::message::Verdict;
use tapcopy_engine::{Books, Limits};

/// Takes two answers, each as its head and content, with an alignment and bounds from a byte each.
pub fn check(bytes: &[u8]) {
    // An input that ends early is a shorter one.
    let _ = run(&mut Unstructured::new(bytes));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let alignment = if input.arbitrary()? { Alignment::Aligned } else { Alignment::Lost };
    let kept = usize::from(input.arbitrary::<u8>()?);
    let mut books = Books::new(Limits { body_bytes: kept, bodies_bytes: 16 * kept, ..Limits::default() });
    let cut = usize::from(input.arbitrary::<u8>()?);
    let (one, other) = (Parts::take(input)?, Parts::take(input)?);
    let verdict = compare(&one.answer(usize::MAX, &mut books), &other.answer(usize::MAX, &mut books), alignment);
    let mirrored = compare(&other.answer(usize::MAX, &mut books), &one.answer(usize::MAX, &mut books), alignment);
    assert_eq!(is_differ(&verdict), is_differ(&mirrored), "{verdict:?} against {mirrored:?}");
    if one.head == other.head && one.body.len() != other.body.len() && alignment == Alignment::Aligned {
        assert!(is_differ(&verdict), "other lengths are {verdict:?}");
    }
    // The same answer in pieces, with bounds that an earlier answer may have used up.
    for parts in [one, other] {
        let verdict = compare(&parts.answer(usize::MAX, &mut books), &parts.answer(1 + cut, &mut books), alignment);
        assert!(!is_differ(&verdict), "an answer and itself are {verdict:?}");
    }
    Ok(())
}

fn is_differ(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Differ(_))
}

#[derive(Clone, Copy)]
struct Parts<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn take(input: &mut Unstructured<'a>) -> Result<Self> {
        let (head_len, body_len): (u16, u16) = (input.arbitrary()?, input.arbitrary()?);
        let head = input.bytes(usize::from(head_len).min(input.len()))?;
        let body = input.bytes(usize::from(body_len).min(input.len()))?;
        Ok(Self { head, body })
    }

    fn answer(self, piece: usize, books: &mut Books) -> Answer {
        let mut answer = Answer::default();
        answer.push_head(self.head, books);
        self.body.chunks(piece).for_each(|body| answer.push_body(body, books));
        answer
    }
}
