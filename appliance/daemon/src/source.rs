//! Where a shard's mirrored frames come from: mirror NICs, or captures that are played.

use crate::capture::Progress;
use crate::nic::NicFault;
use crate::nic::mirror::{Losses, MirrorNic};
use crate::playback::Playback;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use tapcopy_engine::config::Service;
use tapcopy_engine::{Backlog, Input, MirrorFrame, Time};

/// Frames of one mirror NIC before it is the next one's turn. Where they show a direction each, what is read of one must wait
/// in the engine for the other, and super-frames are large.
const FRAMES_IN_TURN: usize = 16;

/// A source of mirrored frames.
pub enum Source {
    /// One or more mirror NICs.
    Live(Vec<MirrorNic>),
    /// Captures in place of them.
    Playback(Box<Playback>),
}

impl Source {
    /// Hands over at most `limit` frames of each NIC, with its number, and says how many it were. Captures wait where the
    /// backlog, of which `take` tells what it is after its input, is large.
    pub fn read(
        &mut self,
        now: Time,
        limit: usize,
        backlog: Backlog,
        mut take: impl FnMut(usize, Input<'_>) -> Backlog,
    ) -> usize {
        let mut read_nic = |number, nic: &mut MirrorNic, share| {
            nic.read(now, share, |frame: MirrorFrame<'_>| {
                take(number, Input::Mirror(frame));
            })
        };
        match self {
            Self::Live(nics) => read_in_turn(nics, limit, &mut read_nic),
            Self::Playback(playback) => playback.read(now, limit, backlog, |input| take(0, input)),
        }
    }

    /// Exchanges what is asked of the source.
    ///
    /// # Errors
    /// A filter cannot be used.
    pub fn watch(&mut self, services: &[Service], filter: Option<&str>) -> Result<(), NicFault> {
        match self {
            Self::Live(nics) => nics.iter_mut().try_for_each(|nic| nic.watch(services, filter)),
            Self::Playback(_) => Ok(()),
        }
    }

    /// Frames lost before they could be read.
    pub fn losses(&mut self) -> Losses {
        let Self::Live(nics) = self else { return Losses::default() };
        nics.iter_mut().map(MirrorNic::losses).fold(Losses::default(), |sum, losses| Losses {
            kernel: sum.kernel + losses.kernel,
            nic: sum.nic + losses.nic,
        })
    }

    /// When the next frame is due, where that is known.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        match self {
            Self::Live(_) => None,
            Self::Playback(playback) => playback.next_due(now),
        }
    }

    /// How much of the captures has been read.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::Live(_) => None,
            Self::Playback(playback) => Some(playback.progress()),
        }
    }

    /// Whether frames come as they please.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// At the end of the captures: how long what is in flight is waited for.
    pub fn ended(&self) -> Option<Duration> {
        match self {
            Self::Live(_) => None,
            Self::Playback(playback) => playback.ended(),
        }
    }

    /// Whether all that it gives shows on the descriptors.
    pub fn can_be_waited_for(&self) -> bool {
        matches!(self, Self::Live(nics) if nics.iter().all(|nic| nic.descriptor().is_some()))
    }

    /// How long its rings may gather frames without being read.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Live(nics) => nics.iter().map(MirrorNic::patience).min().unwrap_or_default(),
            Self::Playback(_) => Duration::ZERO,
        }
    }

    /// Of so many frames at once or more, there may be others.
    pub fn full_read(&self, limit: usize) -> usize {
        match self {
            Self::Live(nics) if nics.len() == 1 => limit,
            // Several NICs are read a few frames at a time, and captures until the target is busy.
            Self::Live(_) | Self::Playback(_) => 1,
        }
    }

    /// What to wait on.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let nics = match self {
            Self::Live(nics) => nics.as_slice(),
            Self::Playback(_) => &[],
        };
        nics.iter().filter_map(MirrorNic::descriptor)
    }
}

/// Reads at most `limit` frames of each, a few at a time.
fn read_in_turn<N>(nics: &mut [N], limit: usize, mut read: impl FnMut(usize, &mut N, usize) -> usize) -> usize {
    let share = if nics.len() > 1 { FRAMES_IN_TURN } else { limit };
    let mut frames = 0;
    for _ in 0..limit / share {
        let round: usize = nics.iter_mut().enumerate().map(|(number, nic)| read(number, nic, share)).sum();
        frames += round;
        if round == 0 {
            break;
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nics_take_turns() {
        let mut nics = [("a", 40), ("b", 20)];
        let mut order = String::new();
        let frames = read_in_turn(&mut nics, 256, |_, (name, left), share| {
            let count = share.min(*left);
            *left -= count;
            order += &format!("{name}{count} ");
            count
        });
        assert_eq!((frames, order.as_str()), (60, "a16 b16 a16 b4 a8 b0 a0 b0 "));
    }
}
