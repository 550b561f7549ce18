//! Other file systems than that of the temporary folder: in memory, in layers, full, read-only.
//!
//! The tests mount them in a process of their own, where nobody else sees them and nothing is left. A
//! system that does not let the user do this skips them.

use std::{
    env,
    error::Error,
    fs,
    io::ErrorKind as Io,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use adamax::{Checkpoint, Error as AdamaxError, ErrorKind};

use crate::{
    crash,
    places::{generation, names},
};

type Tested = Result<(), Box<dyn Error>>;

/// The variable that tells a child process where the file system is mounted.
const FOLDER: &str = "ADAMAX_TEST_MOUNTED";

/// Returns a command that runs in a process which may mount what only this process sees.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    // Others than root become root in a world of their own.
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() != 0) {
        command.arg("--map-root-user");
    }
    command
}

/// Runs the ignored test `name` of this file after `mount`, lines of a shell in which `$1` is a folder.
fn mounted(mount: &str, name: &str) -> Tested {
    let folder = tempfile::tempdir()?;
    let shell = |script: &str| {
        let mut command = unshare();
        command.args(["sh", "-ec", script, "sh"]).arg(folder.path());
        command
    };
    if !shell(mount).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: this user or this system cannot do: {mount}");
        return Ok(());
    }
    let mut child =
        shell(&format!(r#"{mount}; folder=$1; shift; export {FOLDER}="$folder"; exec "$@""#));
    child.arg(env::current_exe()?).args(["--exact", &format!("file_systems::{name}"), "--ignored"]);
    let output = child.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    Ok(())
}

/// The folder of a child process.
fn folder() -> Result<PathBuf, Box<dyn Error>> {
    Ok(env::var_os(FOLDER).ok_or("not a child of another test")?.into())
}

/// Asserts that the system has refused to write a file for this reason.
fn assert_refused(result: Result<(), AdamaxError>, reason: Io, path: &Path) {
    let error = result.expect_err("the system refuses");
    assert_eq!(error.kind(), ErrorKind::Io);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot write {}: ", path.display())), "{text}");
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(source.map(std::io::Error::kind), Some(reason), "{text}");
}

// ---------------------------------------------------------------- in memory, in layers

/// Saves and loads in each way.
fn everything_works_in(folder: &Path) -> Tested {
    let place = |name: &str| folder.join(name);
    generation("1")?.save(place("run"))?;
    fs::set_permissions(place("run"), PermissionsExt::from_mode(0o640))?;
    generation("2")?.save_keeping_previous(place("run"))?;
    generation("3")?.save_keeping_previous(place("run"))?;
    assert_eq!(Checkpoint::load(place("run"))?, generation("3")?);
    assert_eq!(Checkpoint::load(place("run.prev"))?, generation("2")?);
    assert_eq!(fs::metadata(place("run"))?.mode() & 0o777, 0o640);
    symlink("run", place("latest"))?;
    generation("4")?.save(place("latest"))?;
    assert_eq!(Checkpoint::load(place("run"))?, generation("4")?);
    assert_eq!(names(folder)?, ["latest", "run", "run.prev"]);
    Ok(())
}

#[test]
fn shared_memory() -> Tested {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) => everything_works_in(folder.path()),
        Err(error) => {
            println!("skipped: /dev/shm: {error}");
            Ok(())
        }
    }
}

#[test]
fn a_file_system_in_memory() -> Tested {
    mounted(r#"mount -t tmpfs none "$1""#, "everything_works")
}

#[test]
#[ignore = "the child process of another test"]
fn everything_works() -> Tested {
    everything_works_in(&folder()?)
}

/// As in a container: the upper layer is written, and the lower one is not.
const LAYERS: &str = r#"mount -t tmpfs none "$1"; cd "$1"; mkdir lower upper work all;
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay all"#;

#[test]
fn layers() -> Tested {
    mounted(LAYERS, "a_file_of_the_lower_layer_stays")
}

#[test]
#[ignore = "the child process of another test"]
fn a_file_of_the_lower_layer_stays() -> Tested {
    let place = |name: &str| folder().map(|folder| folder.join(name));
    everything_works_in(&place("all")?)?;
    for file in ["below", "below.prev"] {
        generation("1")?.save(place("lower")?.join(file))?;
    }
    let old = fs::read(place("lower/below")?)?;
    generation("2")?.save_keeping_previous(place("all/below")?)?;
    assert_eq!(Checkpoint::load(place("all/below")?)?, generation("2")?);
    assert_eq!(Checkpoint::load(place("all/below.prev")?)?, generation("1")?);
    assert_eq!(fs::read(place("lower/below")?)?, old);
    Ok(())
}

/// No file system has hard links to another one, so the old file is copied.
#[test]
fn the_previous_file_on_another_file_system() -> Tested {
    mounted(r#"mkdir -p "$1/other"; mount -t tmpfs none "$1/other""#, "the_old_file_is_copied")
}

#[test]
#[ignore = "the child process of another test"]
fn the_old_file_is_copied() -> Tested {
    let place = |name: &str| folder().map(|folder| folder.join(name));
    symlink("other/kept", place("run.prev")?)?;
    generation("1")?.save(place("run")?)?;
    fs::set_permissions(place("run")?, PermissionsExt::from_mode(0o640))?;
    for (new, old) in [("2", "1"), ("3", "2")] {
        generation(new)?.save_keeping_previous(place("run")?)?;
        assert_eq!(Checkpoint::load(place("run")?)?, generation(new)?);
        assert_eq!(Checkpoint::load(place("other/kept")?)?, generation(old)?);
        assert_eq!(fs::metadata(place("other/kept")?)?.mode() & 0o777, 0o640);
    }
    assert_eq!(names(&folder()?)?, ["other", "run", "run.prev"]);
    assert_eq!(names(&place("other")?)?, ["kept"]);
    Ok(())
}

// ---------------------------------------------------------------- full, read-only

#[test]
fn a_full_file_system() -> Tested {
    mounted(r#"mount -t tmpfs -o size=64k none "$1""#, "nothing_else_fits")
}

/// The file of `crash` has 256 kB.
#[test]
#[ignore = "the child process of another test"]
fn nothing_else_fits() -> Tested {
    let (folder, large) = (folder()?, crash::checkpoint(1)?);
    let path = folder.join("run");
    generation("1")?.save(&path)?;
    generation("2")?.save_keeping_previous(&path)?;
    assert_refused(large.save(&path), Io::StorageFull, &path);
    assert_refused(large.save_keeping_previous(&path), Io::StorageFull, &path);
    assert_refused(large.save(folder.join("new")), Io::StorageFull, &folder.join("new"));
    // Where another program has taken all of it, a small file does not fit either.
    let full = fs::write(folder.join("other"), vec![0; 1 << 16]).unwrap_err();
    assert_eq!(full.kind(), Io::StorageFull);
    assert_refused(generation("3")?.save_keeping_previous(&path), Io::StorageFull, &path);
    assert_eq!(Checkpoint::load(&path)?, generation("2")?);
    assert_eq!(Checkpoint::load(folder.join("run.prev"))?, generation("1")?);
    assert_eq!(names(&folder)?, ["other", "run", "run.prev"]);
    fs::remove_file(folder.join("other"))?;
    generation("3")?.save_keeping_previous(&path)?;
    assert_eq!(Checkpoint::load(&path)?, generation("3")?);
    assert_eq!(Checkpoint::load(folder.join("run.prev"))?, generation("2")?);
    Ok(())
}

/// The folder is one name, the two files are two, and there is room for one more: a second name of the
/// old file can be had, or a new file, but not both.
#[test]
fn a_file_system_without_free_names() -> Tested {
    mounted(r#"mount -t tmpfs -o nr_inodes=4 none "$1""#, "no_other_name_is_free")
}

#[test]
#[ignore = "the child process of another test"]
fn no_other_name_is_free() -> Tested {
    let folder = folder()?;
    let path = folder.join("run");
    generation("1")?.save(&path)?;
    generation("2")?.save_keeping_previous(&path)?;
    assert_refused(generation("3")?.save_keeping_previous(&path), Io::StorageFull, &path);
    assert_eq!(Checkpoint::load(&path)?, generation("2")?);
    assert_eq!(Checkpoint::load(folder.join("run.prev"))?, generation("1")?);
    assert_eq!(names(&folder)?, ["run", "run.prev"]);
    generation("3")?.save(&path)?;
    assert_eq!(Checkpoint::load(&path)?, generation("3")?);
    Ok(())
}

#[test]
fn a_read_only_file_system() -> Tested {
    mounted(r#"mount -t tmpfs none "$1""#, "nothing_can_be_written")
}

#[test]
#[ignore = "the child process of another test"]
fn nothing_can_be_written() -> Tested {
    let folder = folder()?;
    let path = folder.join("run");
    generation("1")?.save(&path)?;
    let closed = Command::new("mount").args(["-o", "remount,ro"]).arg(&folder).status()?;
    assert!(closed.success());
    assert_refused(generation("2")?.save(&path), Io::ReadOnlyFilesystem, &path);
    assert_refused(generation("2")?.save_keeping_previous(&path), Io::ReadOnlyFilesystem, &path);
    assert_eq!(Checkpoint::load(&path)?, generation("1")?);
    assert_eq!(names(&folder)?, ["run"]);
    Ok(())
}
