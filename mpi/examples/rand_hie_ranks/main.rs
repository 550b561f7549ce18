//! Poisson regression on the RAND Health Insurance Experiment, with the people divided among the ranks of an
//! MPI job: the example `rand_hie` of the crate `adamax`, on several processes.
//!
//! ```text
//! cargo build --release -p adamax-mpi --example rand_hie_ranks
//! mpirun -n 2 target/release/examples/rand_hie_ranks
//! ```
//! The people are in 16 groups, and each rank has some of the groups. A batch has 16 people of each group. The
//! gradients of these 16 micro-batches are added in a binary tree: each rank adds those of its own groups, and
//! the optimizer adds the sums of the ranks. So the tree is the same on 1, 2, 4, 8 and 16 ranks, and so are
//! all bits of the fit.
//!
//! 1. **The fit.** Coefficients are printed beside the maximum-likelihood optimum. The exit code is not zero
//!    if their difference is above the tolerances of the example `rand_hie`.
//! 2. **The bits.** A number stands for the bits of all coefficients and moments. Compare it with that of
//!    another number of ranks.
//! 3. **The picture.** Time and memory of all runs that have been written to the same folder, such as those on
//!    1, 2 and 4 ranks.
//!
//! With `--quick` the fit is too short to come to the optimum, and only the bits count.

mod common;
#[path = "../../../examples/rand_hie/comparison.rs"]
mod comparison;
#[path = "../../../examples/rand_hie/data.rs"]
mod data;
mod fit;
mod groups;
mod plot;
#[path = "../../../examples/rand_hie/poisson.rs"]
mod poisson;
mod record;

use std::{
    error::Error,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use adamax::{Adamax, ndarray::Array1};
use adamax_mpi::{MpiJob, ShardedOptimizer, Transport};

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        headline, progress,
    },
    comparison::Comparison,
    data::Data,
    fit::Fit,
    groups::Groups,
    plot::RanksFigure,
    record::Run,
};

const EPOCHS: u32 = 60;
const QUICK_EPOCHS: u32 = 2;

/// An arbitrary seed. Group k takes the k-th seed after it.
const SEED: u64 = 1;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    command::run_with(include_str!("main.rs"), run)
}

fn run(Arguments { quick, folder }: &Arguments) -> Outcome {
    let job = MpiJob::start()?;
    let transport = job.world()?;
    let (rank, ranks) = (transport.rank(), transport.size());
    // Every rank unpacks the whole table, which is small, and keeps the people of its groups.
    let data = Data::load()?;
    let mut groups = Groups::of(&data.sample, rank, ranks, SEED)?;
    let mut fit = Fit::new(transport, data.sample.coefficients())?;
    // Only rank 0 knows the optimum, and shows a progress bar.
    let optimum = if rank == 0 { Some(data.optimum()?) } else { None };

    let epochs = if *quick { QUICK_EPOCHS } else { EPOCHS };
    let (steps, time) = watched(&mut fit, &mut groups, epochs, &data, optimum.as_ref())?;
    let counts = largest_counts(&mut fit, &job, groups.people())?;
    let fingerprint = fit.fingerprint()?;
    let (Some(optimum), Some(fingerprint)) = (optimum, fingerprint) else { return Ok(()) };

    let people = data.sample.counts.len();
    headline::print(&format!("{ranks} ranks, {people} person-years, {steps} steps"), time);
    let comparison = Comparison { data: &data, fitted: &fit.beta, optimum: &optimum };
    if !quick {
        comparison.print();
        command::make_folder(folder)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2⁵³")]
        let [ranks, steps, people, moments, moments_of_million] =
            [ranks as u64, steps, counts[0], counts[1], counts[2]].map(|count| count as f64);
        let seconds = 1000.0 * time.as_secs_f64() / steps;
        let run = Run { ranks, seconds, people, moments, moments_of_million };
        let runs = record::add(run, &folder.join("ranks.csv"))?;
        let cores = thread::available_parallelism()?.get();
        chart::save(&RanksFigure { runs: &runs, cores }, folder, "ranks")?;
    }
    println!("bits of coefficients and moments: {fingerprint:016x}");
    if *quick { Ok(()) } else { Ok(comparison.check()?) }
}

/// Fits β. Shows its progress on the rank that has the `optimum`. Returns the number of steps and the time.
fn watched(
    fit: &mut Fit,
    groups: &mut Groups,
    epochs: u32,
    data: &Data,
    optimum: Option<&Array1<f64>>,
) -> Outcome<(u64, Duration)> {
    let bar = match optimum {
        Some(optimum) => Some((progress::bar("fit", epochs.into())?, data.sample.loss(optimum))),
        None => None,
    };
    let clock = Instant::now();
    let mut watching = Duration::ZERO;
    let steps = fit.run(groups, epochs, |beta| {
        let start = Instant::now();
        if let Some((bar, floor)) = &bar {
            bar.set_message(format!("excess {:.1e}", data.sample.loss(beta) - floor));
            bar.inc(1);
        }
        watching += start.elapsed();
    })?;
    let time = clock.elapsed().saturating_sub(watching);
    if let Some((bar, _)) = bar {
        bar.finish();
    }
    Ok((steps, time))
}

/// Returns the numbers of people, of moments of β, and of moments of a tensor of a million elements, of the
/// rank that has most.
fn largest_counts(fit: &mut Fit, job: &MpiJob, people: usize) -> Outcome<[u64; 3]> {
    const MOMENTS: usize = 2;
    let mut other = ShardedOptimizer::new(job.world()?, Adamax::default());
    other.register("a million", &Array1::<f64>::zeros(1_000_000))?;
    let own = [people, fit.optimizer.own_parameters() * MOMENTS, other.own_parameters() * MOMENTS]
        .map(|count| count as u64);
    let mut of_all = vec![0; own.len() * other.size()];
    fit.optimizer.transport_mut().all_gather(&own, &mut of_all)?;
    let largest = |at| of_all.iter().skip(at).step_by(own.len()).copied().max().unwrap_or(0);
    Ok([largest(0), largest(1), largest(2)])
}
