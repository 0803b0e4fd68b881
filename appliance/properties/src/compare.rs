//! The comparison of two answers.

use arbitrary::{Result, Unstructured};
use tapcopy_engine::compare::{Comparison, Field, Pattern, Rule, Rules, Scope, Terms, compare};
use tapcopy_engine::protocol::PROTOCOLS;
use tapcopy_engine::selection::filter::Glob;
use tapcopy_engine::{Answer, Books, Limits};

/// Takes two answers, each as its head and content, with rules or none, and bounds from a byte each.
pub fn check(bytes: &[u8]) {
    // An input that ends early is a shorter one.
    let _ = run(&mut Unstructured::new(bytes));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let rules = if input.arbitrary()? { Rules::default() } else { some_rules() };
    let scope = rules.scope(&[b"/"]);
    let kept = usize::from(input.arbitrary::<u8>()?);
    let mut books = Books::new(Limits { body_bytes: kept, bodies_bytes: 16 * kept, ..Limits::default() });
    let cut = usize::from(input.arbitrary::<u8>()?);
    let (one, other) = (Parts::take(input)?, Parts::take(input)?);
    let readers: Vec<_> = PROTOCOLS.iter().filter_map(|protocol| protocol.reader).collect();
    let reader = readers.get(usize::from(input.arbitrary::<u8>()?) % (2 * readers.len()));
    let kind = input.arbitrary()?;
    let terms = Terms { rules: &rules, scope, reader: reader.map(|reader| (*reader, kind)) };
    let hold = |one: &Answer, other: &Answer| compare(&one.message(), &other.message(), &terms);
    // What is kept of an answer depends on those before it.
    let (first, second) = (one.answer(usize::MAX, &mut books), other.answer(usize::MAX, &mut books));
    let (found, mirrored) = (hold(&first, &second), hold(&second, &first));
    assert_eq!(is_unequal(&found), is_unequal(&mirrored), "{found:?} against {mirrored:?}");
    let is_plain = reader.is_none() && scope == Scope::default();
    if is_plain && one.head.is_empty() && other.head.is_empty() && one.body.len() != other.body.len() {
        assert!(is_unequal(&found), "other lengths are {found:?}");
    }
    // The same answer in pieces, with bounds that an earlier answer may have used up.
    for parts in [one, other] {
        let found = hold(&parts.answer(usize::MAX, &mut books), &parts.answer(1 + cut, &mut books));
        assert!(!is_unequal(&found), "an answer and itself are {found:?}");
    }
    Ok(())
}

fn is_unequal(found: &Comparison) -> bool {
    matches!(found, Comparison::Unequal(_))
}

fn some_rules() -> Rules {
    let field = |text| Field::parse(text).expect("a field");
    let rule = Rule {
        path: Glob::new("/*"),
        ignore: vec![field("header:x-trace"), field("$.b.c"), field("row *.b")],
        ignore_pattern: Some(Pattern::parse("[0-9]+").expect("a pattern")),
        tolerance: 0.01,
        unordered: vec![field("$"), field("$..a"), field("row")],
    };
    Rules::new(Vec::new(), vec![rule])
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
