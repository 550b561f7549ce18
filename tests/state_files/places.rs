//! Everything that can stand at the path of a file and around it: links, names, modes, other files.

use std::{error::Error, fs, path::Path, thread};

use adamax::{Checkpoint, ErrorKind};

use crate::sample;
#[cfg(target_os = "linux")]
use crate::{crash, restricted};

type Tested = Result<(), Box<dyn Error>>;

/// An owner who is not the one that runs the tests.
#[cfg(unix)]
const STRANGER: u32 = 65534;

pub(crate) fn generation(text: &str) -> Result<Checkpoint<f64>, adamax::Error> {
    let mut checkpoint = sample::small()?;
    checkpoint.add_note("generation", text)?;
    Ok(checkpoint)
}

pub(crate) fn names(folder: &Path) -> Result<Vec<String>, std::io::Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// This is what the previous generation is for: it survives until there is another whole one.
#[test]
fn a_damaged_or_absent_file_does_not_replace_the_previous_one() -> Tested {
    let folder = tempfile::tempdir()?;
    let (path, previous) = (folder.path().join("run"), folder.path().join("run.prev"));
    generation("1")?.save(&path)?;
    generation("2")?.save_keeping_previous(&path)?;
    let whole = fs::read(&path)?;
    let mut flipped = whole.clone();
    flipped[whole.len() - 20] ^= 4;
    let model = crate::hostile::file("{}", &[]);
    for damaged in [&b""[..], b"{", &whole[..whole.len() / 2], &flipped, &model] {
        fs::write(&path, damaged)?;
        generation("3")?.save_keeping_previous(&path)?;
        assert_eq!(Checkpoint::load(&previous)?, generation("1")?);
        assert_eq!(Checkpoint::load(&path)?, generation("3")?);
        fs::remove_file(&path)?;
        generation("3")?.save_keeping_previous(&path)?;
        assert_eq!(Checkpoint::load(&previous)?, generation("1")?);
    }
    Ok(())
}

/// The previous file counts as whole in either precision, and without a checksum if all of it is right.
#[test]
fn whole_files_of_other_writers_are_kept() -> Tested {
    let folder = tempfile::tempdir()?;
    let (path, previous) = (folder.path().join("run"), folder.path().join("run.prev"));
    let mut parts = crate::hostile::Parts::of(sample::small::<f32>()?.to_bytes()?)?;
    parts.header.as_object_mut().ok_or("no object")?.remove("checksum");
    let numbers = parts.data.len() - 4;
    let header = parts.header.to_string();
    let without = crate::hostile::file(&header, &parts.data[..numbers]);
    for kept in [sample::small::<f32>()?.to_bytes()?, without] {
        fs::write(&path, &kept)?;
        generation("2")?.save_keeping_previous(&path)?;
        assert_eq!(fs::read(&previous)?, kept);
    }
    // The first moment is NaN.
    parts.data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, crate::hostile::file(&header, &parts.data[..numbers]))?;
    let kept = fs::read(&previous)?;
    generation("3")?.save_keeping_previous(&path)?;
    assert_eq!(fs::read(&previous)?, kept);
    Ok(())
}

/// Renaming one name of a file to another name of it does nothing.
#[test]
fn two_names_of_one_file_become_two_files() -> Tested {
    let folder = tempfile::tempdir()?;
    let (path, previous) = (folder.path().join("run"), folder.path().join("run.prev"));
    generation("1")?.save(&path)?;
    fs::hard_link(&path, &previous)?;
    generation("2")?.save_keeping_previous(&path)?;
    assert_eq!(Checkpoint::load(&path)?, generation("2")?);
    assert_eq!(Checkpoint::load(&previous)?, generation("1")?);
    assert_eq!(names(folder.path())?, ["run", "run.prev"]);
    Ok(())
}

/// Another path's temporary file may be in use. What cannot be removed must not stop a run.
#[test]
fn leftovers_of_this_path_and_no_other_are_removed() -> Tested {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    let others = [
        ".run..tmp",
        ".run.AbC-Ef.tmp",
        ".run.AbCdE.tmp",
        ".run.AbCdEf.tmp.",
        ".run.AbCdEfg.tmp",
        ".run.safetensors.AbCdEf.tmp",
        ".ruN.AbCdEf.tmp",
        "run.AbCdEf.tmp",
    ];
    for name in others.iter().chain(&[".run.AbCdEf.tmp", ".run.123456.tmp", ".run.prev.AbCdEf.tmp"])
    {
        fs::write(place(name), "")?;
    }
    fs::create_dir(place(".run.zzzzzz.tmp"))?;
    generation("1")?.save(place("run"))?;
    let mut expected: Vec<_> = others.into_iter().chain([".run.zzzzzz.tmp", "run"]).collect();
    expected.sort_unstable();
    assert_eq!(names(folder.path())?, expected);
    Ok(())
}

#[test]
fn names_that_begin_alike_are_saved_side_by_side() -> Tested {
    let folder = tempfile::tempdir()?;
    let long = "x".repeat(250);
    let paths = ["run", "run.safetensors", &format!("{long}a"), &format!("{long}b")]
        .map(|name| folder.path().join(name));
    thread::scope(|scope| {
        let save = |path: &Path| -> Result<(), adamax::Error> {
            let checkpoint = sample::small::<f64>()?;
            (0..100).try_for_each(|_| checkpoint.save(path))
        };
        let threads = paths.each_ref().map(|path| scope.spawn(move || save(path)));
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    assert_eq!(fs::read_dir(&folder)?.count(), 4, "something else was left");
    Ok(())
}

/// File systems take names of up to 255 bytes, and temporary names are longer than the name.
#[cfg(unix)]
#[test]
fn the_longest_names_are_saved() -> Tested {
    let folder = tempfile::tempdir()?;
    for letters in ["x", "€", "🦀x"] {
        for length in 238..=255 {
            let mut name = letters.repeat(length / letters.len());
            name.extend(std::iter::repeat_n('y', length - name.len()));
            let path = folder.path().join(&name);
            generation("1")?.save(&path)?;
            assert_eq!(Checkpoint::load(&path)?, generation("1")?);
            let kept = generation("2")?.save_keeping_previous(&path);
            if length <= 250 {
                kept?;
                assert_eq!(fs::read_dir(&folder)?.count(), 2, "{length}");
                fs::remove_file(folder.path().join(format!("{name}.prev")))?;
            } else {
                let error = kept.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Io);
                assert!(error.to_string().contains(&format!("{name}.prev: ")), "{error}");
                assert_eq!(Checkpoint::load(&path)?, generation("1")?);
                assert_eq!(fs::read_dir(&folder)?.count(), 1, "{length}");
            }
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn the_temporary_file_of_a_long_name_is_removed() -> Tested {
    // As a killed writer leaves it; this name is part of what later releases clean up.
    const LEFT: &str = "~3d66e3d9.AbCdEf.tmp";
    let folder = tempfile::tempdir()?;
    let left = format!(".{}{LEFT}", "x".repeat(234));
    fs::write(folder.path().join(&left), "")?;
    let path = folder.path().join("x".repeat(255));
    generation("1")?.save(&path)?;
    assert_eq!(names(folder.path())?, ["x".repeat(255)]);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_its_file_is_replaced() -> Tested {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("runs"))?;
    symlink("middle", place("latest"))?;
    symlink("runs/7", place("middle"))?;
    // The file need not be there yet.
    generation("1")?.save(place("latest"))?;
    assert_eq!(Checkpoint::load(place("runs/7"))?, generation("1")?);
    generation("2")?.save_keeping_previous(place("latest"))?;
    assert_eq!(Checkpoint::load(place("runs/7"))?, generation("2")?);
    assert_eq!(Checkpoint::load(place("latest.prev"))?, generation("1")?);
    assert_eq!(fs::read_link(place("latest"))?, Path::new("middle"));
    assert_eq!(fs::read_link(place("middle"))?, Path::new("runs/7"));
    assert_eq!(names(folder.path())?, ["latest", "latest.prev", "middle", "runs"]);
    assert_eq!(names(&place("runs"))?, ["7"]);

    symlink("runs/6", place("middle.prev"))?;
    generation("3")?.save_keeping_previous(place("middle"))?;
    assert_eq!(Checkpoint::load(place("runs/6"))?, generation("2")?);
    assert!(fs::symlink_metadata(place("middle.prev"))?.is_symlink());
    Ok(())
}

#[cfg(unix)]
#[test]
fn modes_and_owners_are_kept() -> Tested {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    let access = |name: &str| {
        fs::metadata(place(name)).map(|found| (found.mode() & 0o7777, found.uid(), found.gid()))
    };
    generation("1")?.save(place("run"))?;
    fs::write(place("other"), "")?;
    assert_eq!(access("run")?, access("other")?, "a new file is like any other");
    for mode in [0o600, 0o640, 0o664, 0o666, 0o444, 0o777, 0o4755] {
        fs::set_permissions(place("run"), PermissionsExt::from_mode(mode))?;
        let kept = mode & 0o777; // a state file is no program
        generation("1")?.save(place("run"))?;
        assert_eq!(access("run")?.0, kept);
        generation("2")?.save_keeping_previous(place("run"))?;
        assert_eq!((access("run")?.0, access("run.prev")?.0), (kept, kept));
    }
    // Only root may give files away.
    if chown(place("run"), Some(STRANGER), Some(STRANGER)).is_ok() {
        fs::set_permissions(place("run"), PermissionsExt::from_mode(0o640))?;
        generation("3")?.save(place("run"))?;
        assert_eq!(access("run")?, (0o640, STRANGER, STRANGER));
    }
    Ok(())
}

/// A writer that may not give files away, in a folder that it may write but not read.
#[cfg(target_os = "linux")]
#[test]
fn a_file_of_another_user_is_replaced_by_one_with_fewer_rights() -> Tested {
    use std::{
        env,
        os::unix::fs::{MetadataExt, PermissionsExt, chown},
    };
    let folder = tempfile::tempdir()?;
    let (path, previous) = (folder.path().join("run"), folder.path().join("run.prev"));
    crash::checkpoint(0)?.save(&path)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o664))?;
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o703))?;
    let give_away = |place: &Path| chown(place, Some(STRANGER), Some(STRANGER));
    // The user with the number of the stranger may give files to itself.
    let is_root = fs::metadata(&path)?.uid() == 0;
    let gives_away = is_root && give_away(&path).and(give_away(folder.path())).is_ok();
    if !gives_away || !restricted::can_restrict(env::current_exe()?) {
        println!("skipped: only root may give files away, and setpriv takes its rights");
        return Ok(());
    }
    let mut writer = restricted::restricted(env::current_exe()?);
    assert!(crash::as_writer(&mut writer, &path, 1)?.wait()?.success());
    assert_eq!(crash::generation(&path)?, 1);
    assert_eq!(crash::generation(&previous)?, 0);
    // What the old group could do, the new one cannot.
    let metadata = fs::metadata(&path)?;
    assert_ne!(metadata.gid(), STRANGER);
    assert_eq!(metadata.mode() & 0o777, 0o644);
    assert_eq!(names(folder.path())?, ["run", "run.prev"]);
    Ok(())
}

#[test]
fn a_name_without_a_folder_is_in_the_working_directory() -> Tested {
    // It is removed at the end, in whatever way the test ends.
    let place = tempfile::NamedTempFile::new_in(".")?;
    let name = Path::new(place.path().file_name().ok_or("no name")?);
    generation("1")?.save(name)?;
    generation("2")?.save(name)?;
    assert_eq!(Checkpoint::load(name)?, generation("2")?);
    Ok(())
}
