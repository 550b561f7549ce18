//! Resumes an interrupted training from a checkpoint, with the same bits.
//!
//! ```text
//! cargo run --release --features safetensors --example resume
//! ```
//! A small network learns a sine from random points, for about 20 seconds. Every
//! 100 steps the program saves model, optimizer and step number to one file,
//! `run.safetensors`. Stop it with Ctrl-C, which saves first, or with `kill -9`,
//! which loses the steps since the last save. Start the program again: it goes on
//! from the step that it prints. At the end it prints a fingerprint of all
//! parameters and moments, which is that of a run without interruption. Remove
//! the file to start anew. The points of a step are drawn from a generator that
//! is seeded by the step number, so the order of the data need not be saved.
//!
//! `--quick` is a test. The program starts itself repeatedly for a short run, with
//! a crash each time, until the run is complete, and compares the result with an
//! uninterrupted run. The exit code is not zero if the fingerprints differ.

#[path = "common/mod.rs"]
mod common;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use adamax::{
    Adamax, Checkpoint, Optimizer, Slot,
    ndarray::{Array, Array1, Array2, Axis, Ix1, Ix2},
};
use lexopt::Parser;
use ndarray_rand::{
    RandomExt,
    rand::{SeedableRng, rngs::StdRng},
    rand_distr::{StandardNormal, Uniform},
};

use crate::common::{
    command::{self, Options},
    headline, progress,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The steps of a run that is long enough to be stopped by hand.
const STEPS: u64 = 6_000;
/// The steps of a run for `--quick`.
const FEW_STEPS: &str = "600";
/// The name of the state file.
const FILE: &str = "run.safetensors";
const SAVE_EVERY: u64 = 100;
const HIDDEN: usize = 128;
/// Number of points in one step.
const BATCH: u16 = 512;
/// The mean square error must end below this bound. An output of 0 has an error of 0.5.
const GOOD: f64 = 0.01;

fn main() -> ExitCode {
    command::run_with(include_str!("resume.rs"), run)
}

fn run(options: &Settings) -> Outcome<()> {
    if options.quick {
        return compare_with_an_uninterrupted_run();
    }
    command::make_folder(&options.folder)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    train(options, &interrupted)
}

struct Settings {
    folder: PathBuf,
    steps: u64,
    crash_after: Option<u64>,
    quick: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let folder = command::own_folder(Path::new("target"));
        Settings { folder, steps: STEPS, crash_after: None, quick: false }
    }
}

impl Options for Settings {
    fn describe() -> Vec<[String; 2]> {
        vec![
            ["--steps N".into(), format!("the steps of the whole run [default: {STEPS}]")],
            ["--stop-after N".into(), "a simulated crash after N steps [default: none]".into()],
            ["--out DIR".into(), format!("the file is DIR/resume/{FILE} [default: target]")],
            ["--quick".into(), "a test with short runs, in a temporary folder".into()],
        ]
    }

    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match name {
            "steps" => self.steps = command::number(name, parser)?,
            "stop-after" => self.crash_after = Some(command::number(name, parser)?),
            "out" => self.folder = command::own_folder(&command::folder(name, parser)?),
            "quick" => self.quick = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Trains to the end of the run, starting from the file if it exists.
fn train(options: &Settings, interrupted: &AtomicBool) -> Outcome<()> {
    let Settings { folder, steps, crash_after, .. } = options;
    let path = &folder.join(FILE);
    let mut training = Training::new()?;
    if path.exists() {
        training.take_over(&Checkpoint::load(path)?)?;
        println!("read {}", path.display());
    }
    if training.step < *steps {
        println!("going on from step {} of {steps}; Ctrl-C saves and stops", training.step);
    }
    let first = training.step;
    let clock = Instant::now();
    let bar = progress::bar("train", *steps)?;
    while training.step < *steps {
        if crash_after.is_some_and(|steps| training.step - first >= steps) {
            exit(CRASHED);
        }
        training.advance()?;
        bar.set_position(training.step);
        if interrupted.load(Ordering::Relaxed) {
            training.checkpoint()?.save(path)?;
            bar.abandon();
            println!("stopped at step {}, saved to", training.step);
            println!("  {}", path.display());
            println!("To go on, start the program again. To start anew, remove the file first.");
            return Ok(());
        }
        if training.step % SAVE_EVERY == 0 || training.step == *steps {
            training.checkpoint()?.save(path)?;
        }
    }
    bar.finish();
    if training.step > first {
        let (steps, parameters) = (training.step - first, training.network.size());
        let sizes = format!("{BATCH} points a step, {parameters} parameters, {steps} steps");
        headline::print(&sizes, clock.elapsed());
    }
    let error = training.network.error(&points(training.step, 1_000));
    println!("mean square error {error:.1e}");
    println!("{FINGERPRINT}{:016x}", training.fingerprint()?);
    println!("The run is complete at step {}. To start anew, remove its file:", training.step);
    println!("  {}", path.display());
    if error < GOOD { Ok(()) } else { Err("the network did not learn the sine".into()) }
}

/// The beginning of the line that must be the same for each run.
const FINGERPRINT: &str = "fingerprint ";

/// The exit code of a simulated crash.
const CRASHED: i32 = 3;

/// Runs this program to the end, once without interruption and once with crashes, and compares.
fn compare_with_an_uninterrupted_run() -> Outcome<()> {
    let folder = env::temp_dir().join(format!("adamax-resume-{}", std::process::id()));
    command::make_folder(&folder)?;
    let result = compare_in(&folder);
    fs::remove_dir_all(&folder)
        .map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    result
}

fn compare_in(folder: &Path) -> Outcome<()> {
    let program = env::current_exe()?;
    let start = |folder: &Path| {
        let mut command = Command::new(&program);
        command.args(["--steps", FEW_STEPS, "--out"]).arg(folder);
        command
    };
    let whole = start(&folder.join("whole")).output()?;
    if !whole.status.success() {
        return Err(failure(&whole.stderr));
    }
    let expected = String::from_utf8(whole.stdout)?;
    println!("uninterrupted:\n{}", indented(&expected));

    let folder = folder.join("interrupted");
    let path = command::own_folder(&folder).join(FILE);
    // Kill the process from outside at an arbitrary moment.
    let mut killed = start(&folder).stdout(Stdio::null()).spawn()?;
    while !path.exists() && killed.try_wait()?.is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    killed.kill()?;
    killed.wait()?;
    // Then simulate crashes, at different distances from the last save.
    for starts in 1.. {
        let crash_after = (120 + 31 * starts).to_string();
        let output = start(&folder).args(["--stop-after", &crash_after]).output()?;
        let found = String::from_utf8(output.stdout)?;
        println!("restart {starts}:\n{}", indented(&found));
        match output.status.code() {
            Some(CRASHED) => {}
            Some(0) if fingerprint(&found).is_some_and(|it| fingerprint(&expected) == Some(it)) => {
                println!("same bits as the uninterrupted run");
                return Ok(());
            }
            Some(0) => return Err("the interrupted run gave another result".into()),
            _ => return Err(failure(&output.stderr)),
        }
    }
    Ok(())
}

/// Returns the error for a run that failed, with what the run wrote to stderr.
fn failure(message: &[u8]) -> Box<dyn Error> {
    format!("a run failed: {}", String::from_utf8_lossy(message).trim_end()).into()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn fingerprint(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with(FINGERPRINT))
}

/// One hidden layer: y = v·tanh(w·x + b).
struct Network {
    w: Array1<f64>,
    b: Array1<f64>,
    v: Array2<f64>,
}

impl Network {
    /// Returns the number of parameters.
    fn size(&self) -> usize {
        self.w.len() + self.b.len() + self.v.len()
    }

    /// Returns the hidden layer and the output at these points.
    fn forward(&self, x: &Array1<f64>) -> (Array2<f64>, Array1<f64>) {
        let x = x.view().insert_axis(Axis(1));
        let hidden = (&x * &self.w + &self.b).mapv(f64::tanh);
        let y = hidden.dot(&self.v).index_axis_move(Axis(1), 0);
        (hidden, y)
    }

    /// Returns the mean square error at these points.
    fn error(&self, x: &Array1<f64>) -> f64 {
        let (_, y) = self.forward(x);
        (&y - &x.mapv(f64::sin)).mapv(|e| e * e).mean().unwrap_or(f64::NAN)
    }

    /// Returns the gradient of half the mean square error of a batch.
    fn gradient(&self, x: &Array1<f64>) -> Network {
        let (hidden, y) = self.forward(x);
        let error = ((y - x.mapv(f64::sin)) / f64::from(BATCH)).insert_axis(Axis(1));
        let back = error.dot(&self.v.t()) * hidden.mapv(|h| 1.0 - h * h);
        Network { w: x.dot(&back), b: back.sum_axis(Axis(0)), v: hidden.t().dot(&error) }
    }
}

struct Training {
    network: Network,
    optimizer: Optimizer,
    slots: (Slot<Ix1>, Slot<Ix1>, Slot<Ix2>),
    step: u64,
}

impl Training {
    fn new() -> Outcome<Self> {
        let rng = &mut StdRng::seed_from_u64(0);
        let network = Network {
            w: Array::random_using(HIDDEN, StandardNormal, rng),
            b: Array::random_using(HIDDEN, StandardNormal, rng),
            v: Array::zeros((HIDDEN, 1)),
        };
        let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.02).build()?);
        let slots = (
            optimizer.register("w", &network.w)?,
            optimizer.register("b", &network.b)?,
            optimizer.register("v", &network.v)?,
        );
        Ok(Training { network, optimizer, slots, step: 0 })
    }

    fn advance(&mut self) -> Outcome<()> {
        let gradient = self.network.gradient(&points(self.step, BATCH));
        let Network { w, b, v } = &mut self.network;
        self.optimizer.step(&mut [
            self.slots.0.bind(w, &gradient.w),
            self.slots.1.bind(b, &gradient.b),
            self.slots.2.bind(v, &gradient.v),
        ])?;
        self.step += 1;
        Ok(())
    }

    fn checkpoint(&self) -> Outcome<Checkpoint> {
        let mut checkpoint = Checkpoint::new(self.optimizer.snapshot());
        checkpoint
            .add_parameter("w", &self.network.w)?
            .add_parameter("b", &self.network.b)?
            .add_parameter("v", &self.network.v)?
            .add_value("step", &self.step)?;
        Ok(checkpoint)
    }

    fn take_over(&mut self, checkpoint: &Checkpoint) -> Outcome<()> {
        checkpoint.assign_parameter("w", &mut self.network.w)?;
        checkpoint.assign_parameter("b", &mut self.network.b)?;
        checkpoint.assign_parameter("v", &mut self.network.v)?;
        self.optimizer.restore(checkpoint.snapshot())?;
        self.step = checkpoint.value("step")?;
        Ok(())
    }

    /// Returns a hash (FNV-1a) of the file, which changes if one bit changes.
    fn fingerprint(&self) -> Outcome<u64> {
        let mix = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Ok(self.checkpoint()?.to_bytes()?.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }
}

/// Returns the random points of one step, in [−π, π).
fn points(step: u64, count: u16) -> Array1<f64> {
    let range = Uniform::new(-std::f64::consts::TAU / 2.0, std::f64::consts::TAU / 2.0);
    let range = range.expect("a range");
    Array::random_using(usize::from(count), range, &mut StdRng::seed_from_u64(step + 1))
}
