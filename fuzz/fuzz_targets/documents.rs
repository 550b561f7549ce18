//! Reads arbitrary bytes as documents of serde: as every type, in the format that the first byte names.
//! The result must be an error or a value, never a panic or a stack overflow. A value must be equal
//! after it is written and read again.
//!
//! ```text
//! cargo test --all-features --test serde -- --ignored write_seeds_for_the_fuzzer
//! cargo +nightly fuzz run documents -- -runs=10000000 -max_len=4096 -dict=fuzz/documents.dict
//! ```

#![no_main]

use std::fmt::Debug;

use adamax::{
    Adamax, Average, MaxNorm, Snapshot, State, Stop,
    argmin::AdamaxSolver,
    schedule::{ReduceOnPlateau, Schedule},
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|input: &[u8]| {
    let Some((&format, document)) = input.split_first() else { return };
    let format = match format {
        b'j' => Format::Json,
        b'c' => Format::Cbor,
        _ => Format::Postcard,
    };
    format.round_trip::<Adamax>(document);
    format.round_trip::<State<f64>>(document);
    format.round_trip::<State<f32>>(document);
    format.round_trip::<Snapshot<f64>>(document);
    format.round_trip::<Snapshot<f32>>(document);
    format.round_trip::<MaxNorm>(document);
    format.round_trip::<Average<f64>>(document);
    format.round_trip::<Average<f32>>(document);
    format.round_trip::<Schedule>(document);
    format.round_trip::<ReduceOnPlateau>(document);
    format.round_trip::<Stop>(document);
    format.round_trip::<AdamaxSolver<f64>>(document);
});

#[derive(Clone, Copy)]
enum Format {
    Json,
    Cbor,
    Postcard,
}

impl Format {
    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(self, document: &[u8]) {
        if let Some(value) = self.read::<T>(document) {
            let read = self.read::<T>(&self.write(&value));
            assert_eq!(read, Some(value));
        }
    }

    fn read<T: DeserializeOwned>(self, document: &[u8]) -> Option<T> {
        match self {
            Format::Json => serde_json::from_slice(document).ok(),
            // Without a limit of the parser.
            Format::Cbor => {
                ciborium::de::from_reader_with_recursion_limit(document, usize::MAX).ok()
            }
            Format::Postcard => postcard::from_bytes(document).ok(),
        }
    }

    fn write<T: Serialize>(self, value: &T) -> Vec<u8> {
        match self {
            Format::Json => serde_json::to_vec(value).expect("a value that was read"),
            Format::Cbor => {
                let mut document = Vec::new();
                ciborium::into_writer(value, &mut document).expect("a value that was read");
                document
            }
            Format::Postcard => postcard::to_stdvec(value).expect("a value that was read"),
        }
    }
}
