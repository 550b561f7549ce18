//! Reads arbitrary bytes as a state file. The result must be an error or a checkpoint, never a
//! panic. A checkpoint must be equal after it is written and read again.
//!
//! ```text
//! cargo test --features safetensors --test state_files -- --ignored write_seeds_for_the_fuzzer
//! cargo +nightly fuzz run load -- -runs=10000000 -max_len=4096 -dict=fuzz/load.dict
//! ```

#![no_main]

use adamax::{Checkpoint, Real};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    round_trip::<f64>(file);
    round_trip::<f32>(file);
});

fn round_trip<A: Real>(file: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::<A>::from_bytes(file) {
        let written = checkpoint.to_bytes().expect("a checkpoint that was read");
        let read = Checkpoint::<A>::from_bytes(&written).expect("a file that was just written");
        assert_eq!(read, checkpoint);
    }
}
