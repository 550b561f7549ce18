//! Writing: from a checkpoint to bytes.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::cmp::Reverse;
use std::io::{self, BufWriter, Write};

use ndarray::{ArrayView, IxDyn};

use super::{
    average::SavedAverage,
    entry_names::{self, AVERAGE, CHECKSUM, FIRST_MOMENT, INF_NORM, PARAMETER, ROW_STEPS},
    header::{self, Announced, Dtype},
    record::{self, Record},
    summing::Summing,
    tensor::Tensor,
};
use crate::{error::Error, optimizer::snapshot::Snapshot, real::Real};

/// The content of a file. It is checked before the first byte is written: a run must not believe that
/// it is saved if the file cannot be read back.
pub(super) struct Writable<'a, A> {
    /// The bytes before the data.
    header: Vec<u8>,
    data: Vec<Data<'a, A>>,
}

/// The data of one array.
enum Data<'a, A> {
    Array(ArrayView<'a, A, IxDyn>),
    Counters(&'a [u64]),
    Bytes(&'a [u8]),
}

impl<'a, A: Real> Writable<'a, A> {
    pub(super) fn new(
        snapshot: &'a Snapshot<A>,
        parameters: &'a BTreeMap<String, Tensor>,
        averages: &'a BTreeMap<String, SavedAverage>,
        notes: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let mut arrays = Vec::new();
        for (name, tensor) in snapshot.tensors() {
            let state = &tensor.state;
            state.check().map_err(|error| error.in_tensor(name))?;
            for (part, array) in
                [(FIRST_MOMENT, state.first_moment()), (INF_NORM, state.inf_norm())]
            {
                arrays.push((
                    announce(part, name, Dtype::of::<A>(), array.shape()),
                    Data::Array(array),
                ));
            }
            if let Some(counters) = state.row_steps() {
                arrays.push((
                    announce(ROW_STEPS, name, Dtype::U64, &[counters.len()]),
                    Data::Counters(counters),
                ));
            }
        }
        let parameters = parameters.iter().map(|(name, tensor)| (PARAMETER, name, tensor));
        let means = averages.iter().map(|(name, saved)| (AVERAGE, name, &saved.mean));
        for (part, name, Tensor { dtype, shape, bytes }) in parameters.chain(means) {
            arrays.push((announce(part, name, *dtype, shape), Data::Bytes(bytes)));
        }
        // Wide numbers first: then all are aligned to their size.
        arrays.sort_by(|(a, _), (b, _)| {
            (Reverse(a.dtype.width), &a.name).cmp(&(Reverse(b.dtype.width), &b.name))
        });

        let record = Record::of(snapshot, averages)?.to_json()?;
        let mut metadata: BTreeMap<&str, &str> =
            notes.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        metadata.insert(record::KEY, &record);
        let checksum = announce("", CHECKSUM, Dtype::U32, &[]);
        let announced = arrays.iter().map(|(announced, _)| announced).chain([&checksum]);
        let header = header::format(&metadata, announced)?;
        Ok(Writable { header, data: arrays.into_iter().map(|(_, data)| data).collect() })
    }

    pub(super) fn write_to(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(Summing::new(out));
        out.write_all(&self.header)?;
        for data in &self.data {
            match data {
                Data::Bytes(bytes) => out.write_all(bytes)?,
                Data::Array(array) => {
                    for value in array {
                        out.write_all(value.to_file().as_ref())?;
                    }
                }
                Data::Counters(counters) => {
                    for counter in *counters {
                        out.write_all(&counter.to_le_bytes())?;
                    }
                }
            }
        }
        out.flush()?;
        let mut out = out.into_inner()?;
        let sum = out.checksum();
        out.write_all(&sum.to_le_bytes())?;
        out.flush()
    }
}

fn announce(part: &str, name: &str, dtype: Dtype, shape: &[usize]) -> Announced {
    Announced { name: entry_names::entry(part, name), dtype, shape: shape.to_vec() }
}
