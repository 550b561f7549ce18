//! Random sequences of calls of the public interface, beside a naive model of an optimizer.
//!
//! [`run`] reads bytes as operations: tensors are registered, removed and moved; groups, rules and settings
//! change; batches are stepped in every way, layout and rank, some of them wrong; states are saved, cast,
//! written and restored. After each operation, all parameters and states have the bits of the model, or the
//! call was an error of the kind that the model foresees, and nothing has changed.
//!
//! `tests/suite/sequences.rs` runs it on random bytes, and `fuzz/fuzz_targets/stateful.rs` on those of a fuzzer.
//!
//! ```text
//! machine      an optimizer and its model; the operations; the comparison after each
//! tensors      operations: tensors come, go and move
//! states       operations: other states, snapshots, precisions
//! files        operations: documents and state files
//! steps        operations: steps
//! plan         batches from bytes
//! batch        a batch with its arrays, as the user binds it
//! forecast     the step of the model
//! norm         the norm of gradients
//! model        an optimizer as plain vectors
//! settings     rules and settings from bytes
//! bytes        choices and numbers from bytes
//! counts       what has run, and how it ended
//! ```

mod batch;
mod bytes;
pub(crate) mod counts;
#[cfg(feature = "safetensors")]
mod files;
mod forecast;
mod machine;
mod model;
mod norm;
mod plan;
mod settings;
mod states;
mod steps;
mod tensors;

#[cfg(feature = "safetensors")]
use adamax::Snapshot;
use bytes::Bytes;
use counts::Counts;
use machine::Machine;

use crate::common::Float;

/// Runs the operations that the bytes stand for, and counts them. The first byte chooses the precision.
pub(crate) fn run(input: &[u8], counts: &mut Counts) {
    let mut bytes = Bytes::new(input);
    if bytes.below(2) == 0 {
        Machine::<f64>::new(&mut bytes, counts).run(&mut bytes);
    } else {
        Machine::<f32>::new(&mut bytes, counts).run(&mut bytes);
    }
}

/// `f32` or `f64`, and the other one of both.
pub(crate) trait Precision: Float {
    type Other: Precision<Other = Self>;

    /// Returns a snapshot that was written as JSON and read; `None` if it cannot be written.
    #[cfg(feature = "safetensors")]
    fn through_json(snapshot: &Snapshot<Self>) -> Option<Snapshot<Self>>;
}

macro_rules! precision {
    ($float:ident, $other:ident) => {
        impl Precision for $float {
            type Other = $other;

            #[cfg(feature = "safetensors")]
            fn through_json(snapshot: &Snapshot<Self>) -> Option<Snapshot<Self>> {
                let document = serde_json::to_string(snapshot).ok()?;
                Some(serde_json::from_str(&document).expect("a document that was just written"))
            }
        }
    };
}
precision!(f32, f64);
precision!(f64, f32);
