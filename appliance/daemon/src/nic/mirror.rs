//! Mirror NICs, through libpcap; no other file names it.
//!
//! libpcap reads a TPACKET_V3 ring without copying when immediate mode is off. The kernel hands over a block when it is
//! full or 1 ms old; the loop waits for that with poll(2) on the ring's descriptor, never in libpcap, whose own waiting
//! has no end on a silent interface. [`MirrorNic`] has no way to send: the capture within, which has one, is private.
//!
//! While it is captured from, the interface keeps silent and changes no frame, as far as this process may see to that
//! (`tapcopy_machine::quiet`); afterwards it is as it was.
//!
//! An interface that goes away or down is not the end: production cannot wait for a person. It is told once, and opened
//! again each second; what passes in between is lost and shows as gaps.

use super::packet_socket::{self, Instruction};
use super::{NicFault, filter, interface};
use crate::capture::link_type;
use crate::clock::{self, Clock};
use crate::record::Interface;
use pcap::{Active, BpfInstruction, Capture, Linktype, Precision, Stat};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tapcopy_engine::config::Service;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::share::Share;
use tapcopy_engine::{MirrorFrame, Time};
use tapcopy_machine::quiet::Quiet;

/// Bytes of a frame that are captured: all of them, also of a super frame.
const SNAPLEN: i32 = 65_535;
/// Age in ms at which the kernel hands over a block that is not full.
const RETIRE_MS: i32 = 1;
/// Bytes of a block of the ring: libpcap makes it large enough for a frame of [`SNAPLEN`].
const BLOCK_BYTES: u32 = 128 << 10;
/// The longest time for which the ring gathers while nobody waits for its frames: 25 MB at 10 Gbit/s.
const PATIENCE_MS: u32 = 20;
/// How long after its opening a ring may hold frames from before.
const SETTLING: Duration = Duration::from_secs(1);
/// How often a lost interface is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// An interface that frames are received from, and never sent to.
pub struct MirrorNic {
    /// As the settings have it.
    wanted: String,
    /// What it was called when it was opened last.
    name: String,
    buffer_bytes: u32,
    services: Vec<Service>,
    extra_filter: Option<String>,
    share: Share,
    open: Option<Open>,
    retry_at: Time,
    /// Losses of the openings before this one.
    lost_before: Losses,
}

/// Frames that were lost before anyone could read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The ring had no room.
    pub kernel: u64,
    /// The NIC or its driver dropped them.
    pub nic: u64,
}

struct Open {
    capture: Capture<Active>,
    link: LinkType,
    /// The counters as they were read last; they wrap at 32 bits.
    stat: Stat,
    lost: Losses,
    /// When it was, by the clock of frames and by one that nobody sets. What was captured before came through no filter, or
    /// through libpcap's first, which lets nothing pass: it would show as loss.
    ready_at: (Time, Clock),
    /// Undone once there is no capture any more.
    _quiet: Option<Arc<Quiet>>,
}

impl Open {
    /// Frames that were captured earlier are not handed over. They come at once, if at all; after that, a clock may have been set
    /// back.
    fn since(&self) -> Time {
        let (ready_at, by_steady_clock) = self.ready_at;
        if by_steady_clock.uptime() < SETTLING { ready_at } else { Time::ZERO }
    }
}

impl MirrorNic {
    /// Opens an interface with the filter that the services give, for a share of the sessions.
    ///
    /// # Errors
    /// The interface or the filter cannot be used.
    pub fn open(
        wanted: &str,
        buffer_bytes: u32,
        services: &[Service],
        extra_filter: Option<&str>,
        share: Share,
    ) -> Result<Self, NicFault> {
        let mut nic = Self {
            wanted: wanted.to_owned(),
            name: String::new(),
            buffer_bytes,
            services: services.to_vec(),
            extra_filter: extra_filter.map(str::to_owned),
            share,
            open: None,
            retry_at: Time::ZERO,
            lost_before: Losses::default(),
        };
        nic.open = Some(nic.activate()?);
        let name = &nic.name;
        let of_kernel = interface::named(name)?.addresses.into_iter().find(IpAddr::is_ipv4);
        if let Some(address) = of_kernel.filter(|_| nic.is_first()) {
            log::warn!(
                "{name}: the kernel has {address} here and may answer on the mirror; `ip address flush dev {name}`"
            );
        }
        Ok(nic)
    }

    /// Whether it is the one of all shards that speaks for the interface itself.
    fn is_first(&self) -> bool {
        self.share.of_shards.index == 0
    }

    /// Exchanges the filter.
    ///
    /// # Errors
    /// The user's filter does not compile.
    pub fn watch(&mut self, services: &[Service], extra_filter: Option<&str>) -> Result<(), NicFault> {
        self.services = services.to_vec();
        self.extra_filter = extra_filter.map(str::to_owned);
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let result = self.exchange_filter(&mut open);
        self.open = Some(open);
        result
    }

    /// libpcap lets nothing pass while it exchanges a filter, and what comes in between is lost without a trace; the kernel itself
    /// exchanges it between two frames. Where there is no Ethernet header, only libpcap knows where the kernel counts from.
    fn exchange_filter(&self, open: &mut Open) -> Result<(), NicFault> {
        let text = self.filter_text(open.link)?;
        let program = open.capture.compile(&text, true).map_err(|fault| self.fault(&fault))?;
        let instructions = program.get_instructions().iter().map(instruction).collect::<Option<Vec<_>>>();
        let is_exchanged = open.link == LinkType::Ethernet
            && instructions.is_some_and(|all| packet_socket::exchange_filter(open.capture.as_fd(), &all).is_ok());
        if is_exchanged { Ok(()) } else { self.set_filter(&mut open.capture, open.link) }
    }

    /// Hands over at most `limit` frames that have come, and says how many it were.
    pub fn read(&mut self, now: Time, limit: usize, mut take: impl FnMut(MirrorFrame<'_>)) -> usize {
        let Some(open) = &mut self.open else {
            self.reopen(now);
            return 0;
        };
        let (link, since) = (open.link, open.since());
        let hand_over = |packet: pcap::Packet<'_>| {
            let frame = mirror_frame(&packet, link);
            if frame.captured_at >= since {
                take(frame);
            }
        };
        let frames = open.capture.dispatch(Some(limit), hand_over);
        frames.unwrap_or_else(|fault| {
            self.lose(now, &fault.to_string());
            0
        })
    }

    /// Frames lost since the first opening.
    pub fn losses(&mut self) -> Losses {
        let Some(open) = &mut self.open else { return self.lost_before };
        if let Ok(stat) = open.capture.stats() {
            open.lost.kernel += u64::from(stat.dropped.wrapping_sub(open.stat.dropped));
            let by_nic = if self.share.of_shards.index == 0 { stat.if_dropped } else { open.stat.if_dropped };
            open.lost.nic += u64::from(by_nic.wrapping_sub(open.stat.if_dropped));
            open.stat = stat;
        }
        Losses { kernel: self.lost_before.kernel + open.lost.kernel, nic: self.lost_before.nic + open.lost.nic }
    }

    /// What its recorded frames are called by; `None` while the interface is lost.
    pub fn interface(&self) -> Option<Interface> {
        self.open.as_ref().map(|open| Interface { name: self.name.clone(), link: open.link })
    }

    /// How long the ring may gather frames without being read. Each of its blocks is handed over after a millisecond, however little
    /// is in it, so that an eighth of the ring is full then, unless it is full of frames.
    pub fn patience(&self) -> Duration {
        let blocks = self.buffer_bytes / BLOCK_BYTES;
        Duration::from_millis((blocks / 8).min(PATIENCE_MS).into())
    }

    /// What to wait on; `None` while the interface is lost.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.capture.as_fd())
    }

    fn activate(&mut self) -> Result<Open, NicFault> {
        let interface = interface::named(&self.wanted)?;
        self.name.clone_from(&interface.name);
        let fault = |fault: pcap::Error| self.fault(&fault);
        packet_socket::probe(&self.name)?;
        let quiet = quiet(&interface);
        let inactive = Capture::from_device(self.name.as_str()).map_err(fault)?;
        let inactive = inactive.promisc(true).immediate_mode(false).timeout(RETIRE_MS).snaplen(SNAPLEN);
        let buffer = i32::try_from(self.buffer_bytes).unwrap_or(i32::MAX);
        let inactive = inactive.buffer_size(buffer).precision(Precision::Nano);
        let mut capture = inactive.open().and_then(Capture::setnonblock).map_err(fault)?;
        let linktype = capture.get_datalink().0;
        let link = link_type(linktype).ok_or_else(|| NicFault::LinkType { name: self.name.clone(), linktype })?;
        self.set_filter(&mut capture, link)?;
        // What this host itself sends here (IPv6 neighbour discovery, at the least) is no mirrored frame. libpcap's
        // own direction would look at each frame in user space; the kernel does not even queue them.
        packet_socket::ignore_outgoing(capture.as_fd()).map_err(|source| NicFault::Socket {
            name: self.name.clone(),
            what: "receive only",
            source,
        })?;
        let stat = capture.stats().map_err(fault)?;
        let ready_at = (Time::ZERO + clock::since_1970(), Clock::start());
        Ok(Open { capture, link, stat, lost: Losses::default(), ready_at, _quiet: quiet })
    }

    fn set_filter(&self, capture: &mut Capture<Active>, link: LinkType) -> Result<(), NicFault> {
        capture.filter(&self.filter_text(link)?, true).map_err(|fault| self.fault(&fault))
    }

    fn filter_text(&self, link: LinkType) -> Result<String, NicFault> {
        if let Some(extra) = &self.extra_filter {
            check_filter(extra)?;
        }
        let text = filter::derive(&self.services, self.extra_filter.as_deref(), link, self.share);
        log::debug!("{}: filter {text}", self.name);
        Ok(text)
    }

    fn fault(&self, fault: &pcap::Error) -> NicFault {
        NicFault::Capture { name: self.name.clone(), message: fault.to_string() }
    }

    fn lose(&mut self, now: Time, fault: &str) {
        self.lost_before = self.losses();
        self.open = None;
        self.retry_at = now + RETRY;
        log::warn!("{}: capture ended ({fault}); it is opened again when the interface is back", self.name);
    }

    fn reopen(&mut self, now: Time) {
        if now < self.retry_at {
            return;
        }
        self.retry_at = now + RETRY;
        match self.activate() {
            Ok(open) => {
                log::warn!("{}: capture goes on", self.name);
                self.open = Some(open);
            }
            Err(fault) => log::debug!("{fault}"),
        }
    }
}

/// Interfaces that are silent at present: new settings open an interface before the old ones let it go, and it stays silent
/// in between.
static SILENT: Mutex<BTreeMap<String, Weak<Quiet>>> = Mutex::new(BTreeMap::new());

/// Silences an interface. Where this may not be, it is as it is, and the mirror is read all the same.
fn quiet(interface: &interface::Interface) -> Option<Arc<Quiet>> {
    let name = &interface.name;
    let mut silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(quiet) = silent.get(name).and_then(Weak::upgrade) {
        return Some(quiet);
    }
    match Quiet::make(name, interface.has_given_address()) {
        Ok(quiet) => {
            let quiet = Arc::new(quiet);
            silent.insert(name.clone(), Arc::downgrade(&quiet));
            Some(quiet)
        }
        Err(fault) => {
            log::info!("{name}: it is not silenced, and its offloads stay on: {fault}");
            None
        }
    }
}

/// The parts of an instruction, which libpcap's face shows in writing only: code, jumps, constant.
fn instruction(written: &BpfInstruction) -> Option<Instruction> {
    let written = written.to_string();
    let mut parts = written.split(' ').map(str::parse::<u32>);
    let mut part = || parts.next()?.ok();
    let (code, jt, jf, k) = (part()?, part()?, part()?, part()?);
    Some(Instruction { code: code.try_into().ok()?, jt: jt.try_into().ok()?, jf: jf.try_into().ok()?, k })
}

/// Whether a user's filter compiles.
///
/// # Errors
/// It does not.
pub fn check_filter(filter: &str) -> Result<(), NicFault> {
    let dead = Capture::dead(Linktype::ETHERNET);
    let compiled = dead.and_then(|capture| capture.compile(filter, true).map(drop));
    compiled.map_err(|fault| NicFault::Filter { filter: filter.to_owned(), message: fault.to_string() })
}

fn mirror_frame<'a>(packet: &pcap::Packet<'a>, link: LinkType) -> MirrorFrame<'a> {
    let stamp = packet.header.ts;
    let seconds = u64::try_from(stamp.tv_sec).unwrap_or(0);
    // With nanosecond precision, libpcap stores nanoseconds in the field named for microseconds.
    let nanos = u64::try_from(stamp.tv_usec).unwrap_or(0);
    let captured_at = Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos));
    MirrorFrame { captured_at, link, wire_len: packet.header.len, bytes: packet.data }
}

/// The number of instructions of a filter, and the filter as a function.
#[cfg(test)]
pub(super) fn matcher(filter: &str) -> Result<(usize, impl Fn(&[u8]) -> bool), pcap::Error> {
    let program = Capture::dead(Linktype::ETHERNET)?.compile(filter, true)?;
    Ok((program.get_instructions().len(), move |frame: &[u8]| program.filter(frame)))
}
