//! A table of runs on different numbers of ranks.

use std::{error::Error, fs, io::ErrorKind, path::Path};

/// One run. Counts are those of the rank that has most.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) ranks: f64,
    /// Seconds of 1000 steps.
    pub(crate) seconds: f64,
    /// People whose data the rank has.
    pub(crate) people: f64,
    /// Moments of the ten coefficients, and of a tensor of a million elements.
    pub(crate) moments: f64,
    pub(crate) moments_of_million: f64,
}

impl Run {
    fn to_array(self) -> [f64; 5] {
        let Run { ranks, seconds, people, moments, moments_of_million } = self;
        [ranks, seconds, people, moments, moments_of_million]
    }
}

const HEADER: [&str; 5] =
    ["ranks", "seconds per 1000 steps", "people", "moments", "moments of a million elements"];

/// Adds a run to the table in a file. Of runs on as many ranks, the fastest stays: other work on the machine
/// makes the others slow. Returns all runs, those on few ranks first.
pub(crate) fn add(run: Run, path: &Path) -> Result<Vec<Run>, Box<dyn Error>> {
    let mut runs = vec![run];
    match fs::read(path) {
        Ok(bytes) => {
            for row in csv::Reader::from_reader(&*bytes).deserialize() {
                let (ranks, seconds, people, moments, moments_of_million) = row?;
                runs.push(Run { ranks, seconds, people, moments, moments_of_million });
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
    }
    runs.sort_by(|a, b| a.ranks.total_cmp(&b.ranks).then(a.seconds.total_cmp(&b.seconds)));
    runs.dedup_by_key(|run| run.ranks);
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(HEADER)?;
    for run in &runs {
        writer.serialize(run.to_array())?;
    }
    writer.flush()?;
    Ok(runs)
}
