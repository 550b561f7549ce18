//! The writer and the test.

use std::{
    env,
    error::Error,
    fs,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use adamax::{Adamax, Checkpoint, Optimizer};
use ndarray::Array1;

use crate::restricted::{can_restrict, restricted};

type Tested<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The variable that tells a writer where to write.
const PATH: &str = "ADAMAX_TEST_KILLED_PATH";
/// 16 kB, which take more than one call to write.
const LENGTH: usize = 2000;
/// Calls that change nothing on the disk. A writer that is killed at one of them leaves what it leaves at
/// the next other call. They are tried in one starting state only.
const HARMLESS: [&str; 12] = [
    "brk",
    "close",
    "fcntl",
    "futex",
    "getdents64",
    "mmap",
    "munmap",
    "newfstatat",
    "read",
    "readlink",
    "sigaltstack",
    "statx",
];
/// An owner who is not the one that runs the test, if that is root.
const STRANGER: u32 = 65534;

// The generations: what cannot be read, the previous file, the file, what the writer writes, and what
// the next writer writes.
const HIDDEN: u32 = 0;
const OLDER: u32 = 1;
const OLD: u32 = 2;
const NEW: u32 = 3;
const NEWEST: u32 = 4;

fn checkpoint(generation: u32) -> Result<Checkpoint<f64>, adamax::Error> {
    let values = Array1::from_elem(LENGTH, f64::from(generation));
    let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    checkpoint.add_parameter("values", &values)?;
    Ok(checkpoint)
}

pub(crate) fn main() -> ExitCode {
    let done = match env::var_os(PATH) {
        Some(path) => write(Path::new(&path)),
        None => test(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes one file, or several if a number is appended to the variable.
fn write(path: &Path) -> Tested {
    match env::var("ADAMAX_TEST_KILLED_FILES") {
        Err(_) => checkpoint(NEW)?.save_keeping_previous(path)?,
        Ok(files) => {
            for file in 0..files.parse::<u32>()? {
                checkpoint(NEW)?.save(path.with_extension(file.to_string()))?;
            }
        }
    }
    Ok(())
}

fn test() -> Tested {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !traced.is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is missing, or may not trace");
        return Ok(());
    }
    let lab = Lab::new()?;
    let restricts = can_restrict("true");
    if !restricts {
        println!("files that cannot be read are skipped: setpriv is missing, or may not do this");
    }
    lab.a_folder_is_listed_once()?;
    lab.files_and_folders_are_synced()?;

    let mut cases = Vec::new();
    for path in Standing::ALL {
        for previous in Standing::ALL {
            if restricts || (path != Standing::Unreadable && previous != Standing::Unreadable) {
                cases.push(Case { path, previous, links: true });
            }
        }
    }
    for path in [Standing::Whole, Standing::Link] {
        for previous in [Standing::Absent, Standing::Whole, Standing::Damaged] {
            cases.push(Case { path, previous, links: false });
        }
    }
    let next = AtomicUsize::new(0);
    let kills = thread::scope(|scope| {
        let work = || -> Tested<usize> {
            let mut kills = 0;
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                kills +=
                    lab.kill_everywhere(*case).map_err(|error| format!("{case:?}: {error}"))?;
            }
            Ok(kills)
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_fold(0, |sum, worker| -> Tested<usize> {
            Ok(sum + worker.join().map_err(|_| "a check failed")??)
        })
    })?;
    println!("{kills} writers were killed, in {} starting states", cases.len());
    Ok(())
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Absent,
    Whole,
    Damaged,
    Unreadable,
    /// A symbolic link to a whole file in another folder.
    Link,
    Folder,
    Fifo,
}

impl Standing {
    const ALL: [Self; 7] = [
        Standing::Absent,
        Standing::Whole,
        Standing::Damaged,
        Standing::Unreadable,
        Standing::Link,
        Standing::Folder,
        Standing::Fifo,
    ];

    fn is_refused(self) -> bool {
        matches!(self, Standing::Folder | Standing::Fifo)
    }

    fn is_whole(self) -> bool {
        matches!(self, Standing::Whole | Standing::Link)
    }
}

/// What is found at a path.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Nothing,
    File(Vec<u8>),
    Link(Vec<u8>),
    Folder,
    Other,
}

fn find(path: &Path) -> Tested<Found> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        metadata => metadata?.file_type(),
    };
    Ok(if kind.is_symlink() {
        Found::Link(fs::read(path)?)
    } else if kind.is_file() {
        Found::File(fs::read(path)?)
    } else if kind.is_dir() {
        Found::Folder
    } else {
        Found::Other
    })
}

impl Found {
    /// The same, with other bytes: a link stays a link.
    fn with(&self, bytes: &[u8]) -> Self {
        match self {
            Found::Link(_) => Found::Link(bytes.into()),
            _ => Found::File(bytes.into()),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Found::File(bytes) | Found::Link(bytes) => Some(bytes),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    path: Standing,
    previous: Standing,
    /// Hard links work.
    links: bool,
}

impl Case {
    fn is_ordinary(self) -> bool {
        self.path == Standing::Whole && self.previous == Standing::Whole && self.links
    }
}

/// A folder for all files, and what they hold.
struct Lab {
    folder: tempfile::TempDir,
    program: PathBuf,
    /// The bytes of each generation.
    files: Vec<Vec<u8>>,
    fifo: PathBuf,
}

impl Lab {
    fn new() -> Tested<Self> {
        // In memory if possible: there, syncing takes no time.
        let memory = Path::new("/dev/shm");
        let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir())?;
        // Others must be able to pass.
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755))?;
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status()?.success());
        let files = (HIDDEN..=NEWEST)
            .map(|generation| checkpoint(generation)?.to_bytes())
            .collect::<Result<_, _>>()?;
        Ok(Lab { folder, program: env::current_exe()?, files, fifo })
    }

    fn bytes(&self, generation: u32) -> &[u8] {
        &self.files[generation as usize]
    }

    fn stand(&self, path: &Path, standing: Standing, generation: u32) -> Tested {
        match standing {
            Standing::Absent => {}
            Standing::Whole => fs::write(path, self.bytes(generation))?,
            Standing::Damaged => {
                let mut bytes = self.bytes(generation).to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(path, bytes)?;
            }
            Standing::Unreadable => {
                fs::write(path, self.bytes(HIDDEN))?;
                fs::set_permissions(path, PermissionsExt::from_mode(0o000))?;
                // Root cannot read it either, after it has given up its rights.
                _ = chown(path, Some(STRANGER), Some(STRANGER));
            }
            Standing::Link => {
                let elsewhere = path.with_file_name("elsewhere");
                fs::create_dir_all(&elsewhere)?;
                let name = path.file_name().ok_or("no name")?;
                fs::write(elsewhere.join(name), self.bytes(generation))?;
                symlink(Path::new("elsewhere").join(name), path)?;
            }
            Standing::Folder => fs::create_dir(path)?,
            Standing::Fifo => fs::hard_link(&self.fifo, path)?,
        }
        Ok(())
    }

    fn trace(&self, case: Case, path: &Path, log: &Path, kill: Option<&Call>) -> Tested<Output> {
        let unreadable = [case.path, case.previous].contains(&Standing::Unreadable);
        let mut command = if unreadable { restricted("strace") } else { Command::new("strace") };
        command.current_dir(self.folder.path()).arg("-o").arg(log).env(PATH, path);
        if !case.links {
            command.args(["-e", "inject=link,linkat:error=EPERM"]);
        }
        if let Some(Call { name, count }) = kill {
            command.arg("-e").arg(format!("inject={name}:signal=KILL:when={count}"));
        }
        Ok(command.arg(&self.program).output()?)
    }

    /// Returns the number of kills.
    fn kill_everywhere(&self, case: Case) -> Tested<usize> {
        let calls = self.calls(case)?;
        for call in &calls {
            self.kill_at(case, call).map_err(|error| format!("killed at {call:?}: {error}"))?;
        }
        Ok(calls.len())
    }

    /// Lets a writer finish, and returns its system calls from the first that has to do with the path.
    fn calls(&self, case: Case) -> Tested<Vec<Call>> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let (path, previous) = (folder.path().join("run"), folder.path().join("run.prev"));
        self.stand(&path, case.path, OLD)?;
        self.stand(&previous, case.previous, OLDER)?;
        let before = (find(&path)?, find(&previous)?);
        let log = tempfile::NamedTempFile::new_in(&self.folder)?;
        let output = self.trace(case, &path, log.path(), None)?;

        let refused = case.path.is_refused() || case.previous.is_refused();
        if output.status.success() == refused {
            return Err(format!("{output:?}").into());
        }
        let after = (find(&path)?, find(&previous)?);
        if refused {
            assert_eq!(after, before, "{case:?}");
        } else {
            assert_eq!(after.0, before.0.with(self.bytes(NEW)), "{case:?}");
            let kept = if case.path.is_whole() { before.1.with(self.bytes(OLD)) } else { before.1 };
            assert_eq!(after.1, kept, "{case:?}");
        }
        assert_eq!(leftovers(folder.path())?, 0, "{case:?}");

        let mut calls: Vec<Call> = Vec::new();
        let mut begun = false;
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for line in fs::read_to_string(log.path())?.lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            let count = counts.entry(name.into()).or_default();
            *count += 1;
            begun |= line.contains(folder.path().to_str().ok_or("odd")?);
            let changes =
                !HARMLESS.contains(&name) && (name != "openat" || line.contains("O_CREAT"));
            // With two injections into one call, strace would take only one.
            let lethal = case.links || !name.starts_with("link");
            if begun && lethal && (changes || case.is_ordinary()) && name != "exit_group" {
                calls.push(Call { name: name.into(), count: *count });
            }
        }
        assert!(refused || calls.len() > 6, "{case:?}: {calls:?}");
        Ok(calls)
    }

    fn kill_at(&self, case: Case, call: &Call) -> Tested {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let (path, previous) = (folder.path().join("run"), folder.path().join("run.prev"));
        self.stand(&path, case.path, OLD)?;
        self.stand(&previous, case.previous, OLDER)?;
        let before = (find(&path)?, find(&previous)?);
        let output = self.trace(case, &path, Path::new("/dev/null"), Some(call))?;
        if output.status.code().is_some() {
            return Err(format!("was not killed: {output:?}").into());
        }

        let after = (find(&path)?, find(&previous)?);
        let new = before.0.with(self.bytes(NEW));
        let kept = before.1.with(self.bytes(OLD));
        let may_replace = !case.path.is_refused() && !case.previous.is_refused();
        let is_new = may_replace && after.0 == new;
        assert!(is_new || after.0 == before.0, "{case:?}, {call:?}: the file");
        let is_kept = is_new && case.path.is_whole() && after.1 == kept;
        assert!(is_kept || after.1 == before.1, "{case:?}, {call:?}: the previous file");

        // The promise in the words of a user: one of the two can be read, and is no older than before.
        let generation = |found: &Found| {
            let bytes = found.bytes()?;
            (OLDER..=NEW).rev().find(|&generation| self.bytes(generation) == bytes)
        };
        let best = |(path, previous): &(Found, Found)| generation(path).or(generation(previous));
        assert!(best(&after) >= best(&before), "{case:?}, {call:?}: an older generation");

        // The next writer goes on, and tidies up.
        if may_replace {
            checkpoint(NEWEST)?.save_keeping_previous(&path)?;
            assert_eq!(find(&path)?, before.0.with(self.bytes(NEWEST)), "{case:?}, {call:?}");
            assert_eq!(leftovers(folder.path())?, 0, "{case:?}, {call:?}");
        }
        Ok(())
    }

    /// A folder may hold many files. Listing it for each of them would be slow.
    fn a_folder_is_listed_once(&self) -> Tested {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let log = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut strace = Command::new("strace");
        strace.arg("-o").arg(log.path()).args(["-e", "trace=getdents64"]).arg(&self.program);
        strace.env(PATH, folder.path().join("run.0")).env("ADAMAX_TEST_KILLED_FILES", "5");
        assert!(strace.status()?.success());
        assert_eq!(fs::read_dir(&folder)?.count(), 5);
        let log = fs::read_to_string(log.path())?;
        let calls = log.lines().filter(|line| line.starts_with("getdents64")).count();
        // The second one finds that there are no more.
        assert_eq!(calls, 2, "{log}");
        Ok(())
    }

    /// A power failure must not undo the bytes, the new name, and the name of the previous file.
    fn files_and_folders_are_synced(&self) -> Tested {
        // A link leads to another folder, which is the third.
        for (previous, expected) in [(Standing::Whole, 2), (Standing::Link, 3)] {
            let folder = tempfile::tempdir_in(&self.folder)?;
            let (path, kept) = (folder.path().join("run"), folder.path().join("run.prev"));
            self.stand(&path, Standing::Whole, OLD)?;
            self.stand(&kept, previous, OLDER)?;
            let log = tempfile::NamedTempFile::new_in(&self.folder)?;
            let mut strace = Command::new("strace");
            strace.arg("-o").arg(log.path()).args(["-e", "trace=fsync"]).arg(&self.program);
            assert!(strace.env(PATH, &path).status()?.success());
            let log = fs::read_to_string(log.path())?;
            let calls = log.lines().filter(|line| line.starts_with("fsync")).count();
            assert_eq!(calls, expected, "{previous:?}: {log}");
        }
        Ok(())
    }
}

/// A system call: its name, and how often the program has made it until then.
#[derive(Debug)]
struct Call {
    name: String,
    count: usize,
}

/// Counts the temporary files in a folder and in its folder `elsewhere`.
fn leftovers(folder: &Path) -> Tested<usize> {
    let mut count = 0;
    for folder in [folder.to_owned(), folder.join("elsewhere")] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            count += usize::from(entry?.file_name().as_encoded_bytes().ends_with(b".tmp"));
        }
    }
    Ok(count)
}
