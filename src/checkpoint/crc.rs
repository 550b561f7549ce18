//! CRC-32, the checksum of zlib, gzip and PNG.

use std::io::{self, Write};

/// The polynomial of IEEE 802.3, lowest power first.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// The remainder of each byte.
const REMAINDERS: [u32; 256] = {
    let mut remainders = [0; 256];
    let mut rest: &mut [u32] = &mut remainders;
    let mut byte = 0;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = remainder(byte);
        byte += 1;
        rest = others;
    }
    remainders
};

const fn remainder(byte: u32) -> u32 {
    let mut remainder = byte;
    let mut bit = 0;
    while bit < 8 {
        let carry = remainder & 1 == 1;
        remainder >>= 1;
        if carry {
            remainder ^= POLYNOMIAL;
        }
        bit += 1;
    }
    remainder
}

/// The checksum of the bytes so far.
#[derive(Clone, Copy)]
pub(super) struct Crc(u32);

impl Crc {
    pub(super) const START: Self = Crc(!0);

    pub(super) fn of(bytes: &[u8]) -> u32 {
        Crc::START.with(bytes).value()
    }

    fn with(self, bytes: &[u8]) -> Self {
        Crc(bytes.iter().fold(self.0, |sum, &byte| {
            let [low, ..] = sum.to_le_bytes();
            let remainder = REMAINDERS.get(usize::from(low ^ byte)).copied();
            (sum >> 8) ^ remainder.unwrap_or_default()
        }))
    }

    fn value(self) -> u32 {
        !self.0
    }
}

/// Writes to `out` and sums up what it writes.
pub(super) struct Summing<W> {
    out: W,
    crc: Crc,
}

impl<W: Write> Summing<W> {
    pub(super) fn new(out: W) -> Self {
        Summing { out, crc: Crc::START }
    }

    pub(super) fn sum(&self) -> u32 {
        self.crc.value()
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.crc = self.crc.with(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Crc;

    #[test]
    fn is_the_checksum_of_zlib() {
        // The check value of every catalogue of CRCs.
        assert_eq!(Crc::of(b"123456789"), 0xCBF4_3926);
        assert_eq!(Crc::of(b""), 0);
    }
}
