//! The speed of a sharded step, beside what a program without this crate would do: add the gradients with
//! the all-reduce of the MPI library, and take a full step on each rank.
//!
//! ```text
//! mpirun -n 2 target/release/examples/speed
//! ```
//! Both take turns, so that a busy machine slows down both. A time is that of the slowest rank. Before each
//! step, the gradients are written anew, as in a real program. The times that are printed are those that a tenth of
//! all steps is below.
//!
//! The last column is the cost model of DESIGN.md: the time of messages, from their number and their bytes,
//! and the measured time of what a rank computes by itself.

use std::{error::Error, hint::black_box, time::Instant};

use adamax::{Adamax, Optimizer};
use adamax_mpi::{MpiTransport, ShardedOptimizer, Transport};
use ferrompi::{Communicator, Mpi, ReduceOp};
use ndarray::Array1;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Tensors, elements of each, and rounds.
const CASES: [(usize, usize, usize); 5] = [
    (1, 10_000, 2001),
    (1, 100_000, 501),
    (1, 1_000_000, 101),
    (1, 10_000_000, 21),
    (1000, 64, 501),
];

fn main() -> Outcome {
    let mpi = Mpi::init()?;
    let world = mpi.world();
    let first = world.rank() == 0;
    let model = Model::measure(&world)?;
    if first {
        println!("{} ranks", world.size());
        println!("a small message               {:8.2} µs", 1e6 * model.small);
        println!("a large message               {:8.2} µs", 1e6 * model.message);
        println!("  and for each byte           {:8.3} ns", 1e9 * model.byte);
        println!("\n{:49}  ratio of", "");
        println!(
            "{:>8} {:>9} {:>14} {:>14} {:>8} {:>8} {:>14}",
            "tensors", "elements", "all-reduce", "sharded", "medians", "tenths", "model"
        );
    }
    for (tensors, length, rounds) in CASES {
        let kinds: &[bool] = if tensors == 1 { &[false] } else { &[false, true] };
        for &packed in kinds {
            let [whole, sharded] = compare(&world, tensors, length, rounds, packed)?;
            let predicted = model.predict(&world, tensors * length, rounds)?;
            if first {
                println!(
                    "{tensors:8} {length:9} {:11.3} ms {:11.3} ms {:8.2} {:8.2} {:11.3} ms{}",
                    1e3 * whole.tenth,
                    1e3 * sharded.tenth,
                    sharded.median / whole.median,
                    sharded.tenth / whole.tenth,
                    1e3 * predicted,
                    if packed { "   beside one all-reduce of all tensors" } else { "" }
                );
            }
        }
    }
    Ok(())
}

/// Times of one kind of steps.
struct Times {
    /// A tenth of the steps is faster. On a machine with other work, this is nearer to the truth than the
    /// median: a rank that has lost its core makes the other wait.
    tenth: f64,
    median: f64,
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Times { tenth: times[times.len() / 10], median: times[times.len() / 2] }
    }
}

/// Returns the times of both kinds of steps. If `packed`, the all-reduce adds all tensors at once: they are
/// views of one vector.
fn compare(
    world: &Communicator,
    tensors: usize,
    length: usize,
    rounds: usize,
    packed: bool,
) -> Outcome<[Times; 2]> {
    let names: Vec<_> = (0..tensors).map(|number| format!("tensor {number}")).collect();
    let mut gradients = Array1::from_elem(tensors * length, 0.0);
    let mut whole = Array1::from_elem(tensors * length, 1.0);
    let mut divided = whole.clone();

    let mut optimizer = Optimizer::new(Adamax::default());
    let mut sharded = ShardedOptimizer::new(MpiTransport::new(world)?, Adamax::default());
    let (mut slots, mut sharded_slots) = (Vec::new(), Vec::new());
    for (name, param) in names.iter().zip(whole.exact_chunks(length)) {
        slots.push(optimizer.register(name, &param)?);
        sharded_slots.push(sharded.register(name, &param)?);
    }
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for kind in [round % 2, 1 - round % 2] {
            write(&mut gradients, world.rank());
            let time = if kind == 0 {
                timed(world, || {
                    let values = gradients.as_slice_mut().ok_or("a vector is a slice")?;
                    if packed {
                        world.allreduce_inplace(values, ReduceOp::Sum)?;
                    } else {
                        for values in values.chunks_mut(length) {
                            world.allreduce_inplace(values, ReduceOp::Sum)?;
                        }
                    }
                    let params = whole.exact_chunks_mut(length).into_iter();
                    let arrays = params.zip(gradients.exact_chunks(length));
                    let bound = slots.iter().zip(arrays);
                    let mut batch: Vec<_> =
                        bound.map(|(slot, (x, g))| slot.bind_view(x, g)).collect();
                    optimizer.step(&mut batch)?;
                    Ok(())
                })?
            } else {
                timed(world, || {
                    let params = divided.exact_chunks_mut(length).into_iter();
                    let arrays = params.zip(gradients.exact_chunks(length));
                    let bound = sharded_slots.iter().zip(arrays);
                    let mut batch: Vec<_> =
                        bound.map(|(slot, (x, g))| slot.bind_view(x, g)).collect();
                    sharded.step(&mut batch)?;
                    Ok(())
                })?
            };
            times[kind].push(time);
        }
    }
    // Two addends have one order only.
    if world.size() <= 2 && whole != divided {
        return Err("both kinds of steps must give the same parameters".into());
    }
    Ok(times.map(Times::of))
}

/// Writes gradients that differ from rank to rank.
fn write(gradients: &mut Array1<f64>, rank: i32) {
    let mut value = 0.5 + f64::from(rank);
    for gradient in &mut *gradients {
        *gradient = value;
        value = 0.999 * value + 0.001;
    }
    black_box(gradients);
}

/// Returns the seconds that the slowest rank takes.
fn timed(world: &Communicator, action: impl FnOnce() -> Outcome) -> Outcome<f64> {
    world.barrier()?;
    let start = Instant::now();
    action()?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(world.allreduce_scalar(seconds, ReduceOp::Max)?)
}

/// The costs of messages, in seconds.
struct Model {
    /// A message of 64 bytes.
    small: f64,
    /// A message that is too long to be sent at once: before its first byte.
    message: f64,
    /// A byte of a long message.
    byte: f64,
}

impl Model {
    fn measure(world: &Communicator) -> Outcome<Self> {
        let mut transport = MpiTransport::new(world)?;
        let (rank, size) = (transport.rank(), transport.size());
        let mut message = |length: usize| {
            let mut times = Vec::new();
            let (mut sent, mut room) = (vec![0; length], vec![0; length]);
            for round in 0..=200 {
                black_box(&mut sent).fill(round);
                times.push(timed(world, || {
                    if size > 1 {
                        let (to, from) = ((rank + 1) % size, (rank + size - 1) % size);
                        transport.send_receive(to, &sent, from, &mut room)?;
                    }
                    Ok(())
                })?);
            }
            Ok::<f64, Box<dyn Error>>(Times::of(times).tenth)
        };
        let small = message(64)?;
        let (short, long) = (message(64 << 10)?, message(512 << 10)?);
        let byte = (long - short) / f64::from((512 - 64) << 10);
        Ok(Model { small, message: short - byte * f64::from(64 << 10), byte })
    }

    /// Returns the time of a sharded step of `n` elements. The sum and the step of the part of a rank are
    /// measured.
    fn predict(&self, world: &Communicator, n: usize, rounds: usize) -> Outcome<f64> {
        /// Elements of the longest message, as long as there are few ranks.
        const WINDOW: usize = 131_072;
        let ranks = f64::from(world.size());
        let part = n.div_ceil(world.size().unsigned_abs() as usize);
        let mut x = Array1::from_elem(part, 1.0);
        let (mut gradient, mut sum) = (x.clone(), x.clone());
        let other = x.clone();
        let mut optimizer = Optimizer::new(Adamax::default());
        let slot = optimizer.register("x", &x)?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            write(&mut gradient, world.rank());
            times.push(timed(world, || {
                sum.assign(&gradient);
                (1..world.size()).for_each(|_| sum += &other);
                optimizer.step(&mut [slot.bind(&mut x, &sum)])?;
                Ok(())
            })?);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2⁵³")]
        let (messages, bytes) = (part.div_ceil(WINDOW) as f64, (part * size_of::<f64>()) as f64);
        let exchange = (ranks - 1.0) * (messages * self.message + bytes * self.byte);
        Ok(2.0 * ranks.log2().ceil() * self.small + 2.0 * exchange + Times::of(times).tenth)
    }
}
