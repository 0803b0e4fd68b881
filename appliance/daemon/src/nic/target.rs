//! The target NIC: the only interface that frames are sent on.
//!
//! Frames to send wait in a queue of reused buffers and leave in batches. When the kernel has no room they stay, in
//! order, and [`TargetNic::is_backed_up`] tells the loop to read no more from the mirror, whose ring then drops and
//! counts. Segments that follow one another leave as one frame where the NIC cuts such frames (`joint`). Frames are lost only while the interface is down, as on a cable that is pulled; TCP sends them again.

use super::joint::Joint;
use super::packet_socket::{BATCH, PARTS, PacketSocket, Received};
use super::{NicFault, interface, packet_socket, steer};
use crate::clock;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::config::{Addressing, Mode};
use tapcopy_engine::share::Share;
use tapcopy_machine::link;

/// Waiting frames at which no further input is taken. One input makes few frames, so the queue grows little beyond it.
const BACKED_UP_FRAMES: usize = 4_096;
/// How long a frame waits for others to leave with it: it is measured as the target's time.
const SEND_WITHIN: Duration = Duration::from_micros(50);
/// How long frames leave as they are after joined ones had no room: they may be cut no more.
const APART: Duration = Duration::from_secs(1);
/// Warnings about one interface come at most so often.
const WARN_EVERY: Duration = Duration::from_secs(5);

/// An interface towards the servers under test.
pub struct TargetNic {
    name: String,
    socket: PacketSocket,
    mac: [u8; 6],
    mtu: u16,
    queue: VecDeque<Vec<u8>>,
    /// How the first frames of the queue leave.
    joints: Vec<Joint>,
    /// From when on frames may be joined.
    joins_at: Time,
    spare: Vec<Vec<u8>>,
    received: Received,
    /// When they were received, by the clock of the kernel's stamps.
    received_at: Duration,
    counters: TargetCounters,
    warn_at: Time,
    /// When the first frame of the queue was queued.
    waiting_since: Time,
}

/// What the target NIC could not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetCounters {
    /// Frames that could not be sent.
    pub frames_unsent: u64,
    /// Received frames that the kernel had no room for.
    pub frames_dropped_kernel: u64,
}

impl TargetNic {
    /// Frames that are received at once.
    pub const BATCH: usize = BATCH;

    /// Opens an interface, which must be up, for a share of the sessions, and holds the box's addresses against the machine's
    /// own.
    ///
    /// # Errors
    /// The interface or the addresses cannot be used.
    pub fn open(wanted: &str, addressing: &Addressing, share: Share) -> Result<Self, NicFault> {
        let interface = interface::named(wanted)?;
        let name = interface.name.as_str();
        let mac = interface.mac.filter(|_| !interface.is_loopback);
        let mac = mac.ok_or_else(|| NicFault::NotEthernet(name.to_owned()))?;
        interface::refuse_kernel_addresses(addressing)?;
        packet_socket::probe(name)?;
        let fault = |what| move |source| NicFault::Socket { name: name.to_owned(), what, source };
        let filter = steer::has_local(share);
        let socket = PacketSocket::open(interface.index, &filter).map_err(fault("send and receive frames"))?;
        let mtu = socket.mtu(name).map_err(fault("read the MTU"))?;
        if share.of_shards.index == 0 {
            refuse_forwarding(name, addressing)?;
        }
        Ok(Self {
            name: name.to_owned(),
            socket,
            mac,
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            queue: VecDeque::new(),
            joints: Vec::new(),
            joins_at: if link::cuts_segments(name) { Time::ZERO } else { Time::MAX },
            spare: Vec::new(),
            received: Received::default(),
            received_at: Duration::ZERO,
            counters: TargetCounters::default(),
            warn_at: Time::ZERO,
            waiting_since: Time::ZERO,
        })
    }

    /// The interface's Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The largest IP packet of the interface.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Queues a frame; a full batch leaves at once, and so does one that has waited.
    pub fn transmit(&mut self, now: Time, frame: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(frame);
        if self.queue.is_empty() {
            self.waiting_since = now;
        }
        self.queue.push_back(buffer);
        if self.queue.len() == BATCH || now.since(self.waiting_since) >= SEND_WITHIN {
            self.flush(now);
        }
    }

    /// Sends what waits, as far as the kernel takes it.
    pub fn flush(&mut self, now: Time) {
        while !self.queue.is_empty() {
            self.join(now);
            match self.send() {
                Ok(sent) => self.recycle(self.joints[..sent].iter().map(|joint| joint.frames).sum()),
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                Err(fault) if has_no_room(&fault) && self.joints[0].frames > 1 => self.joins_at = now + APART,
                Err(fault) if has_no_room(&fault) => return,
                Err(fault) => self.lose(now, &fault),
            }
        }
    }

    /// Decides how the first frames of the queue leave.
    fn join(&mut self, now: Time) {
        let (mut from, may_join) = (0, self.joins_at <= now);
        self.joints.clear();
        while from < self.queue.len().min(BATCH) {
            let frames = self.queue.range(from..).take(BATCH - from).map(Vec::as_slice);
            let joint = Some(frames).filter(|_| may_join).and_then(Joint::of).unwrap_or_else(Joint::of_one);
            from += joint.frames;
            self.joints.push(joint);
        }
    }

    /// Sends joints; how many the kernel took.
    fn send(&self) -> std::io::Result<usize> {
        let mut parts = [IoSlice::new(&[]); PARTS];
        let mut ends = [0; BATCH];
        let (mut frames, mut end) = (self.queue.iter(), 0);
        for (joint, joint_end) in self.joints.iter().zip(&mut ends) {
            let rest = frames.by_ref().take(joint.frames).map(|frame| joint.rest(frame));
            for part in std::iter::once(joint.head()).chain(rest) {
                parts[end] = IoSlice::new(part);
                end += 1;
            }
            *joint_end = end;
        }
        let mut messages: [&[IoSlice<'_>]; BATCH] = [&[]; BATCH];
        let mut begin = 0;
        for (message, end) in messages.iter_mut().zip(ends).take(self.joints.len()) {
            *message = &parts[begin..end];
            begin = end;
        }
        self.socket.send(&messages[..self.joints.len()])
    }

    /// Whether so many frames wait that no further input should be taken.
    pub fn is_backed_up(&self) -> bool {
        self.queue.len() >= BACKED_UP_FRAMES
    }

    /// Whether frames wait for room in the kernel, which does not tell when there is some.
    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Receives one batch of frames; they are in [`TargetNic::received`] then.
    pub fn receive(&mut self, now: Time) -> usize {
        self.received_at = clock::since_1970();
        match self.socket.receive(&mut self.received) {
            Ok(count) => count,
            Err(fault) => {
                if !matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
                    self.warn(now, &fault);
                }
                0
            }
        }
    }

    /// One of the frames received last, and how long it had waited since it arrived.
    pub fn received(&self, index: usize) -> Option<(Duration, &[u8])> {
        let age = |stamp| clock::age(stamp, self.received_at);
        let waited = self.received.stamp(index).map(age).unwrap_or_default();
        Some((waited, self.received.frame(index)?))
    }

    /// What could not be done so far.
    pub fn counters(&mut self) -> TargetCounters {
        self.counters.frames_dropped_kernel += self.socket.dropped().unwrap_or(0);
        self.counters
    }

    /// What to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.descriptor()
    }

    fn recycle(&mut self, count: usize) {
        let keep = BACKED_UP_FRAMES.saturating_sub(self.spare.len());
        self.spare.extend(self.queue.drain(..count).take(keep));
    }

    /// A frame that the interface does not take at all: it is gone, as on a wire that is cut.
    fn lose(&mut self, now: Time, fault: &Error) {
        self.recycle(1);
        self.counters.frames_unsent += 1;
        self.warn(now, fault);
    }

    fn warn(&mut self, now: Time, fault: &Error) {
        if now >= self.warn_at {
            self.warn_at = now + WARN_EVERY;
            log::warn!("{}: {fault}; look at it with `ip link show {}`", self.name, self.name);
        }
    }
}

/// The device's queue is full, or the socket's share of memory is.
fn has_no_room(fault: &Error) -> bool {
    matches!(fault.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}

/// A kernel that forwards would answer for the pool with ICMP redirects and unreachables; what is for a client's own address
/// it would send to the client.
fn refuse_forwarding(name: &str, addressing: &Addressing) -> Result<(), NicFault> {
    for family in ["ipv4", "ipv6"] {
        let path = format!("/proc/sys/net/{family}/conf/{name}/forwarding");
        if std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == "1") {
            if addressing.mode == Mode::Preserve {
                return Err(NicFault::Forwards { name: name.to_owned(), path });
            }
            log::warn!("{name}: the kernel forwards here and may interfere with the pool; `echo 0 > {path}`");
        }
    }
    Ok(())
}
