//! The two kinds of NIC. Only [`mirror`] names libpcap, only `packet_socket` holds unsafe code.

pub(crate) mod checksum;
pub mod choice;
pub mod filter;
pub mod interface;
mod joint;
pub mod listener;
pub mod mirror;
mod packet_socket;
mod steer;
pub mod target;

use std::net::IpAddr;
use thiserror::Error;

/// The mend for a missing privilege.
const PRIVILEGE: &str = "start it with sudo, or once `setcap cap_net_raw,cap_net_admin+ep` the program";

/// Why an interface cannot be used.
#[derive(Debug, Error)]
pub enum NicFault {
    /// No such interface.
    #[error("{name} is no interface of this machine; there are {}", known.join(", "))]
    Unknown {
        /// As the settings have it.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// Several interfaces have this address.
    #[error("{wanted} is each of {}; name the one that is meant", found.join(", "))]
    Ambiguous {
        /// As the settings have it.
        wanted: String,
        /// Their names.
        found: Vec<String>,
    },
    /// One interface is named for two roles.
    #[error(
        "{wanted} {}has a role already; the box never sends on a mirror NIC, and takes each frame once: give each role \
         an interface of its own",
        if wanted == name { String::new() } else { format!("is {name}, which ") }
    )]
    Taken {
        /// As the settings have it.
        wanted: String,
        /// Its name.
        name: String,
    },
    /// The interface is administratively down.
    #[error("{0} is down; raise it with `ip link set {0} up`")]
    Down(String),
    /// The privilege to open raw sockets is missing.
    #[error("{0} cannot be opened without the privilege for raw sockets; {PRIVILEGE}")]
    Privilege(String),
    /// Not Ethernet.
    #[error("{0} is not an Ethernet interface; name one that is")]
    NotEthernet(String),
    /// The link type of the mirror is unknown.
    #[error("{name} has link type {linktype}, which is not known here; name an Ethernet interface")]
    LinkType {
        /// The interface.
        name: String,
        /// As in the registry of tcpdump.org.
        linktype: i32,
    },
    /// The kernel holds an address that the box is to own.
    #[error(
        "{field}: {address} is an address of this machine's own {interface}, whose kernel would answer for it; \
         take it out of the settings, or remove it with `ip address del`"
    )]
    AddressOfKernel {
        /// Where the settings name it.
        field: &'static str,
        /// The address.
        address: IpAddr,
        /// Where the kernel has it.
        interface: String,
    },
    /// The kernel would pass on what the targets send to clients.
    #[error(
        "{name}: the kernel forwards here, and would send the targets' answers on to real clients; `echo 0 > {path}`"
    )]
    Forwards {
        /// The interface.
        name: String,
        /// The kernel's switch.
        path: String,
    },
    /// The filter does not compile.
    #[error("nics.filter (-F): `{filter}` is no pcap filter ({message}); see `man pcap-filter`")]
    Filter {
        /// What the user wrote.
        filter: String,
        /// libpcap's words.
        message: String,
    },
    /// libpcap refuses.
    #[error("{name} cannot be captured from: {message}; look at it with `ip -d link show {name}`")]
    Capture {
        /// The interface.
        name: String,
        /// libpcap's words.
        message: String,
    },
    /// The kernel refuses.
    #[error("{name} cannot be used to {what}: {source}; look at it with `ip -d link show {name}`")]
    Socket {
        /// The interface.
        name: String,
        /// What was tried, as an infinitive.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The list of interfaces cannot be had.
    #[error("cannot list the interfaces: {0}; this is a fault of the machine, look at its log with `dmesg`")]
    List(std::io::Error),
}

impl NicFault {
    /// Whether the settings are to blame, not the state of the machine.
    pub fn is_bad_setting(&self) -> bool {
        matches!(
            self,
            Self::Unknown { .. }
                | Self::Ambiguous { .. }
                | Self::Taken { .. }
                | Self::Filter { .. }
                | Self::AddressOfKernel { .. }
                | Self::NotEthernet(_)
        )
    }
}
