//! Writers that are killed or run out of disk space.

use std::{
    env,
    error::Error,
    fs,
    io::ErrorKind as Io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use adamax::{Adamax, Checkpoint, ErrorKind, Optimizer};
use ndarray::Array1;
use ndarray_rand::rand::Rng;

use crate::common::input;

type Tested = Result<(), Box<dyn Error>>;

/// The variable that tells a child process where to write. The child is this test program, which then
/// runs only [`writer`].
const PATH: &str = "ADAMAX_TEST_WRITER_PATH";
/// The variable that tells it how many generations to write.
const GENERATIONS: &str = "ADAMAX_TEST_WRITER_GENERATIONS";
/// The number of writers that are killed at a random moment. `tests/killed` has every moment; here,
/// they write for a while, and load each other's files.
const KILLS: usize = 50;
/// 256 kB: writing takes long enough to be interrupted.
const LENGTH: usize = 1 << 15;

/// A checkpoint whose numbers all equal its generation, so that a mix of two would be noticed.
#[allow(clippy::cast_precision_loss)] // small numbers
pub(crate) fn checkpoint(generation: u64) -> Result<Checkpoint<f64>, adamax::Error> {
    let values = Array1::from_elem(LENGTH, generation as f64);
    let optimizer = Optimizer::<f64>::new(Adamax::default());
    let mut checkpoint = Checkpoint::new(optimizer.snapshot());
    checkpoint.add_parameter("values", &values)?.add_note("generation", &generation.to_string())?;
    Ok(checkpoint)
}

/// Returns the generation of a file and checks that the file is whole.
pub(crate) fn generation(path: &Path) -> Result<u64, Box<dyn Error>> {
    let found = Checkpoint::load(path)?;
    let generation = found.note("generation").ok_or("no generation")?.parse()?;
    assert_eq!(found, checkpoint(generation)?);
    Ok(generation)
}

/// Saves one generation after the other.
#[test]
#[ignore = "the child process of the other tests"]
fn writer() -> Tested {
    let path = PathBuf::from(env::var_os(PATH).ok_or("not a child")?);
    let first = generation(&path)? + 1;
    let last = env::var(GENERATIONS)?.parse::<u64>()?.saturating_add(first);
    for generation in first..last {
        let checkpoint = checkpoint(generation)?;
        if generation % 2 == 0 {
            checkpoint.save(&path)?;
        } else {
            checkpoint.save_keeping_previous(&path)?;
        }
    }
    Ok(())
}

/// Starts a writer of so many generations.
pub(crate) fn as_writer(
    command: &mut Command,
    path: &Path,
    generations: u64,
) -> Result<Child, std::io::Error> {
    command
        .args(["--exact", "crash::writer", "--ignored", "--nocapture"])
        .env(PATH, path)
        .env(GENERATIONS, generations.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

#[test]
fn whenever_a_writer_is_killed_there_is_a_whole_file() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let previous = folder.path().join("run.safetensors.prev");
    checkpoint(0)?.save(&path)?;
    let rng = &mut input::rng(3);
    let (mut newest, mut kept, mut killed_while_writing) = (0, None, 0);
    for _ in 0..KILLS {
        let mut child = as_writer(&mut Command::new(env::current_exe()?), &path, u64::MAX)?;
        // Wait until it is at work, then kill it at a random moment.
        let started = Instant::now();
        while generation(&path)? == newest && started.elapsed() < Duration::from_secs(30) {}
        std::thread::sleep(Duration::from_micros(rng.random_range(0..10_000)));
        child.kill()?;
        child.wait()?;

        let found = generation(&path)?;
        assert!(found > newest, "generation {found} after {newest}");
        // An odd generation keeps the one before it. The writer may be killed between both, but it has come to
        // an end with all odd generations up to this one. A writer that has none leaves what was kept before it.
        let complete = found.saturating_sub(1 + found % 2);
        let least = if complete > newest { Some(complete - 1) } else { kept };
        if let Some(least) = least {
            let found_kept = generation(&previous)?;
            assert!((least..found).contains(&found_kept), "{found_kept} is kept of {found}");
            kept = Some(found_kept);
        }
        newest = found;
        killed_while_writing += usize::from(leftovers(folder.path())? > 0);
    }
    assert!(
        killed_while_writing > KILLS / 10,
        "only {killed_while_writing} were killed while writing"
    );

    // The next process removes what the last one has left.
    let mut child = as_writer(&mut Command::new(env::current_exe()?), &path, 1)?;
    assert!(child.wait()?.success());
    assert_eq!(leftovers(folder.path())?, 0, "leftovers are not removed");
    Ok(())
}

/// Each of two processes finds whole files, and none of its own are taken away from it for good.
#[test]
fn two_writers_of_one_path_do_not_fail() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    checkpoint(0)?.save(&path)?;
    // Several times, because they meet when they begin.
    for _ in 0..8 {
        let start = || as_writer(&mut Command::new(env::current_exe()?), &path, 10);
        let mut writers = [start()?, start()?, start()?];
        for writer in &mut writers {
            assert!(writer.wait()?.success(), "a writer has failed");
        }
        generation(&path)?;
        generation(&folder.path().join("run.safetensors.prev"))?;
    }
    assert_eq!(leftovers(folder.path())?, 0);
    Ok(())
}

/// Counts the temporary files that writers have left.
fn leftovers(folder: &Path) -> Result<usize, std::io::Error> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        count += usize::from(name != "run.safetensors" && name != "run.safetensors.prev");
    }
    Ok(count)
}

/// These errors happen after the new file has been written.
#[test]
fn a_folder_in_the_way_leaves_the_old_file() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let previous = folder.path().join("run.safetensors.prev");
    checkpoint(0)?.save(&path)?;
    fs::create_dir(&previous)?;
    let error = checkpoint(1)?.save_keeping_previous(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(generation(&path)?, 0);

    let error = checkpoint(1)?.save(&previous).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(previous.is_dir());
    assert_eq!(leftovers(folder.path())?, 0, "a temporary file is left");
    Ok(())
}

/// A limit on the size of files acts like a full disk: some bytes are written, the next are refused.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    checkpoint(0)?.save(&path)?;
    let before = fs::read(&path)?;
    let mut shell = Command::new("sh");
    // Blocks are 512 or 1024 bytes, so the limit is less than the file needs and more than nothing.
    shell.args(["-c", r#"trap '' XFSZ; ulimit -f 100; exec "$0" "$@""#]).arg(env::current_exe()?);
    shell.args(["--exact", "crash::writer_on_a_full_disk", "--ignored"]).env(PATH, &path);
    let output = shell.output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(fs::read(&path)?, before);
    assert_eq!(fs::read_dir(&folder)?.count(), 1, "something else was left");
    Ok(())
}

#[test]
#[ignore = "the child process of another test"]
fn writer_on_a_full_disk() -> Tested {
    let path = PathBuf::from(env::var_os(PATH).ok_or("not a child")?);
    for result in [checkpoint(1)?.save(&path), checkpoint(1)?.save_keeping_previous(&path)] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.ok_or("no source")?.kind(), Io::FileTooLarge);
    }
    Ok(())
}
