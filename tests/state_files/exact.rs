//! Files are read with the bits that were written, also by the reference library.

use std::{error::Error, fs, path::PathBuf};

use adamax::{Adamax, Average, Checkpoint, ErrorKind, NonFinite, Optimizer, Snapshot, State};
use ndarray::{Array0, Array1, Array2, ArrayD, array};
use safetensors::{Dtype, SafeTensors};

use crate::{
    common::{Bits, Float, bits, input, layout::Layout, repository},
    hostile::Parts,
    sample,
};

type Tested = Result<(), Box<dyn Error>>;

#[test]
fn a_checkpoint_comes_back_bit_by_bit() -> Tested {
    comes_back::<f64>()?;
    comes_back::<f32>()
}

fn comes_back<A: Float>() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let written = sample::checkpoint::<A>()?;
    written.save(&path)?;
    let read = Checkpoint::<A>::load(&path)?;
    assert_eq!(read, written);
    for name in written.snapshot().names() {
        let state = |checkpoint: &Checkpoint<A>| -> Option<State<A>> {
            checkpoint.snapshot().state(name).cloned()
        };
        let (read, written) = (state(&read).ok_or("lost")?, state(&written).ok_or("lost")?);
        assert_eq!(read.steps(), written.steps(), "{name}");
        assert_eq!(read.first_moment().bits(), written.first_moment().bits(), "{name}");
        assert_eq!(read.inf_norm().bits(), written.inf_norm().bits(), "{name}");
    }
    assert_eq!(read.parameter::<f64, _>("scalar")?, Array0::from_elem((), -0.0));
    assert!(read.parameter::<f64, ndarray::Ix0>("scalar")?[()].is_sign_negative());
    let odd: Array1<f32> = read.parameter("untouched")?;
    assert_eq!(odd.bits(), [f32::NAN, f32::INFINITY, f32::from_bits(1)].bits());
    assert!(
        read.parameter::<A, ndarray::Ix2>("layer.0/weight")?
            .iter()
            .all(|x| x.word() == A::MARK.word())
    );
    assert_eq!(
        read.parameter_names().collect::<Vec<_>>(),
        ["", "layer.0/weight", "none", "scalar", "untouched"]
    );
    assert_eq!(read.note("epoch"), Some("12"));
    assert_eq!(read.notes().count(), 4);
    assert_eq!(read.value::<f64>("loss")?, 0.1 + 0.2);
    let average: Average = read.average("scalar", &ndarray::arr0(0.0))?;
    assert_eq!(average.into_parts(), (1.0, u64::MAX, ndarray::arr0(1.0 / 3.0).into_dyn()));
    assert_eq!(read.note("adamax"), None);
    Ok(())
}

#[test]
fn a_snapshot_is_a_checkpoint_without_the_rest() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let written = sample::checkpoint::<f32>()?;
    written.save(&path)?;
    assert_eq!(&Snapshot::load(&path)?, written.snapshot());
    written.snapshot().save(&path)?;
    assert_eq!(Checkpoint::load(&path)?, Checkpoint::new(written.snapshot().clone()));
    Ok(())
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() -> Tested {
    assert_eq!(sample::checkpoint::<f64>()?.to_bytes()?, sample::checkpoint::<f64>()?.to_bytes()?);
    Ok(())
}

fn golden(version: u32) -> Result<Vec<u8>, std::io::Error> {
    fs::read(golden_path(version))
}

fn golden_path(version: u32) -> PathBuf {
    let folder = repository().join("tests/state_files/golden");
    folder.join(format!("version_{version}.safetensors"))
}

/// Files of every version are read for ever.
#[test]
fn files_of_all_versions_are_read() -> Tested {
    for version in 1..=Checkpoint::<f64>::VERSION {
        let old = golden(version)?;
        let read = Checkpoint::<f64>::from_bytes(&old)?;
        // Settings that came later are left open.
        let record = Parts::of(old)?.take_record()?;
        let known = record["groups"][0].as_object().ok_or("no settings")?;
        let mut expected = Parts::of(of_version(version)?.to_bytes()?)?.without_checksum()?;
        expected.record(|record| {
            for group in record["groups"].as_array_mut().expect("groups") {
                let settings = group.as_object_mut().expect("settings");
                settings.retain(|setting, _| known.contains_key(setting));
            }
        })?;
        let expected = Checkpoint::from_bytes(&expected.file())?;
        assert_eq!(read, expected, "version {version}");
    }
    Ok(())
}

/// Returns what the golden file of a version holds: something that has no place in the version before.
fn of_version(version: u32) -> Result<Checkpoint, Box<dyn Error>> {
    match version {
        1 => Ok(sample::small()?),
        2 => Ok(sample::averaged()?),
        3 => Ok(sample::by_rows()?),
        _ => Err(format!("version {version} has no sample").into()),
    }
}

#[test]
#[ignore = "writes the golden file of the newest version"]
fn write_golden_file() -> Tested {
    let path = golden_path(Checkpoint::<f64>::VERSION);
    Ok(of_version(Checkpoint::<f64>::VERSION)?.save(path)?)
}

/// Content that an old version can hold is written as by the release that had it, apart from settings
/// that are new.
#[test]
fn the_format_does_not_change() -> Tested {
    (1..=Checkpoint::<f64>::VERSION).try_for_each(does_not_change)
}

fn does_not_change(version: u32) -> Tested {
    let [old, new] = [golden(version)?, of_version(version)?.to_bytes()?].map(Parts::of);
    let (mut old, mut new) = (old?, new?);
    let (old_record, mut new_record) = (old.take_record()?, new.take_record()?);
    let known = old_record["groups"][0].as_object().ok_or("no settings")?;
    let settings = new_record["groups"][0].as_object_mut().ok_or("no settings")?;
    settings.retain(|setting, _| known.contains_key(setting));
    assert_eq!(new_record, old_record);
    assert_eq!(new.header, old.header);
    let without_checksum = |parts: &Parts| parts.data[..parts.data.len() - 4].to_vec();
    assert_eq!(without_checksum(&new), without_checksum(&old));
    Ok(())
}

#[test]
fn the_reference_library_reads_the_same() -> Tested {
    let checkpoint = sample::checkpoint::<f64>()?;
    let file = checkpoint.to_bytes()?;
    let (_, metadata) = SafeTensors::read_metadata(&file)?;
    assert_eq!(metadata.metadata().as_ref().ok_or("no metadata")?["epoch"], "12");
    let arrays = SafeTensors::deserialize(&file)?;
    assert_eq!(arrays.len(), 2 * 7 + 5 + 3 + 1);
    let m = arrays.tensor("first_moment/layer.0/weight")?;
    assert_eq!((m.dtype(), m.shape()), (Dtype::F64, &[3, 4][..]));
    let expected = checkpoint.snapshot().state("layer.0/weight").ok_or("no state")?;
    let bytes: Vec<u8> = expected.first_moment().iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(m.data(), bytes);
    for (name, view) in arrays.tensors() {
        let offset = view.data().as_ptr().addr() - file.as_ptr().addr();
        let width = if view.dtype() == Dtype::F64 { 8 } else { 4 };
        assert_eq!(offset % width, 0, "{name} is not aligned");
    }
    Ok(())
}

/// This is the purpose of state files.
#[test]
fn a_run_through_files_ends_with_the_bits_of_one_without() -> Tested {
    for layout in [Layout::C, Layout::F] {
        let uninterrupted = run(layout, false)?;
        assert_eq!(run(layout, true)?, uninterrupted, "{layout:?}");
    }
    Ok(())
}

/// Returns the parameter and the state after 30 steps. If `through_files` is set, the run is saved and
/// resumed before every step.
fn run(layout: Layout, through_files: bool) -> Result<bits::Snapshot<u64>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let rule = Adamax::builder().learning_rate(0.1).build()?;
    let rng = &mut input::rng(2);
    let mut x: Array2<f64> = layout.arrange_as(&input::parameters((3, 4), rng).into_dyn());
    let gradients: Vec<Array2<f64>> = (0..30).map(|_| input::gradients((3, 4), rng)).collect();
    let mut optimizer = Optimizer::new(rule);
    let mut slot = optimizer.register("x", &x)?;
    for gradient in &gradients {
        if through_files {
            Checkpoint::new(optimizer.snapshot()).add_parameter("x", &x)?.save(&path)?;
            let checkpoint = Checkpoint::load(&path)?;
            x.fill(f64::NAN);
            checkpoint.assign_parameter("x", &mut x)?;
            optimizer = Optimizer::new(Adamax::paper());
            slot = optimizer.register("x", &x)?;
            optimizer.restore(checkpoint.snapshot())?;
        }
        optimizer.step(&mut [slot.bind(&mut x, gradient)])?;
    }
    let state = optimizer.state(slot).ok_or("no state")?;
    assert_eq!(state.first_moment().strides(), x.strides());
    Ok(bits::Snapshot::of(&x, state))
}

#[test]
fn the_previous_generation_is_kept_on_demand() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let previous = folder.path().join("run.safetensors.prev");
    let generation = |text: &str| -> Result<Checkpoint<f64>, adamax::Error> {
        let mut checkpoint = sample::small()?;
        checkpoint.add_note("generation", text)?;
        Ok(checkpoint)
    };
    generation("1")?.save_keeping_previous(&path)?;
    assert!(!previous.exists());
    for (newest, kept) in [("2", "1"), ("3", "2")] {
        generation(newest)?.save_keeping_previous(&path)?;
        assert_eq!(Checkpoint::load(&path)?, generation(newest)?);
        assert_eq!(Checkpoint::load(&previous)?, generation(kept)?);
    }
    generation("4")?.save(&path)?;
    assert_eq!(Checkpoint::load(&previous)?, generation("2")?);
    assert_eq!(fs::read_dir(&folder)?.count(), 2, "something else was left");
    Ok(())
}

/// The files of other programs: their arrays, under the names that they have there.
#[test]
fn the_arrays_of_any_file_are_read() -> Tested {
    use safetensors::tensor::TensorView;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    let numbers = [1.5_f32, -0.0, f32::NAN, f32::INFINITY];
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let views = [
        ("layer.weight", TensorView::new(Dtype::F32, vec![2, 2], &bytes)?),
        ("layer.double", TensorView::new(Dtype::F64, vec![2], &bytes)?),
        ("layer.half", TensorView::new(Dtype::BF16, vec![8], &bytes)?),
        ("steps", TensorView::new(Dtype::I64, vec![], &bytes[..8])?),
        ("checksum", TensorView::new(Dtype::F32, vec![1], &bytes[..4])?),
    ];
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(metadata), &path)?;
    let read = Checkpoint::load_tensors(&path)?;
    let names: Vec<_> = read.parameter_names().collect();
    assert_eq!(names, ["checksum", "layer.double", "layer.half", "layer.weight", "steps"]);
    let weight: Array2<f32> = read.parameter("layer.weight")?;
    assert_eq!(weight.bits(), ndarray::arr1(&numbers).into_shape_with_order((2, 2))?.bits());
    assert_eq!(read.parameter::<f64, ndarray::Ix1>("layer.double")?.len(), 2);
    assert_eq!(read.notes().collect::<Vec<_>>(), [("format", "pt")]);
    assert_eq!(read.snapshot(), &Optimizer::<f64>::new(Adamax::default()).snapshot());
    let error = read.parameter::<f64, ndarray::Ix0>("steps").unwrap_err();
    let message =
        "parameter `steps` is of type I64, but F64 is asked for (only F64 and F32 can be read)";
    assert_eq!(error.to_string(), message);

    // Whatever was read can be saved, and is the same afterwards.
    read.save(&path)?;
    assert_eq!(Checkpoint::load(&path)?, read);
    assert_eq!(Checkpoint::load_tensors(&path)?, read);
    Ok(())
}

#[test]
fn the_arrays_of_a_state_file_are_its_parameters() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let written = sample::checkpoint::<f32>()?;
    written.save(&path)?;
    let read = Checkpoint::load_tensors(&path)?;
    assert!(read.parameter_names().eq(written.parameter_names()));
    assert!(read.notes().eq(written.notes()));
    let odd: Array1<f32> = read.parameter("untouched")?;
    assert_eq!(odd.bits(), written.parameter::<f32, ndarray::Ix1>("untouched")?.bits());
    assert_eq!(read.snapshot().names().count(), 0);

    let mut bytes = fs::read(&path)?;
    let data = bytes.len() - 5;
    bytes[data] ^= 1;
    fs::write(&path, bytes)?;
    let error = Checkpoint::load_tensors(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("run.safetensors: checksum is 0x"), "{error}");
    Ok(())
}

#[test]
fn names_and_keys_come_once() -> Tested {
    let mut checkpoint = sample::checkpoint::<f64>()?;
    let error = checkpoint.add_parameter("scalar", &array![1.0]).map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.tensor()), (ErrorKind::Name, Some("scalar")));
    for key in ["epoch", "adamax"] {
        let error = checkpoint.add_note(key, "13").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Name);
        assert_eq!(error.to_string(), format!("note `{key}` is taken"));
    }
    assert_eq!(checkpoint, sample::checkpoint::<f64>()?);
    Ok(())
}

#[test]
fn a_parameter_must_be_what_is_asked_for() -> Tested {
    let checkpoint = sample::checkpoint::<f64>()?;
    let mut x = Array2::<f64>::zeros((4, 3));
    let before = x.bits();
    let cases = [
        (checkpoint.assign_parameter("nowhere", &mut x), "parameter `nowhere` is missing"),
        (
            checkpoint.assign_parameter("untouched", &mut x),
            "parameter `untouched` is of type F32, but F64 is asked for",
        ),
        (
            checkpoint.assign_parameter("none", &mut x),
            "parameter `none` has shape [0], but the number of axes asked for is 2",
        ),
        (
            checkpoint.assign_parameter("layer.0/weight", &mut x),
            "tensor `layer.0/weight`: saved parameter has shape [3, 4], but parameter has shape [4, 3] (transposed?)",
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
    assert_eq!(x.bits(), before);
    Ok(())
}

#[test]
fn unreadable_files_are_not_written() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    sample::small::<f64>()?.save(&path)?;
    let before = fs::read(&path)?;

    let rule = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
    let mut x = array![1.0, 2.0];
    let mut optimizer = Optimizer::new(rule);
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![0.0, f64::NAN])])?;
    let error = optimizer.snapshot().save(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert_eq!(error.to_string(), "tensor `x`: first moment is NaN at index [1]");

    let mut checkpoint = sample::small::<f64>()?;
    checkpoint.add_parameter("deep", &ArrayD::<f32>::zeros(vec![1; 65]))?;
    let error = checkpoint.save(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(
        error.to_string().starts_with("entry `parameter/deep` has a shape that cannot"),
        "{error}"
    );

    let mut checkpoint = sample::small::<f64>()?;
    checkpoint.add_note("long", &"x".repeat(100_000_000))?;
    let error = checkpoint.save(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("at most 100000000"), "{error}");

    assert_eq!(fs::read(&path)?, before);
    assert_eq!(fs::read_dir(&folder)?.count(), 1, "something else was left");
    Ok(())
}
