//! Lists of documents, read without trust in the length that they claim.

use alloc::vec::Vec;
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};

/// Reads a list. Each element is read by a copy of the seed.
///
/// Binary formats write the length in front of the elements, and a damaged document may claim any
/// length. So memory grows with the elements that have been read. (serde's own `Vec` reserves up to
/// 1 MiB for what is claimed.)
pub(crate) struct List<S>(pub(crate) S);

/// Reads a list of plain values. For `deserialize_with`.
pub(crate) fn read<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    List(PhantomData::<T>).deserialize(deserializer)
}

impl<'de, S: DeserializeSeed<'de> + Clone> DeserializeSeed<'de> for List<S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Clone> Visitor<'de> for List<S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut elements: Q) -> Result<Self::Value, Q::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self.0.clone())? {
            list.push(element);
        }
        list.shrink_to_fit();
        Ok(list)
    }
}
