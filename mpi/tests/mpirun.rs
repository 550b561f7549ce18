//! All checks over MPI, and a run that is killed and started again. `.ci/check_mpi` starts this program
//! with `mpirun`.
//!
//! ```text
//! mpirun -n 3 mpirun-… checks FOLDER
//! mpirun -n 3 mpirun-… train FOLDER STEPS [RANK STEP]      rank RANK dies in step STEP
//! ```
//! Without arguments, as `cargo test` starts it, it runs the checks on one rank.

mod checks;

use adamax::{Adamax, Checkpoint, MaxNorm};
use adamax_mpi::{MpiJob, MpiTransport, ShardedOptimizer, Transport};
use ndarray::Array2;
use std::{env, error::Error, fs, path::Path, process};

fn main() -> Result<(), Box<dyn Error>> {
    let job = MpiJob::start()?;
    let arguments: Vec<_> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["checks", folder] => run_checks(&job, Path::new(folder)),
        ["train", folder, steps] => train(&job, Path::new(folder), steps.parse()?, None),
        ["train", folder, steps, rank, step] => {
            let death = Some((rank.parse()?, step.parse()?));
            train(&job, Path::new(folder), steps.parse()?, death)
        }
        _ => run_checks(&job, tempfile::tempdir()?.path()),
    }
}

fn run_checks(job: &MpiJob, folder: &Path) -> Result<(), Box<dyn Error>> {
    let checks = checks::all::<MpiTransport>();
    let count = checks.len();
    let mut last = job.world()?;
    for (number, (name, check)) in checks.into_iter().enumerate() {
        let folder = folder.join(number.to_string());
        fs::create_dir_all(&folder)?;
        let mut transport = job.world()?;
        // A rank that fails ends by itself. `mpirun` then ends the job.
        check(&mut transport, &folder);
        if transport.rank() == 0 {
            println!("ok: {name}");
        }
    }
    let mut of_all = vec![0; last.size()];
    last.all_gather(&[1], &mut of_all)?;
    if last.rank() == 0 {
        println!("{count} checks passed on {} ranks", last.size());
    }
    Ok(())
}

/// Trains, and saves after every step. Goes on from the last file, if there is one.
fn train(
    job: &MpiJob,
    folder: &Path,
    steps: u32,
    death: Option<(usize, u32)>,
) -> Result<(), Box<dyn Error>> {
    let path = folder.join("run.safetensors");
    let transport = job.world()?;
    let rank = transport.rank();
    let mut x = Array2::<f64>::from_elem((40, 700), 1.0);
    let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
    optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
    let slot = optimizer.register("x", &x)?;
    let mut first = 0;
    if path.exists() {
        let checkpoint = Checkpoint::load(&path)?;
        checkpoint.assign_parameter("x", &mut x)?;
        first = checkpoint.value("step")?;
        optimizer.restore(checkpoint.snapshot())?;
    }
    for step in first..steps {
        let target = f64::from(u32::try_from(rank)?) + 0.1 * f64::from(step % 7);
        let gradient = x.mapv(|x| (x - target).sin() + 0.3);
        if death == Some((rank, step)) {
            // Without a word, as the kernel kills a process that needs too much memory.
            process::abort();
        }
        optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
        optimizer.save_with(|snapshot| {
            let mut checkpoint = Checkpoint::new(snapshot);
            checkpoint.add_parameter("x", &x)?.add_value("step", &(step + 1))?;
            checkpoint.save(&path)
        })?;
    }
    Ok(())
}
