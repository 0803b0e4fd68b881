//! A tar archive (POSIX.1-1988, ustar): a head of 512 bytes for each file, its bytes filled up to as many, and two empty
//! blocks.

const BLOCK: usize = 512;

/// An archive that is being filled.
pub struct Archive {
    bytes: Vec<u8>,
    folder: String,
    modified: u64,
}

impl Archive {
    /// An archive whose files all lie in a folder, changed so many seconds after the Unix epoch.
    pub fn new(folder: String, modified: u64) -> Self {
        Self { bytes: Vec::new(), folder, modified }
    }

    /// Adds a file. Its name with the folder must fit into 100 bytes.
    pub fn add(&mut self, name: &str, content: &[u8]) {
        let mut head = [0; BLOCK];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &format!("{}/{name}", self.folder));
        put(100, "0000644\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, &format!("{:011o}\0", self.modified & 0o77_777_777_777));
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(head);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}
