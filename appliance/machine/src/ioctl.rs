//! System calls that have no safe face: the interface controls of Linux (netdevice(7), ethtool's part of linux/ethtool.h), and
//! small ones of disks, watchdog and chance.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::io::{Error, ErrorKind, Result};
use std::mem::zeroed;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::from_mut;

/// Sets the time after which a hardware watchdog resets the machine (linux/watchdog.h).
const WDIOC_SETTIMEOUT: libc::Ioctl = 0xc004_5706_u32 as libc::Ioctl;
/// Tells the kernel of another length of a partition (linux/blkpg.h).
const BLKPG: libc::Ioctl = 0x1269;
const BLKPG_RESIZE_PARTITION: i32 = 3;
/// Resizes a mounted ext4 (linux/ext4.h).
const EXT4_IOC_RESIZE_FS: libc::Ioctl = 0x4008_6610;
/// Freezes the file system that a descriptor lies on (linux/fs.h).
const FIFREEZE: libc::Ioctl = 0xc004_5877_u32 as libc::Ioctl;
/// ethtool over a socket (linux/sockios.h).
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// Bytes of the name of a feature (`ETH_GSTRING_LEN`).
const NAME_BYTES: usize = 32;
/// The set of features' names (`ETH_SS_FEATURES`).
const SET_OF_FEATURES: u32 = 4;
const GET_STRINGS: u32 = 0x1b;
const GET_SET_SIZE: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const SET_FEATURES: u32 = 0x3b;
const GET_RING: u32 = 0x10;
const SET_RING: u32 = 0x11;

/// A socket through which interfaces are controlled.
pub struct Control(OwnedFd);

/// A switch of an interface, such as `rx-gro`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As ethtool names it.
    pub name: String,
    /// Whether it is in force.
    pub is_on: bool,
    /// Whether it can be changed.
    pub is_free: bool,
}

impl Control {
    /// Opens one.
    pub fn open() -> Result<Self> {
        // SAFETY: no pointer is passed; the result is checked before it becomes a descriptor that is owned here.
        unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            if fd < 0 { Err(Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(fd))) }
        }
    }

    /// The interface's `IFF_` flags.
    pub fn flags(&self, name: &str) -> Result<i16> {
        let mut request = request(name)?;
        self.call(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the kernel has filled in this member of the union.
        Ok(unsafe { request.ifr_ifru.ifru_flags })
    }

    /// Sets the interface's `IFF_` flags.
    pub fn set_flags(&self, name: &str, flags: i16) -> Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_flags = flags;
        self.call(libc::SIOCSIFFLAGS, &mut request)
    }

    /// Renames an interface, which must be down.
    pub fn rename(&self, name: &str, new: &str) -> Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_newname = name_bytes(new)?;
        self.call(libc::SIOCSIFNAME, &mut request)
    }

    /// Gives the interface its one IPv4 address; the unspecified address takes it away.
    pub fn set_address(&self, name: &str, address: Ipv4Addr, netmask: Ipv4Addr) -> Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_addr = socket_address(address);
        self.call(libc::SIOCSIFADDR, &mut request)?;
        if address.is_unspecified() {
            return Ok(());
        }
        request.ifr_ifru.ifru_netmask = socket_address(netmask);
        self.call(libc::SIOCSIFNETMASK, &mut request)
    }

    /// Makes the gateway the way to everywhere.
    pub fn set_default_route(&self, name: &str, gateway: Ipv4Addr) -> Result<()> {
        let mut device: Vec<c_char> = name_bytes(name)?.to_vec();
        // SAFETY: an all-zero rtentry is a valid value of this plain C structure.
        let mut route: libc::rtentry = unsafe { zeroed() };
        route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_gateway = socket_address(gateway);
        route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        route.rt_dev = device.as_mut_ptr();
        // SAFETY: `route` and the name that it points to, which ends with a zero, outlive the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCADDRT, from_mut(&mut route)) };
        match check(result) {
            Err(fault) if fault.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// The interface's features.
    pub fn features(&self, name: &str) -> Result<Vec<Feature>> {
        let names = self.feature_names(name)?;
        let blocks = names.len().div_ceil(32);
        // The command, the number of blocks, and for each block: available, requested, active, never changed.
        let mut words = vec![0; 2 + 4 * blocks];
        (words[0], words[1]) = (GET_FEATURES, blocks as u32);
        self.ethtool(name, &mut words)?;
        let bit = |index: usize, of: usize| words[2 + 4 * (index / 32) + of] >> (index % 32) & 1 == 1;
        let feature = |(index, name)| Feature { name, is_on: bit(index, 2), is_free: bit(index, 0) && !bit(index, 3) };
        Ok(names.into_iter().enumerate().map(feature).collect())
    }

    /// Turns features on or off; those that the interface does not have are left out.
    pub fn set_features(&self, name: &str, wanted: &[(&str, bool)]) -> Result<()> {
        let names = self.feature_names(name)?;
        let blocks = names.len().div_ceil(32);
        // The command, the number of blocks, and for each block: which are meant, and how.
        let mut words = vec![0; 2 + 2 * blocks];
        (words[0], words[1]) = (SET_FEATURES, blocks as u32);
        for (feature, is_on) in wanted {
            let Some(index) = names.iter().position(|name| name == feature) else { continue };
            let (block, bit) = (2 + 2 * (index / 32), 1 << (index % 32));
            words[block] |= bit;
            words[block + 1] |= if *is_on { bit } else { 0 };
        }
        self.ethtool(name, &mut words)
    }

    /// The slots of the receive ring, and the most that it could have.
    pub fn ring(&self, name: &str) -> Result<(u32, u32)> {
        let mut words = vec![0; 9];
        words[0] = GET_RING;
        self.ethtool(name, &mut words)?;
        Ok((words[5], words[1]))
    }

    /// Sets the slots of the receive ring.
    pub fn set_ring(&self, name: &str, slots: u32) -> Result<()> {
        let mut words = vec![0; 9];
        words[0] = GET_RING;
        self.ethtool(name, &mut words)?;
        (words[0], words[5]) = (SET_RING, slots);
        self.ethtool(name, &mut words)
    }

    fn feature_names(&self, name: &str) -> Result<Vec<String>> {
        // The command, nothing, a mask of sets in 64 bits, and the size of the one set that is asked for.
        let mut words = vec![GET_SET_SIZE, 0, 1 << SET_OF_FEATURES, 0, 0];
        self.ethtool(name, &mut words)?;
        let count = words[4] as usize;
        // The command, the set, its size, and the names. The size is the kernel's own and does not change while it runs.
        let mut words = vec![0; 3 + count * NAME_BYTES / 4];
        (words[0], words[1], words[2]) = (GET_STRINGS, SET_OF_FEATURES, count as u32);
        self.ethtool(name, &mut words)?;
        let bytes: Vec<u8> = words[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let name = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        Ok(bytes.chunks_exact(NAME_BYTES).map(name).collect())
    }

    /// `words` begins with the command and is as long as the command's structure.
    fn ethtool(&self, name: &str, words: &mut [u32]) -> Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        self.call(SIOCETHTOOL, &mut request)
    }

    fn call(&self, number: libc::Ioctl, request: &mut libc::ifreq) -> Result<()> {
        // SAFETY: `request` and, for ethtool's, the words behind it outlive the call; the callers above size these words as
        // the kernel's structure for their command.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), number, from_mut(request)) })
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sets a hardware watchdog's time, in seconds.
pub fn set_watchdog_timeout(device: BorrowedFd<'_>, seconds: i32) -> Result<()> {
    let mut seconds = seconds;
    // SAFETY: the kernel reads and writes this one integer, which outlives the call.
    check(unsafe { libc::ioctl(device.as_raw_fd(), WDIOC_SETTIMEOUT, from_mut(&mut seconds)) })
}

/// Brings a file system to rest: all is on the disk, and nothing more is written to it.
pub fn freeze(inside: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the kernel takes no argument.
    check(unsafe { libc::ioctl(inside.as_raw_fd(), FIFREEZE, 0) })
}

/// An order to the clock that changes nothing.
pub fn no_adjustment() -> libc::timex {
    // SAFETY: an all-zero timex is a valid value of this plain C structure.
    unsafe { zeroed() }
}

/// Gives the kernel's clock an order, which becomes its state.
pub fn adjust_clock(order: &mut libc::timex) -> Result<()> {
    // SAFETY: the kernel reads and writes this one structure, which outlives the call.
    check(unsafe { libc::adjtimex(from_mut(order)) })
}

/// A number that nobody can guess.
pub fn random_number() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: the kernel writes at most these eight bytes, which outlive the call.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    u64::from_ne_bytes(bytes)
}

/// As the kernel takes it with a `struct blkpg_partition` (linux/blkpg.h).
#[repr(C)]
struct PartitionOrder {
    operation: i32,
    flags: i32,
    length_of_data: i32,
    data: *const Partition,
}

#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// Tells the kernel the length in bytes that a partition of this disk has now, which may be in use.
pub fn resize_partition(disk: BorrowedFd<'_>, number: i32, start: u64, length: u64) -> Result<()> {
    let data = Partition { start: start.cast_signed(), length: length.cast_signed(), number, names: [0; 128] };
    let length_of_data = size_of::<Partition>() as i32;
    let order = PartitionOrder { operation: BLKPG_RESIZE_PARTITION, flags: 0, length_of_data, data: &raw const data };
    // SAFETY: the kernel reads the order and the data behind it, which have its own layout and outlive the call.
    check(unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG, &raw const order) })
}

/// Lets a mounted ext4, in which the descriptor lies, have so many blocks.
pub fn resize_ext4(inside: BorrowedFd<'_>, blocks: u64) -> Result<()> {
    // SAFETY: the kernel reads this one number, which outlives the call.
    check(unsafe { libc::ioctl(inside.as_raw_fd(), EXT4_IOC_RESIZE_FS, &raw const blocks) })
}

/// Waits until the kernel's random numbers are good. This call, unlike a wait on /dev/random, makes the kernel gather what it
/// lacks: on a machine that is idle and has no random source of its own, it would never come.
pub fn wait_for_randomness() {
    let mut byte = 0_u8;
    // SAFETY: the kernel writes this one byte, which outlives the call.
    unsafe { libc::getrandom(from_mut(&mut byte).cast(), 1, 0) };
}

fn check(result: i32) -> Result<()> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

fn request(name: &str) -> Result<libc::ifreq> {
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { zeroed() };
    request.ifr_name = name_bytes(name)?;
    Ok(request)
}

/// A name and at least one zero behind it.
fn name_bytes(name: &str) -> Result<[c_char; libc::IFNAMSIZ]> {
    let mut bytes = [0; libc::IFNAMSIZ];
    if name.is_empty() || name.len() >= bytes.len() {
        return Err(Error::from(ErrorKind::InvalidInput));
    }
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from.cast_signed());
    Ok(bytes)
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    data[2..6].iter_mut().zip(address.octets()).for_each(|(to, from)| *to = from.cast_signed());
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}
