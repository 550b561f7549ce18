//! Operations: state files and documents, written and read back.

use super::{Precision, bytes::Bytes, counts::End, machine::Machine};
use adamax::{Checkpoint, ErrorKind};
use ndarray::{ArrayD, IxDyn};

/// One of so many files goes by way of a folder, because a disk is slow.
const BY_FOLDER: u8 = 64;

impl<A: Precision> Machine<'_, A> {
    /// Writes a checkpoint and goes on with what was read from it.
    pub(crate) fn through_file(&mut self, bytes: &mut Bytes<'_>) {
        let by_folder = bytes.once_in(BY_FOLDER);
        let mut checkpoint = Checkpoint::new(self.optimizer.snapshot());
        for (subject, tensor) in self.subjects.iter().zip(&self.model.tensors) {
            checkpoint.add_parameter(&tensor.name, &subject.x).expect("each name once");
        }
        checkpoint.add_note("key", "text").expect("a new key");
        let saved = self.model.save();
        let kind = (!saved.is_finite()).then_some(ErrorKind::NonFinite);
        let (operation, result) = if by_folder {
            ("save and load", through_folder(&checkpoint))
        } else {
            ("file", checkpoint.to_bytes().map(|file| read(&file)))
        };
        let Some(found) = self.expect(operation, result, kind.as_slice()) else { return };
        assert_eq!(found.snapshot(), checkpoint.snapshot());
        assert_eq!(found.note("key"), Some("text"));
        for (subject, tensor) in self.subjects.iter_mut().zip(&self.model.tensors) {
            let parameter: ArrayD<A> =
                found.parameter::<A, IxDyn>(&tensor.name).expect("was saved");
            let words = |array: &ArrayD<A>| array.iter().map(|x| x.word()).collect::<Vec<_>>();
            assert_eq!(words(&parameter), words(&subject.x), "x of {}", tensor.name);
            found.assign_parameter(&tensor.name, &mut subject.x).expect("the same shape");
        }
        self.optimizer.restore(found.snapshot()).expect("the same tensors");
        self.model.take_over(&saved, |_| true);
    }

    /// Writes a snapshot as JSON and takes over what was read.
    pub(crate) fn through_json(&mut self) {
        let (snapshot, saved) = (self.optimizer.snapshot(), self.model.save());
        let read = A::through_json(&snapshot);
        assert_eq!(read.is_some(), saved.is_finite());
        let Some(read) = read else {
            self.refused = true;
            return self.count("json", End::Refused("NonFinite"));
        };
        assert_eq!(read, snapshot);
        self.optimizer.restore(&read).expect("the same tensors");
        self.model.take_over(&saved, |_| true);
        self.count("json", End::Done);
    }
}

fn read<A: Precision>(file: &[u8]) -> Checkpoint<A> {
    Checkpoint::from_bytes(file).expect("a file that was just written")
}

fn through_folder<A: Precision>(
    checkpoint: &Checkpoint<A>,
) -> Result<Checkpoint<A>, adamax::Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.safetensors");
    checkpoint.save(&path)?;
    checkpoint.save_keeping_previous(&path)?;
    Ok(Checkpoint::load(&path).expect("a file that was just saved"))
}
