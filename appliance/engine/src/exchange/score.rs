//! The score of a rehearsal: the origin's own bytes, kept to be played back as the target's.
//!
//! It is one stream, as it was on the wire, with marks where the answer to the next request begins. What was lost by the
//! mirror inside an answer of known length is filled with zeros; where all of an answer was lost, an answer that says
//! nothing stands in for it; where the rest of one was lost, the connection is broken off. What would answer a request
//! that was given up is left out.

use super::{Exchanges, Stage};
use std::collections::VecDeque;

/// Longest hole that is filled.
const FILL_MAX: u64 = 64 << 20;

/// The origin's bytes that have not been played.
#[derive(Debug, Default)]
pub struct Score {
    bytes: VecDeque<u8>,
    /// Position in the stream behind the last byte written.
    written: u64,
    /// Marks: from this position on, the bytes answer this exchange.
    marks: VecDeque<(u64, u64)>,
    /// At these positions the connection is closed.
    breaks: VecDeque<u64>,
    /// No byte follows.
    ended: bool,
}

impl Score {
    /// Adds bytes that answer exchange `id`, or nothing in particular.
    pub fn write(&mut self, id: Option<u64>, bytes: impl Iterator<Item = u8>) {
        if self.ended {
            return;
        }
        if let Some(id) = id.filter(|id| self.marks.back().is_none_or(|(_, last)| last < id)) {
            self.marks.push_back((self.written, id));
        }
        let before = self.bytes.len();
        self.bytes.extend(bytes);
        self.written += (self.bytes.len() - before) as u64;
    }

    /// Stands in for `len` bytes that were lost.
    pub fn fill(&mut self, id: Option<u64>, len: u64) {
        match usize::try_from(len.min(FILL_MAX)) {
            Ok(fill) if len <= FILL_MAX => self.write(id, core::iter::repeat_n(0, fill)),
            _ => self.breaks.push_back(self.written),
        }
    }

    /// Adds bytes that answer exchange `id` in place of those already there, of which none was played.
    pub fn replace(&mut self, id: u64, bytes: &[u8]) {
        if let Some((at, _)) = self.marks.pop_back_if(|(_, marked)| *marked == id) {
            self.bytes.truncate((at - self.position()) as usize);
            self.written = at;
        }
        self.write(Some(id), bytes.iter().copied());
    }

    /// The rest of an answer was lost.
    pub fn break_off(&mut self) {
        self.breaks.push_back(self.written);
    }

    /// Where the next byte to play lies.
    fn position(&self) -> u64 {
        self.written - self.bytes.len() as u64
    }

    /// Leaves out what lies before the next mark, or before the one behind it where the first mark is reached.
    fn leave_out(&mut self) {
        let position = self.position();
        self.marks.pop_front_if(|(at, _)| *at == position);
        let to = self.marks.front().map_or(self.written, |(at, _)| *at);
        self.bytes.drain(..(to - position) as usize);
        self.breaks.retain(|at| *at > to);
    }

    /// What is left of an answer that was being played belongs to a connection that is gone.
    pub fn reconnect(&mut self) {
        let position = self.position();
        if position > 0 && self.marks.front().is_none_or(|(at, _)| *at > position) {
            self.leave_out();
        }
    }

    /// The origin says nothing more.
    pub fn end(&mut self) {
        self.ended = true;
    }
}

impl Exchanges {
    /// Keeps the origin's bytes for [`Exchanges::play`].
    pub fn rehearse(&mut self) {
        self.score = Some(Box::default());
    }

    /// Bytes sent on the present connection.
    pub fn sent_on_connection(&self) -> u64 {
        self.sent_on_connection
    }

    /// Plays what the target may say now to `write`, which says how many bytes it took. Whether it then closes.
    pub fn play(&mut self, mut write: impl FnMut(&[u8]) -> usize) -> bool {
        self.leave_out_given_up();
        let playable = self.playable();
        let Some(score) = &mut self.score else { return true };
        let limit = score.breaks.front().map_or(playable, |at| playable.min(*at));
        let mut room = limit.saturating_sub(score.position()) as usize;
        while room > 0 {
            let (run, _) = score.bytes.as_slices();
            let run = &run[..run.len().min(room)];
            let (len, taken) = (run.len(), write(run));
            score.bytes.drain(..taken);
            room -= taken;
            if taken < len {
                break;
            }
        }
        let position = score.position();
        while score.marks.pop_front_if(|(at, _)| *at < position).is_some() {}
        if room > 0 {
            return false;
        }
        score.breaks.pop_front_if(|at| *at <= position).is_some() || (score.ended && score.bytes.is_empty())
    }

    /// Leaves out the answers to exchanges that were given up before any of them was played.
    fn leave_out_given_up(&mut self) {
        while let Some(score) = &self.score
            && let Some((at, id)) = score.marks.front().copied()
            && at == score.position()
            && self.get(id).is_none_or(|exchange| exchange.stage == Stage::Done)
            && let Some(score) = &mut self.score
        {
            score.leave_out();
        }
    }

    /// How far the score may be played: up to the answer to the first exchange that is not sent whole, or whose answer may
    /// yet turn out to be lost from its head on.
    fn playable(&self) -> u64 {
        let Some(score) = &self.score else { return 0 };
        let may_be_answered = |id| {
            self.get(id).is_none_or(|exchange| {
                !exchange.is_within_head() && !matches!(exchange.stage, Stage::Waiting | Stage::Sending(_))
            })
        };
        let barred = score.marks.iter().find(|(_, id)| !may_be_answered(*id));
        barred.map_or(score.written, |(at, _)| *at)
    }
}
