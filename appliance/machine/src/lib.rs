//! The machine under the appliance: what the box does to its own interfaces, disks and clock, and how it starts as the
//! first process of a firmware image.
//!
//! Nothing here knows of sessions or of the page. [`link`], [`quiet`] and [`memory`] serve `tapcopy run` on an ordinary Linux
//! host too; [`init`] and what it calls are for the firmware alone.
#![deny(unsafe_code)]

pub mod boot_env;
pub mod button;
pub mod clock;
pub mod dhcp;
pub mod disk;
mod grow;
pub mod harden;
pub mod init;
mod ioctl;
pub mod link;
pub mod memory;
mod modules;
mod mounts;
pub mod ntp;
pub mod power;
pub mod quiet;
mod reset;
pub mod terminal;
pub mod update;
pub mod watchdog;
