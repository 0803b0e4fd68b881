//! A Linux packet socket (packet(7)), the only unsafe code of the data path: socket options and calls for which there is
//! no safe face. Everything is checked here, so that callers need to know no rule.
#![allow(unsafe_code)]

use super::{NicFault, checksum};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::raw::c_int;
use std::ptr::{from_mut, from_ref, null_mut};
use std::time::Duration;

/// Frames for one system call. Of 32 and more, the cost of the call itself no longer shows.
pub const BATCH: usize = 64;
/// Room for one received frame: the kernel joins segments up to 64 KiB (GRO), and a link header comes before them.
const FRAME_BYTES: usize = 65_536 + 64;
/// Length of a VLAN tag. The kernel takes it out of a frame and tells it beside; each frame is received so far behind the
/// beginning of its room that it can be put back.
const TAG_BYTES: usize = 4;
/// Where the tag belongs: behind the two Ethernet addresses.
const TAG_AT: usize = 12;
/// Room that the kernel is asked for, in both directions.
const KERNEL_BYTES: c_int = 32 << 20;
/// Not in the libc crate: `PACKET_IGNORE_OUTGOING` of linux/if_packet.h.
const PACKET_IGNORE_OUTGOING: c_int = 23;

/// One instruction of a filter (classic BPF).
pub type Instruction = libc::sock_filter;

/// Not in the libc crate either: `PACKET_VNET_HDR`.
const PACKET_VNET_HDR: c_int = 15;
/// Parts of the messages of one call: each message has a head, and a part for each of its frames.
pub const PARTS: usize = 2 * BATCH;

/// Raw, non-blocking packet sockets bound to one interface.
pub struct PacketSocket {
    fd: OwnedFd,
    /// The one that is sent on: what is sent begins with virtio's header, what is received does not.
    sending: OwnedFd,
}

/// Room for the control messages that come with a frame: a `timespec` and a `tpacket_auxdata`, each behind its header.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Frames as they were received last.
pub struct Received {
    bytes: Vec<u8>,
    /// Where each frame begins in its room, and where it ends.
    places: [(usize, usize); BATCH],
    /// When the kernel got each from the driver.
    stamps: [Option<Duration>; BATCH],
    count: usize,
}

impl Default for Received {
    fn default() -> Self {
        Self { bytes: vec![0; BATCH * FRAME_BYTES], places: [(0, 0); BATCH], stamps: [None; BATCH], count: 0 }
    }
}

impl Received {
    /// One of the frames.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        let (from, to) = *self.places[..self.count].get(index)?;
        Some(&self.bytes[index * FRAME_BYTES..][from..to])
    }

    /// When the kernel got it from the driver, by the wall clock since 1970.
    pub fn stamp(&self, index: usize) -> Option<Duration> {
        *self.stamps[..self.count].get(index)?
    }
}

/// Whether this process may open packet sockets.
pub fn probe(name: &str) -> std::result::Result<(), NicFault> {
    match open_socket() {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind() == ErrorKind::PermissionDenied => Err(NicFault::Privilege(name.to_owned())),
        Err(source) => Err(NicFault::Socket { name: name.to_owned(), what: "open a packet socket", source }),
    }
}

/// Leaves out what this host sends on the interface of a packet socket.
pub fn ignore_outgoing(socket: BorrowedFd<'_>) -> Result<()> {
    set_option(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1)
}

/// Exchanges the filter of a packet socket from one frame to the next.
pub fn exchange_filter(socket: BorrowedFd<'_>, filter: &[Instruction]) -> Result<()> {
    attach(socket.as_raw_fd(), filter)
}

impl PacketSocket {
    /// Opens a socket for all that arrives at the interface, for every address, and passes the filter; an empty one passes all.
    pub fn open(interface: usize, filter: &[Instruction]) -> Result<Self> {
        let index = c_int::try_from(interface).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        let fd = open_socket()?;
        let raw = fd.as_raw_fd();
        set_option(raw, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1)?;
        set_option(raw, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        set_option(raw, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1)?;
        make_room(raw, (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF))?;
        if !filter.is_empty() {
            attach(raw, filter)?;
        }
        bind(raw, index, libc::ETH_P_ALL)?;
        // SAFETY: an all-zero packet_mreq is a valid value of this plain C structure.
        let mut membership: libc::packet_mreq = unsafe { zeroed() };
        membership.mr_ifindex = index;
        membership.mr_type = libc::PACKET_MR_PROMISC as libc::c_ushort;
        // The kernel takes the membership back when the socket is closed, however the process ends.
        set_option(raw, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        Ok(Self { fd, sending: open_sending(index)? })
    }

    /// Sends messages, at most [`BATCH`], each of some parts of which the first begins with virtio's header, and says how many
    /// the kernel took.
    pub fn send(&self, messages: &[&[IoSlice<'_>]]) -> Result<usize> {
        // SAFETY: an all-zero mmsghdr is a valid value: no parts, no address, no control data.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let count = messages.len().min(BATCH);
        for (parts, header) in messages.iter().zip(&mut headers) {
            // An `IoSlice` is an iovec (its documentation says so), which the kernel only reads.
            header.msg_hdr.msg_iov = parts.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_iovlen = parts.len() as _;
        }
        // SAFETY: the first `count` headers point to parts, and these to bytes, which all outlive the call; the kernel only reads
        // from them.
        let sent = unsafe { libc::sendmmsg(self.sending.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0) };
        usize::try_from(sent).map_err(|_| Error::last_os_error())
    }

    /// Receives what has arrived, at most [`BATCH`] frames, and says how many.
    pub fn receive(&self, received: &mut Received) -> Result<usize> {
        received.count = 0;
        // SAFETY: all-zero iovec and mmsghdr are valid values: no buffer, no address, no control data.
        let (mut vectors, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) = unsafe { zeroed() };
        let mut controls = [Control([0; 128]); BATCH];
        let slots = received.bytes.chunks_exact_mut(FRAME_BYTES);
        for (((slot, vector), header), control) in slots.zip(&mut vectors).zip(&mut headers).zip(&mut controls) {
            let room = &mut slot[TAG_BYTES..];
            vector.iov_base = room.as_mut_ptr().cast();
            vector.iov_len = room.len();
            header.msg_hdr.msg_iov = from_mut(vector);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = from_mut(control).cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: every header points to a vector and a control buffer, and the vector to a slot of its own, as long as it
        // says; all outlive the call. A null time-out is allowed.
        let count = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as u32, flags, null_mut()) };
        received.count = usize::try_from(count).map_err(|_| Error::last_os_error())?;
        let slots = received.bytes.chunks_exact_mut(FRAME_BYTES);
        let frames = received.places.iter_mut().zip(&mut received.stamps).zip(&headers).zip(slots);
        for (((place, stamp), header), slot) in frames.take(received.count) {
            let to = TAG_BYTES + (header.msg_len as usize).min(FRAME_BYTES - TAG_BYTES);
            *stamp = stamped(&header.msg_hdr);
            let auxiliary = auxiliary(&header.msg_hdr);
            if auxiliary.is_some_and(|auxiliary| auxiliary.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0) {
                checksum::complete(&mut slot[TAG_BYTES..to]);
            }
            let tag = auxiliary.filter(|auxiliary| auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0);
            let from = match tag {
                Some(auxiliary) if to >= TAG_BYTES + TAG_AT => {
                    put_tag_back(slot, auxiliary.tp_vlan_tpid, auxiliary.tp_vlan_tci);
                    0
                }
                _ => TAG_BYTES,
            };
            *place = (from, to);
        }
        Ok(received.count)
    }

    /// Frames that the kernel has dropped for want of room since this was asked last.
    pub fn dropped(&self) -> Result<u64> {
        // SAFETY: an all-zero tpacket_stats is a valid value of this plain C structure.
        let mut stats: libc::tpacket_stats = unsafe { zeroed() };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        let value = from_mut(&mut stats).cast();
        let (fd, name) = (self.fd.as_raw_fd(), libc::PACKET_STATISTICS);
        // SAFETY: `value` points to `length` writable bytes, which outlive the call.
        let result = unsafe { libc::getsockopt(fd, libc::SOL_PACKET, name, value, &mut length) };
        if result == 0 { Ok(stats.tp_drops.into()) } else { Err(Error::last_os_error()) }
    }

    /// Largest packet of the interface, in bytes behind the link header.
    pub fn mtu(&self, name: &str) -> Result<usize> {
        // SAFETY: an all-zero ifreq is a valid value of this plain C structure, whose name is then empty.
        let mut request: libc::ifreq = unsafe { zeroed() };
        // The last byte stays zero: the kernel reads a C string.
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // SAFETY: SIOCGIFMTU reads the name and writes the MTU into the structure, which outlives the call.
        if unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SIOCGIFMTU, from_mut(&mut request)) } != 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: after SIOCGIFMTU the union holds the MTU; any bit pattern is a valid integer.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        usize::try_from(mtu).map_err(|_| Error::from(ErrorKind::InvalidData))
    }

    /// What to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.fd.as_fd()
    }
}

/// Puts a VLAN tag back into the frame that begins behind room for it.
fn put_tag_back(slot: &mut [u8], kind: u16, tag: u16) {
    slot.copy_within(TAG_BYTES..TAG_BYTES + TAG_AT, 0);
    slot[TAG_AT..TAG_AT + 2].copy_from_slice(&kind.to_be_bytes());
    slot[TAG_AT + 2..TAG_AT + TAG_BYTES].copy_from_slice(&tag.to_be_bytes());
}

/// What the kernel says of a frame beside its bytes: whether its checksum was left to the hardware, and its VLAN tag.
fn auxiliary(header: &libc::msghdr) -> Option<libc::tpacket_auxdata> {
    // SAFETY: a message of this type holds a tpacket_auxdata, of which any bit pattern is valid.
    unsafe { control(header, libc::SOL_PACKET, libc::PACKET_AUXDATA) }
}

/// When the kernel got a frame from the driver, by the wall clock since 1970.
fn stamped(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: a message of this type holds a timespec, of which any bit pattern is valid.
    let stamp: libc::timespec = unsafe { control(header, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) }?;
    let (seconds, nanos) = (u64::try_from(stamp.tv_sec).ok()?, u32::try_from(stamp.tv_nsec).ok()?);
    Some(Duration::new(seconds, nanos))
}

/// The content of the control message of this level and type.
///
/// # Safety
/// Such messages hold a `T`, of which any bit pattern is valid.
unsafe fn control<T>(header: &libc::msghdr, level: c_int, kind: c_int) -> Option<T> {
    // SAFETY: the kernel has filled in the header's control buffer and its length, and the buffer is still there.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: the pointer is null or that of a message within the buffer.
    while let Some(message) = unsafe { next.as_ref() } {
        if (message.cmsg_level, message.cmsg_type) == (level, kind) {
            // SAFETY: the content follows the message's header; the caller knows its type.
            return Some(unsafe { libc::CMSG_DATA(message).cast::<T>().read_unaligned() });
        }
        // SAFETY: as above.
        next = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// A packet socket that receives nothing until it is bound.
fn open_socket() -> Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kernel copies the program, checks it, and refuses one that it cannot run.
fn attach(fd: c_int, filter: &[Instruction]) -> Result<()> {
    let len = u16::try_from(filter.len()).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// A packet socket that is sent on, and receives nothing.
fn open_sending(interface: c_int) -> Result<OwnedFd> {
    let fd = open_socket()?;
    let raw = fd.as_raw_fd();
    set_option(raw, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1)?;
    set_option(raw, libc::SOL_PACKET, PACKET_VNET_HDR, &1)?;
    make_room(raw, (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF))?;
    bind(raw, interface, 0)?;
    Ok(fd)
}

/// Asks for [`KERNEL_BYTES`]; beyond the system's limit that needs a privilege more than the socket does.
fn make_room(fd: c_int, (beyond_limit, within_limit): (c_int, c_int)) -> Result<()> {
    set_option(fd, libc::SOL_SOCKET, beyond_limit, &KERNEL_BYTES)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, within_limit, &KERNEL_BYTES))
}

/// With the protocol 0 nothing is received.
fn bind(fd: c_int, interface: c_int, protocol: c_int) -> Result<()> {
    // SAFETY: an all-zero sockaddr_ll is a valid value of this plain C structure.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = (protocol as libc::c_ushort).to_be();
    address.sll_ifindex = interface;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer leads to `length` readable bytes, which outlive the call.
    match unsafe { libc::bind(fd, from_ref(&address).cast(), length) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

/// Callers pass the type that the option takes.
fn set_option<T>(fd: c_int, level: c_int, name: c_int, value: &T) -> Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer leads to `length` readable bytes, which outlive the call.
    match unsafe { libc::setsockopt(fd, level, name, from_ref(value).cast(), length) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}
