//! A first program: each rank has a sample of its own, and all of them find the mean.
//!
//! ```text
//! mpirun -n 2 target/release/examples/first_step
//! ```

use adamax::Adamax;
use adamax_mpi::{Combination, MpiJob, ShardedOptimizer};
use ndarray::Array1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = MpiJob::start()?;
    let mut optimizer = ShardedOptimizer::new(job.world()?, Adamax::new(0.2)?);
    optimizer.set_combination(Combination::Mean)?;
    let (rank, size) = (optimizer.rank(), optimizer.size());

    let mut x = Array1::<f64>::zeros(5000);
    let slot = optimizer.register("x", &x)?;
    let sample = f64::from(u32::try_from(rank)?);
    for step in 1..=300 {
        optimizer.set_lr_scale(1.0 - f64::from(step) / 301.0)?;
        let gradient = x.mapv(|x| 2.0 * (x - sample));
        optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
    }

    let mean = f64::from(u32::try_from(size - 1)?) / 2.0;
    println!(
        "rank {rank} of {size}: the mean is {:.4}; moments of {} of {} parameters",
        x[0],
        optimizer.own_parameters(),
        x.len()
    );
    if (x[0] - mean).abs() < 0.01 { Ok(()) } else { Err("this is not the mean".into()) }
}
