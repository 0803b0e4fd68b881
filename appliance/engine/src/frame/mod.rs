//! The decoder of mirrored bytes: from a captured frame to the TCP segment in it.
//!
//! Every layer is a `View`: the bytes that were captured and the number of bytes that the wire had beyond
//! them. A layer reads its header from the front of its view, narrows the view to what the header says and passes the
//! rest on. So one rule covers every kind of cut-off frame: a header that the wire had but the capture has not is
//! `Truncated`, a header that the wire had not either contradicts the layer below it.
//!
//! The layers, in a loop of at most one turn per tunnel: `link` finds the IP packet behind link header, tags and
//! labels, `ip` its protocol and body, `fragments` makes bodies whole, `tunnel` finds the packet within the packet,
//! `tcp` ends the loop. The usual frame (Ethernet, IPv4, TCP) touches no table and allocates nothing. All loops are
//! bounded, and only fragments are remembered from one frame to the next.

mod endpoint;
mod fragments;
mod ip;
mod link;
mod plain;
mod recent;
mod tcp;
mod tunnel;
mod view;
mod wrapping;

pub use endpoint::Endpoint;
pub use recent::Recent;
pub use tcp::{Flags, Segment, TcpOptions};
pub use wrapping::{Wrapping, Wrappings};

use crate::ledger::Ignored;
use crate::limits::Limits;
use crate::message::MirrorFrame;
use fragments::Fragments;
use link::Labels;
use view::View;

/// Tunnels within each other that are followed: an overlay network (VXLAN, GENEVE) mirrored through another (ERSPAN).
const TUNNELS_MAX: usize = 2;

/// Finds the TCP segment in mirrored frames.
///
/// It keeps the fragments of IP packets that are not yet whole, up to `Limits::fragment_bytes`; the stamps of the
/// frames are its only clock.
#[derive(Debug)]
pub struct Decoder {
    fragments: Fragments,
    /// The packets that this frame made whole: at most one for each IP header, since pieces may travel in a tunnel
    /// whose packets are in pieces themselves. Kept only to be used again.
    whole: [Vec<u8>; TUNNELS_MAX + 1],
}

impl Decoder {
    /// A decoder that holds no fragment.
    pub fn new(limits: &Limits) -> Self {
        Self { fragments: Fragments::new(limits.fragment_bytes, limits.fragment_timeout), whole: Default::default() }
    }

    /// Memory held for IP packets that are not yet whole, in bytes; never above `Limits::fragment_bytes`.
    pub fn fragment_bytes(&self) -> usize {
        self.fragments.bytes()
    }

    /// The TCP segment in a frame, or why there is none.
    ///
    /// The last piece of a fragmented packet gives the whole packet's segment, whose bytes live in the decoder.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &MirrorFrame<'a>) -> Result<Segment<'a>, Ignored> {
        match plain::open(frame) {
            Some(segment) => Ok(segment),
            None => self.decode_any(frame),
        }
    }

    /// Every kind of frame, the plain ones included.
    #[inline(never)]
    fn decode_any<'a>(&'a mut self, frame: &MirrorFrame<'a>) -> Result<Segment<'a>, Ignored> {
        let mut labels = Labels::default();
        let (mut start, mut view) = link::open(frame.link, View::of(frame), &mut labels)?;
        let mut whole = self.whole.as_mut_slice();
        let mut is_doubtful = false;
        for _ in 0..=TUNNELS_MAX {
            let (version, packet) = link::descend(start, view, &mut labels)?;
            let mut packet = ip::open(version, packet)?;
            while let Some(piece) = packet.piece {
                // More pieces within pieces than there are IP headers: no sender makes that.
                let (slot, rest) = whole.split_first_mut().ok_or(Ignored::BadIp)?;
                packet = self.fragments.reassemble(packet, piece, frame.captured_at, slot)?;
                is_doubtful |= self.fragments.is_doubtful();
                whole = rest;
            }
            if packet.protocol == ip::TCP {
                let segment = tcp::open(&packet, labels)?;
                return if is_doubtful { belongs_together(segment) } else { Ok(segment) };
            }
            (start, view) = tunnel::open(packet.protocol, packet.body, &mut labels.wrappings)?;
        }
        Err(Ignored::NestedTooDeep)
    }
}

/// Refuses a segment put together from pieces of different packets, which only the checksum tells. Where there is no doubt, a
/// wrong checksum is one that was left to a NIC.
#[cold]
fn belongs_together(segment: Segment<'_>) -> Result<Segment<'_>, Ignored> {
    if segment.checksum_ok() == Some(false) { Err(Ignored::BadTcp) } else { Ok(segment) }
}
