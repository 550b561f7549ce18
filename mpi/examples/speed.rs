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
//! First come the numbers of the cost model in DESIGN.md: the time of a small message, and the rates of
//! large messages and of a step by itself.

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
    let [message, bytes, element] = basics(&world)?;
    if first {
        println!("{} ranks", world.size());
        println!("a small message                     {:8.2} µs", 1e6 * message);
        println!("a byte of a large message           {:8.3} ns", 1e9 * bytes);
        println!("a step by itself, per element       {:8.3} ns", 1e9 * element);
        println!("\n{:49}  ratio of", "");
        println!(
            "{:>8} {:>9} {:>14} {:>14} {:>8} {:>8}",
            "tensors", "elements", "all-reduce", "sharded", "medians", "tenths"
        );
    }
    for (tensors, length, rounds) in CASES {
        let kinds: &[bool] = if tensors == 1 { &[false] } else { &[false, true] };
        for &packed in kinds {
            let [whole, sharded] = compare(&world, tensors, length, rounds, packed)?;
            if first {
                println!(
                    "{tensors:8} {length:9} {:11.3} ms {:11.3} ms {:8.2} {:8.2}{}",
                    1e3 * whole.tenth,
                    1e3 * sharded.tenth,
                    sharded.median / whole.median,
                    sharded.tenth / whole.tenth,
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

/// Returns the seconds of a small message, of a byte of a large one, and of an element of a step in one
/// process.
fn basics(world: &Communicator) -> Outcome<[f64; 3]> {
    const ROUNDS: usize = 201;
    const SMALL: usize = 64;
    const LARGE: usize = 256 << 10;
    const ELEMENTS: usize = 1_000_000;
    let mut transport = MpiTransport::new(world)?;
    let (rank, size) = (transport.rank(), transport.size());
    let mut message = |length: usize| {
        if size == 1 {
            return Ok(0.0);
        }
        let (sent, mut room) = (vec![1; length], vec![0; length]);
        let times = (0..ROUNDS).map(|_| {
            timed(world, || {
                Ok(transport.send_receive(
                    (rank + 1) % size,
                    &sent,
                    (rank + size - 1) % size,
                    &mut room,
                )?)
            })
        });
        Ok::<f64, Box<dyn Error>>(Times::of(times.collect::<Result<_, _>>()?).tenth)
    };
    let (small, large) = (message(SMALL)?, message(LARGE)?);

    let mut x = Array1::from_elem(ELEMENTS, 1.0);
    let g = Array1::from_elem(ELEMENTS, 0.5);
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("x", &x)?;
    let steps = (0..ROUNDS).map(|_| {
        timed(world, || {
            optimizer.step(&mut [slot.bind(&mut x, &g)])?;
            Ok(())
        })
    });
    let step = Times::of(steps.collect::<Result<_, _>>()?).tenth;
    #[expect(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    let [bytes, elements] = [LARGE - SMALL, ELEMENTS].map(|count| count as f64);
    Ok([small, (large - small) / bytes, step / elements])
}
