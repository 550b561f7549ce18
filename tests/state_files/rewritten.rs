//! Files that another program writes in place while they are read. A mix of two files never passes.

use std::{
    error::Error,
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use adamax::{Adamax, Average, Checkpoint, Error as AdamaxError, ErrorKind, Optimizer};
use ndarray::array;
use ndarray_rand::rand::Rng;

use crate::{common::input, crash};

type Tested = Result<(), Box<dyn Error>>;

/// Two runs whose files have equally many bytes. They differ in every part: rules, counters, moments,
/// parameters, averages, notes.
fn two_runs() -> Result<[Checkpoint<f64>; 2], AdamaxError> {
    let run = |rate: f64, steps: u64, value: f64| {
        let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(rate).build()?);
        let mut x = array![value, -value, 0.5];
        let slot = optimizer.register("x", &x)?;
        for _ in 0..steps {
            optimizer.step(&mut [slot.bind(&mut x, &array![value, 1.0, -value])])?;
        }
        let mut average = Average::new(0.5, &x)?;
        average.update(&x)?;
        let mut checkpoint = Checkpoint::new(optimizer.snapshot());
        checkpoint
            .add_parameter("x", &x)?
            .add_average("x", &average)?
            .add_value("steps", &steps)?;
        Ok::<_, AdamaxError>(checkpoint)
    };
    Ok([run(0.5, 3, 0.25)?, run(0.2, 5, 1.75)?])
}

/// Asserts that a file is refused, unless it is one of the two.
fn assert_no_mix(file: &[u8], whole: &[Vec<u8>; 2], place: &Path) -> Tested {
    let found = Checkpoint::<f64>::from_bytes(file);
    if whole.iter().any(|whole| whole == file) {
        assert_eq!(found?.to_bytes()?, file);
    } else {
        let error = found.expect_err("a mix of two files");
        assert_ne!(error.kind(), ErrorKind::Io, "{error}");
        fs::write(place, file)?;
        Checkpoint::load_tensors(place).expect_err("a mix of two files");
    }
    Ok(())
}

/// Everything that a reader can find if another program writes from the first byte to the last, and every
/// mix of blocks.
#[test]
fn no_mix_of_two_files_is_read() -> Tested {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("mix");
    let [a, b] = two_runs()?;
    let whole = [a.to_bytes()?, b.to_bytes()?];
    let [old, new] = &whole;
    assert_eq!(old.len(), new.len(), "one can be written over the other");
    for end in 0..=old.len() {
        for (first, second) in [(old, new), (new, old)] {
            assert_no_mix(&[&first[..end], &second[end..]].concat(), &whole, &place)?;
        }
    }
    let rng = &mut input::rng(7);
    for block in [1, 4, 8, 64, 256] {
        for _ in 0..200 {
            let pairs = old.chunks(block).zip(new.chunks(block));
            let mix: Vec<_> = pairs.map(|(a, b)| if rng.random() { a } else { b }).collect();
            assert_no_mix(&mix.concat(), &whole, &place)?;
        }
    }
    Ok(())
}

/// The writer never rests, so that many reads meet it at work.
#[test]
fn a_file_that_is_rewritten_all_the_time_is_read_whole_or_refused() -> Tested {
    const READS: usize = 30;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run");
    let runs = [crash::checkpoint(1)?, crash::checkpoint(2)?];
    let mut files = Vec::new();
    let mut tensors = Vec::new();
    for run in &runs {
        run.save(&path)?;
        files.push(fs::read(&path)?);
        tensors.push(Checkpoint::load_tensors(&path)?);
    }
    assert_eq!(files[0].len(), files[1].len());
    let stop = AtomicBool::new(false);
    let read = thread::scope(|scope| {
        let writer = scope.spawn(|| -> std::io::Result<()> {
            let mut file = File::options().write(true).open(&path)?;
            for bytes in files.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                file.rewind()?;
                file.write_all(bytes)?;
            }
            Ok(())
        });
        let read: Vec<_> = (0..READS)
            .map(|_| (Checkpoint::load(&path), Checkpoint::load_tensors(&path)))
            .collect();
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("no panic").map(|()| read)
    })?;
    let assert_whole = |result: Result<Checkpoint, AdamaxError>, whole: &[Checkpoint]| match result
    {
        Ok(found) => assert!(whole.contains(&found), "a mix of two files"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Format, "{error}"),
    };
    for (run, tensors_alone) in read {
        assert_whole(run, &runs);
        assert_whole(tensors_alone, &tensors);
    }
    Ok(())
}
