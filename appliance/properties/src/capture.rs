//! Capture files.

use std::io::Read;
use std::path::Path;
use tapcopy_daemon::capture::{CaptureFault, CaptureFile};

/// A frame as it was read: stamp, link type, length on the wire, bytes.
type Frame = (u64, String, u32, Vec<u8>);

/// Takes the input for a file, and reads it at once and in pieces.
pub fn check(bytes: &[u8]) {
    let whole = read(bytes.to_vec(), usize::MAX);
    let pieces = read(bytes.to_vec(), 1 + bytes.len() % 97);
    assert_eq!(whole, pieces, "at once and in pieces");
    let (frames, sentences) = whole;
    // A record of a capture has at least 16 bytes for itself, a simple packet block with its lengths too.
    assert!(frames.len() <= bytes.len() / 16, "{} frames of {} bytes", frames.len(), bytes.len());
    let content: usize = frames.iter().map(|frame| frame.3.len()).sum();
    assert!(content <= bytes.len(), "{content} bytes in a file of {}", bytes.len());
    for sentence in sentences {
        assert!(sentence.starts_with("FILE: ") && sentence.contains("; "), "no sentence with a mend: {sentence}");
        assert!(!sentence.contains('\n'), "more than a line: {sentence}");
    }
}

/// All frames of a file, and what is said of it.
fn read(bytes: Vec<u8>, piece: usize) -> (Vec<Frame>, Vec<String>) {
    let pieces = Pieces { bytes, at: 0, piece };
    let mut frames = Vec::new();
    let fault = match CaptureFile::read(Path::new("FILE"), pieces) {
        Err(fault) => Some(fault),
        Ok(None) => None,
        Ok(Some(file)) => frames_of(file, &mut frames),
    };
    (frames, fault.iter().map(ToString::to_string).collect())
}

fn frames_of(mut file: CaptureFile, frames: &mut Vec<Frame>) -> Option<CaptureFault> {
    loop {
        let frame = file.frame();
        frames.push((frame.captured_at.as_nanos(), format!("{:?}", frame.link), frame.wire_len, frame.bytes.clone()));
        if !file.advance() {
            return file.take_fault();
        }
    }
}

/// A file that gives so many bytes at a time, as a pipe does.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(self.piece).min(self.bytes.len() - self.at);
        buffer[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}
