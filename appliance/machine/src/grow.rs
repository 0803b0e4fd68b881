//! The data partition takes the rest of the disk that the image was written to, and its file system the whole of the partition.
//!
//! The image is as small as it can be; a disk is not. At each start it is looked whether there is room behind the last partition.
//! The partition table (UEFI specification, chapter 5) is written anew where there is: first its copy at the disk's end, then the
//! table itself, whose changed part, like the page of the disk that holds it, is written at once or not at all.

use crate::ioctl;
use crate::update::Flush;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

const SECTOR: u64 = 512;
/// Partitions end at a multiple of so many sectors.
const ALIGNMENT: u64 = 2048;
const SIGNATURE: &[u8] = b"EFI PART";
const HEADER_BYTES: usize = 92;
/// The table has 128 entries of so many bytes, in 32 sectors.
const ENTRY_BYTES: usize = 128;
const ENTRIES: usize = 128;
const TABLE_SECTORS: u64 = 32;
/// Bytes from the disk's begin that hold the header and the entries of all our partitions.
const PAGE: usize = 4096;
/// Where a header says where it lies, where its copy lies, which sector is the last for partitions, and where its entries are.
const OWN: usize = 24;
const COPY: usize = 32;
const LAST_USABLE: usize = 48;
const TABLE: usize = 72;
/// Where an entry has its first and last sector.
const FIRST: usize = 32;
const LAST: usize = 40;
/// Where the table for old programs has the length of the one partition that it shows.
const PROTECTIVE_LENGTH: usize = 446 + 12;

/// Lets the partition of this device have the rest of its disk.
///
/// # Errors
/// The disk cannot be read or written, or its table is none.
pub fn partition(device: &Path) -> Result<()> {
    let name = device.file_name().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
    let place = Path::new("/sys/class/block").join(name);
    let disk = place.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default();
    let sectors = number(&disk.join("size"))?;
    let index = number(&place.join("partition"))?;
    let disk = PathBuf::from("/dev").join(disk.file_name().unwrap_or_default());
    let mut file = OpenOptions::new().read(true).write(true).open(disk)?;
    let Some((first, last)) = rewrite(&mut file, sectors, index as usize)? else { return Ok(()) };
    let length = (last + 1 - first) * SECTOR;
    ioctl::resize_partition(file.as_fd(), index as i32, first * SECTOR, length)?;
    log::info!("{} has {} MB of the disk now", device.display(), length / 1_000_000);
    Ok(())
}

/// Lets the mounted ext4 have all of its partition.
///
/// # Errors
/// The kernel refuses.
pub fn file_system(device: &Path, at: &Path) -> Result<()> {
    let bytes = File::open(device)?.seek(SeekFrom::End(0))?;
    let stat = nix::sys::statvfs::statvfs(at)?;
    // What the file system keeps for itself is not counted as its own, and is less than this.
    if bytes < stat.blocks() * stat.fragment_size() + bytes / 8 {
        return Ok(());
    }
    ioctl::resize_ext4(File::open(at)?.as_fd(), bytes / stat.block_size())
}

fn number(path: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| Error::from(ErrorKind::InvalidData))
}

/// Rewrites the table of a disk of so many sectors so that its partition of this number, from 1, ends where the disk does; its
/// first and last sector, if there was anything to gain.
fn rewrite(disk: &mut (impl Read + Write + Seek + Flush), sectors: u64, index: usize) -> Result<Option<(u64, u64)>> {
    let no_table = || Error::new(ErrorKind::InvalidData, "the disk has no partition table of the form that we write");
    let mut begin = vec![0; SECTOR as usize * 2 + ENTRIES * ENTRY_BYTES];
    disk.seek(SeekFrom::Start(0))?;
    disk.read_exact(&mut begin)?;
    let (sector, entries) = begin.split_at_mut(SECTOR as usize * 2);
    let header = &mut sector[SECTOR as usize..][..HEADER_BYTES];
    let is_ours = header.starts_with(SIGNATURE)
        && header[12..16] == (HEADER_BYTES as u32).to_le_bytes()
        && header[80..88] == [(ENTRIES as u32).to_le_bytes(), (ENTRY_BYTES as u32).to_le_bytes()].concat()[..]
        && header[88..92] == crc32fast::hash(entries).to_le_bytes()
        && header[16..20] == checksum(header)
        && get(header, TABLE) == 2
        && index >= 1
        && index * ENTRY_BYTES <= PAGE - SECTOR as usize * 2;
    if !is_ours {
        return Err(no_table());
    }
    let last_usable = sectors.checked_sub(TABLE_SECTORS + 2).ok_or_else(no_table)?;
    let end = (last_usable + 1) / ALIGNMENT * ALIGNMENT;
    let at = (index - 1) * ENTRY_BYTES;
    let (first, last) = (get(entries, at + FIRST), get(entries, at + LAST));
    let is_last = entries.chunks_exact(ENTRY_BYTES).all(|entry| get(entry, FIRST) <= first);
    if !is_last || end <= last + ALIGNMENT {
        return Ok(None);
    }
    put(entries, at + LAST, end - 1);
    put(header, LAST_USABLE, last_usable);
    header[88..92].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
    // The copy, and all of it on the disk before the table that it is the copy of.
    let copy_at = sectors - 1;
    let mut copy = header.to_vec();
    put(&mut copy, OWN, copy_at);
    put(&mut copy, COPY, 1);
    put(&mut copy, TABLE, copy_at - TABLE_SECTORS);
    seal(&mut copy);
    copy.resize(SECTOR as usize, 0);
    disk.seek(SeekFrom::Start((copy_at - TABLE_SECTORS) * SECTOR))?;
    disk.write_all(entries)?;
    disk.write_all(&copy)?;
    disk.sync()?;
    put(header, COPY, copy_at);
    seal(header);
    let shown = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    sector[PROTECTIVE_LENGTH..][..4].copy_from_slice(&shown.to_le_bytes());
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(&begin[..PAGE])?;
    disk.sync()?;
    Ok(Some((first, end - 1)))
}

fn get(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// Of a header, taken while its own place is zero.
fn checksum(header: &[u8]) -> [u8; 4] {
    let mut bytes = header.to_vec();
    bytes[16..20].fill(0);
    crc32fast::hash(&bytes).to_le_bytes()
}

fn seal(header: &mut [u8]) {
    let sum = checksum(header);
    header[16..20].copy_from_slice(&sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const SMALL: u64 = 10_000;
    const LARGE: u64 = 100_000;

    struct Disk(Cursor<Vec<u8>>);

    impl Read for Disk {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> Result<u64> {
            self.0.seek(to)
        }
    }

    impl Flush for Disk {
        fn sync(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// A small disk's image with two partitions, on a larger disk.
    fn disk() -> Disk {
        let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
        for (index, (first, last)) in [(2048, 4095), (4096, 8191)].into_iter().enumerate() {
            put(&mut entries, index * ENTRY_BYTES + FIRST, first);
            put(&mut entries, index * ENTRY_BYTES + LAST, last);
        }
        let mut header = [SIGNATURE, &[0, 0, 1, 0], &(HEADER_BYTES as u32).to_le_bytes(), &[0; 76]].concat();
        for (at, number) in [(OWN, 1), (COPY, SMALL - 1), (LAST_USABLE, SMALL - 34), (TABLE, 2)] {
            put(&mut header, at, number);
        }
        put(&mut header, 80, ENTRIES as u64 | (ENTRY_BYTES as u64) << 32);
        header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
        seal(&mut header);
        let mut bytes = vec![0; (LARGE * SECTOR) as usize];
        bytes[512..512 + HEADER_BYTES].copy_from_slice(&header);
        bytes[1024..1024 + entries.len()].copy_from_slice(&entries);
        Disk(Cursor::new(bytes))
    }

    /// Looks whether a header and its entries are whole; where it says that the other one is, and its last partition's end.
    fn check_table(disk: &Disk, at: u64) -> (u64, u64) {
        let bytes = disk.0.get_ref();
        let header = &bytes[(at * SECTOR) as usize..][..HEADER_BYTES];
        let entries = &bytes[(get(header, TABLE) * SECTOR) as usize..][..ENTRIES * ENTRY_BYTES];
        assert_eq!((&header[16..20], get(header, OWN)), (&checksum(header)[..], at));
        assert_eq!(header[88..92], crc32fast::hash(entries).to_le_bytes());
        assert_eq!(get(header, LAST_USABLE), LARGE - 34);
        (get(header, COPY), get(entries, ENTRY_BYTES + LAST))
    }

    #[test]
    fn the_last_partition_takes_the_rest_of_the_disk_once() {
        let mut disk = disk();
        let end = (LARGE - 33) / ALIGNMENT * ALIGNMENT - 1;
        assert_eq!(rewrite(&mut disk, LARGE, 2).unwrap(), Some((4096, end)));
        assert_eq!(check_table(&disk, 1), (LARGE - 1, end));
        assert_eq!(check_table(&disk, LARGE - 1), (1, end));
        assert_eq!(rewrite(&mut disk, LARGE, 2).unwrap(), None);
    }

    #[test]
    fn what_is_not_ours_stays() {
        let untouched = disk().0.into_inner();
        let mut disk = disk();
        assert_eq!(rewrite(&mut disk, LARGE, 1).unwrap(), None);
        assert_eq!(rewrite(&mut disk, SMALL, 2).unwrap(), None);
        assert!(rewrite(&mut disk, LARGE, 0).is_err() && rewrite(&mut disk, 20, 2).is_err());
        assert!(*disk.0.get_ref() == untouched);
        for at in [512, 512 + LAST_USABLE, 1024 + FIRST, 1024 + 100 * ENTRY_BYTES] {
            let mut damaged = untouched.clone();
            damaged[at] ^= 1;
            assert!(rewrite(&mut Disk(Cursor::new(damaged)), LARGE, 2).is_err(), "{at}");
        }
    }
}
