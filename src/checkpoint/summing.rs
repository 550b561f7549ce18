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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use std::io::{self, BufWriter, Write};

    use super::Summing;

    #[test]
    fn what_is_flushed_has_left_the_writer_below() -> io::Result<()> {
        let mut summing = Summing::new(BufWriter::new(Vec::new()));
        summing.write_all(b"bytes")?;
        summing.flush()?;
        assert_eq!(summing.out.get_ref(), b"bytes");
        Ok(())
    }
}
