//! Schedules in documents. A schedule may hold other schedules.
//!
//! Each schedule within another one takes a call of the parser, and some parsers have no limit of
//! their own. So depth is checked on the way down, before the stack overflows. `derive` has no place
//! for the present depth: the two kinds that hold schedules are read by hand. They are also written by
//! hand, because derived code takes up to 4 KB of stack at each depth. Functions that do not call the
//! parser for an inner schedule are not inlined, for the same reason: the greatest depth fits into a
//! stack of 128 KB.

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
        value::{EnumAccessDeserializer, StrDeserializer},
    },
    ser::SerializeStructVariant,
};

use super::{Kind, Schedule, kind};
use crate::list::List;

/// The name of the type in formats that write it.
const TYPE: &str = "Schedule";
/// The names of all kinds, in the order of [`Kind`]: binary formats write their index.
const NAMES: &[&str] = &[
    "Constant",
    "Step",
    "MultiStep",
    "Exponential",
    "InverseTime",
    "Noam",
    "Linear",
    "Polynomial",
    "Cosine",
    "OneCycle",
    "PiecewiseConstant",
    "PiecewiseLinear",
    "CosineWarmRestarts",
    "Cyclic",
    WARM_UP,
    SEQUENCE,
];
const WARM_UP: &str = "WarmUp";
const SEQUENCE: &str = "Sequence";
const WARM_UP_INDEX: u32 = 14;
const SEQUENCE_INDEX: u32 = 15;

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            Kind::WarmUp { steps, start, then } => {
                let mut fields =
                    serializer.serialize_struct_variant(TYPE, WARM_UP_INDEX, WARM_UP, 3)?;
                fields.serialize_field("steps", steps)?;
                fields.serialize_field("start", start)?;
                fields.serialize_field("then", then)?;
                fields.end()
            }
            Kind::Sequence { parts, last } => {
                let mut fields =
                    serializer.serialize_struct_variant(TYPE, SEQUENCE_INDEX, SEQUENCE, 2)?;
                fields.serialize_field("parts", parts)?;
                fields.serialize_field("last", last)?;
                fields.end()
            }
            plain => write_plain(plain, serializer),
        }
    }
}

/// Writes a kind that holds no other schedule.
#[inline(never)]
fn write_plain<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    kind.serialize(serializer)
}

/// Reads a schedule at this depth.
#[derive(Clone, Copy)]
pub(super) struct Nested {
    depth: u64,
}

impl Nested {
    /// A schedule that is within no other.
    pub(super) const OUTERMOST: Self = Nested { depth: 1 };

    /// A schedule within this one.
    fn inner(self) -> Self {
        Nested { depth: self.depth + 1 }
    }

    #[inline(never)]
    fn check<E: de::Error>(self) -> Result<(), E> {
        kind::check_depth(self.depth).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    /// In a box, so that no copies of it stand on the stack.
    type Value = Box<Schedule>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.check()?;
        deserializer.deserialize_enum(TYPE, NAMES, self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Box<Schedule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enum Schedule")
    }

    fn visit_enum<E: EnumAccess<'de>>(self, access: E) -> Result<Self::Value, E::Error> {
        let (name, arguments) = read_name(access)?;
        match name {
            WARM_UP => arguments.struct_variant(WarmUp::FIELDS, WarmUp(self.inner())),
            SEQUENCE => arguments.struct_variant(Sequence::FIELDS, Sequence(self.inner())),
            _ => read_plain(name, arguments),
        }
    }
}

/// Reads a kind that holds no other schedule, and whose name has been read.
#[inline(never)]
fn read_plain<'de, V: VariantAccess<'de>>(
    name: &'static str,
    arguments: V,
) -> Result<Box<Schedule>, V::Error> {
    let named = EnumAccessDeserializer::new(Named { name, arguments });
    checked(Kind::deserialize(named)?)
}

#[inline(never)]
fn checked<E: de::Error>(kind: Kind) -> Result<Box<Schedule>, E> {
    Schedule::new(kind).map(Box::new).map_err(E::custom)
}

/// A kind whose name has been read.
struct Named<V> {
    name: &'static str,
    arguments: V,
}

impl<'de, V: VariantAccess<'de>> EnumAccess<'de> for Named<V> {
    type Error = V::Error;
    type Variant = V;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, V), V::Error> {
        let name: StrDeserializer<'_, V::Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.arguments))
    }
}

/// Reads the name of a kind, or its index.
struct Name;

#[inline(never)]
fn read_name<'de, E: EnumAccess<'de>>(access: E) -> Result<(&'static str, E::Variant), E::Error> {
    access.variant_seed(Name)
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variant identifier")
    }

    fn visit_u64<E: de::Error>(self, index: u64) -> Result<Self::Value, E> {
        let name = usize::try_from(index).ok().and_then(|index| NAMES.get(index));
        name.copied().ok_or_else(|| {
            E::invalid_value(de::Unexpected::Unsigned(index), &"the index of a kind of schedule")
        })
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let known = NAMES.iter().find(|known| **known == name);
        known.copied().ok_or_else(|| E::unknown_variant(name, NAMES))
    }

    fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        let known = NAMES.iter().find(|known| known.as_bytes() == name);
        known.copied().ok_or_else(|| E::unknown_variant("of bytes", NAMES))
    }
}

/// Takes a field that must be there.
fn required<T, E: de::Error>(field: Option<T>, name: &'static str) -> Result<T, E> {
    field.ok_or_else(|| E::missing_field(name))
}

/// Refuses a field that is there already.
fn refuse_twice<E: de::Error>(is_there: bool, name: &'static str) -> Result<(), E> {
    if is_there { Err(E::duplicate_field(name)) } else { Ok(()) }
}

/// Reads a number, the next field of a format without names.
#[inline(never)]
fn next_number<'de, T: Deserialize<'de>, Q: SeqAccess<'de>>(
    fields: &mut Q,
    place: usize,
    expected: &dyn de::Expected,
) -> Result<T, Q::Error> {
    next(fields, place, PhantomData, expected)
}

/// Reads the next field of a format without names.
fn next<'de, S: DeserializeSeed<'de>, Q: SeqAccess<'de>>(
    fields: &mut Q,
    place: usize,
    seed: S,
    expected: &dyn de::Expected,
) -> Result<S::Value, Q::Error> {
    match fields.next_element_seed(seed)? {
        Some(field) => Ok(field),
        None => Err(too_short(place, expected)),
    }
}

#[inline(never)]
fn too_short<E: de::Error>(place: usize, expected: &dyn de::Expected) -> E {
    E::invalid_length(place, expected)
}

/// Reads the arguments of [`Kind::WarmUp`], with a schedule at this depth.
struct WarmUp(Nested);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum WarmUpField {
    Steps,
    Start,
    Then,
}

impl WarmUp {
    const FIELDS: &[&str] = &["steps", "start", "then"];
}

impl<'de> Visitor<'de> for WarmUp {
    type Value = Box<Schedule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struct variant Schedule::WarmUp with 3 elements")
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut fields: Q) -> Result<Self::Value, Q::Error> {
        let steps = next_number(&mut fields, 0, &self)?;
        let start = next_number(&mut fields, 1, &self)?;
        let then = next(&mut fields, 2, self.0, &self)?;
        checked(Kind::WarmUp { steps, start, then })
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Self::Value, M::Error> {
        let mut found = WarmUpFields::default();
        while found.read_until_schedule(&mut fields)? {
            found.then = Some(fields.next_value_seed(self.0)?);
        }
        found.finish()
    }
}

#[derive(Default)]
struct WarmUpFields {
    steps: Option<u64>,
    start: Option<f64>,
    then: Option<Box<Schedule>>,
}

impl WarmUpFields {
    /// Reads fields up to the name of one that holds a schedule. Returns false at the end.
    #[inline(never)]
    fn read_until_schedule<'de, M: MapAccess<'de>>(
        &mut self,
        fields: &mut M,
    ) -> Result<bool, M::Error> {
        while let Some(field) = fields.next_key()? {
            match field {
                WarmUpField::Steps => {
                    refuse_twice(self.steps.is_some(), "steps")?;
                    self.steps = Some(fields.next_value()?);
                }
                WarmUpField::Start => {
                    refuse_twice(self.start.is_some(), "start")?;
                    self.start = Some(fields.next_value()?);
                }
                WarmUpField::Then => {
                    refuse_twice(self.then.is_some(), "then")?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    #[inline(never)]
    fn finish<E: de::Error>(self) -> Result<Box<Schedule>, E> {
        checked(Kind::WarmUp {
            steps: required(self.steps, "steps")?,
            start: required(self.start, "start")?,
            then: required(self.then, "then")?,
        })
    }
}

/// Reads the arguments of [`Kind::Sequence`], with schedules at this depth.
struct Sequence(Nested);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum SequenceField {
    Parts,
    Last,
}

type Parts = Vec<(u64, Box<Schedule>)>;

#[inline(never)]
fn sequence<E: de::Error>(parts: Parts, last: Box<Schedule>) -> Result<Box<Schedule>, E> {
    let parts = parts.into_iter().map(|(steps, part)| (steps, *part)).collect();
    checked(Kind::Sequence { parts, last })
}

impl Sequence {
    const FIELDS: &[&str] = &["parts", "last"];
}

impl<'de> Visitor<'de> for Sequence {
    type Value = Box<Schedule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struct variant Schedule::Sequence with 2 elements")
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut fields: Q) -> Result<Self::Value, Q::Error> {
        let parts = next(&mut fields, 0, List(Part(self.0)), &self)?;
        let last = next(&mut fields, 1, self.0, &self)?;
        sequence(parts, last)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Self::Value, M::Error> {
        let mut found = SequenceFields::default();
        while let Some(field) = found.next(&mut fields)? {
            match field {
                SequenceField::Parts => {
                    found.parts = Some(fields.next_value_seed(List(Part(self.0)))?);
                }
                SequenceField::Last => found.last = Some(fields.next_value_seed(self.0)?),
            }
        }
        found.finish()
    }
}

#[derive(Default)]
struct SequenceFields {
    parts: Option<Parts>,
    last: Option<Box<Schedule>>,
}

impl SequenceFields {
    /// Reads the name of the next field.
    #[inline(never)]
    fn next<'de, M: MapAccess<'de>>(
        &self,
        fields: &mut M,
    ) -> Result<Option<SequenceField>, M::Error> {
        let field = fields.next_key()?;
        match field {
            Some(SequenceField::Parts) => refuse_twice(self.parts.is_some(), "parts")?,
            Some(SequenceField::Last) => refuse_twice(self.last.is_some(), "last")?,
            None => {}
        }
        Ok(field)
    }

    #[inline(never)]
    fn finish<E: de::Error>(self) -> Result<Box<Schedule>, E> {
        sequence(required(self.parts, "parts")?, required(self.last, "last")?)
    }
}

/// Reads a part of a sequence: its number of steps, and a schedule at this depth.
#[derive(Clone)]
struct Part(Nested);

impl<'de> DeserializeSeed<'de> for Part {
    type Value = (u64, Box<Schedule>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = (u64, Box<Schedule>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tuple of size 2")
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut pair: Q) -> Result<Self::Value, Q::Error> {
        let steps = next_number(&mut pair, 0, &self)?;
        Ok((steps, next(&mut pair, 1, self.0, &self)?))
    }
}
