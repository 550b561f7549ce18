//! A writer that computes a checksum.

use std::io::{self, Write};

use crc32fast::Hasher;

/// Writes to `out` and computes the CRC-32 of all bytes written.
pub(super) struct Summing<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Summing<W> {
    pub(super) fn new(out: W) -> Self {
        Summing { out, hasher: Hasher::new() }
    }

    pub(super) fn checksum(&self) -> u32 {
        self.hasher.clone().finalize()
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
