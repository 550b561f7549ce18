//! Lists of documents, read without trust in the length that they claim.

use alloc::vec::Vec;
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
};

/// Reads a list. Each element is read by a copy of the seed.
///
/// Binary formats write the length in front of the elements, and a damaged document may claim any
/// length. So memory grows with the elements that have been read. (serde's own `Vec` reserves up to
/// 1 MiB for what is claimed.)
///
/// Reading stops at the first element after `MOST`, so that memory stays small. The limit is a part of the
/// type, because schedules call this at each depth: without a limit, no stack is used for it.
pub(crate) struct List<S, const MOST: usize = { usize::MAX }>(pub(crate) S);

/// Reads a list of plain values. For `deserialize_with`.
pub(crate) fn read<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    List::<_>(PhantomData::<T>).deserialize(deserializer)
}

/// Reads a list of at most `MOST` plain values. For `deserialize_with`.
#[cfg(feature = "safetensors")]
pub(crate) fn read_at_most<'de, const MOST: usize, T, D>(
    deserializer: D,
) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    List::<_, MOST>(PhantomData::<T>).deserialize(deserializer)
}

impl<'de, S, const MOST: usize> DeserializeSeed<'de> for List<S, MOST>
where
    S: DeserializeSeed<'de> + Clone,
{
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S, const MOST: usize> Visitor<'de> for List<S, MOST>
where
    S: DeserializeSeed<'de> + Clone,
{
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MOST {
            usize::MAX => f.write_str("a sequence"),
            most => write!(f, "at most {most} values"),
        }
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut elements: Q) -> Result<Self::Value, Q::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self.0.clone())? {
            if MOST != usize::MAX && list.len() == MOST {
                return Err(de::Error::invalid_length(MOST + 1, &self));
            }
            list.push(element);
        }
        list.shrink_to_fit();
        Ok(list)
    }
}
