//! Schedules in documents. A schedule may hold other schedules.
//!
//! Each schedule within another one takes a call of the parser, and some parsers have no limit of
//! their own. So depth is checked on the way down, before the stack overflows. `derive` has no place
//! for the present depth: the kinds that hold schedules are read by hand, by way of a table of their
//! fields. They are also written by hand, because derived code takes up to 4 KB of stack at each depth.
//! Functions that do not call the parser for an inner schedule are not inlined, for the same reason:
//! the greatest depth fits into a stack of 128 KB.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

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
    WARM_UP.name,
    SEQUENCE.name,
    "CosineDecayRestarts",
    SCALED.name,
    PRODUCT.name,
];

/// A kind that holds schedules.
struct Holder {
    name: &'static str,
    /// Its place in [`NAMES`].
    index: u32,
    fields: &'static [&'static str],
    /// The sorts of the fields.
    sorts: &'static [Sort],
}

/// The sorts of fields.
#[derive(Clone, Copy)]
enum Sort {
    Steps,
    Number,
    Inner,
    Parts,
}

const WARM_UP: Holder = Holder {
    name: "WarmUp",
    index: 14,
    fields: &["steps", "start", "then"],
    sorts: &[Sort::Steps, Sort::Number, Sort::Inner],
};
const SEQUENCE: Holder = Holder {
    name: "Sequence",
    index: 15,
    fields: &["parts", "last"],
    sorts: &[Sort::Parts, Sort::Inner],
};
const SCALED: Holder = Holder {
    name: "Scaled",
    index: 17,
    fields: &["factor", "of"],
    sorts: &[Sort::Number, Sort::Inner],
};
const PRODUCT: Holder = Holder {
    name: "Product",
    index: 18,
    fields: &["of", "times"],
    sorts: &[Sort::Inner, Sort::Inner],
};
static HOLDERS: [Holder; 4] = [WARM_UP, SEQUENCE, SCALED, PRODUCT];

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            Kind::WarmUp { steps, start, then } => {
                let mut fields = WARM_UP.begin(serializer)?;
                fields.serialize_field("steps", steps)?;
                fields.serialize_field("start", start)?;
                fields.serialize_field("then", then)?;
                fields.end()
            }
            Kind::Sequence { parts, last } => {
                let mut fields = SEQUENCE.begin(serializer)?;
                fields.serialize_field("parts", parts)?;
                fields.serialize_field("last", last)?;
                fields.end()
            }
            Kind::Scaled { factor, of } => {
                let mut fields = SCALED.begin(serializer)?;
                fields.serialize_field("factor", factor)?;
                fields.serialize_field("of", of)?;
                fields.end()
            }
            Kind::Product { of, times } => {
                let mut fields = PRODUCT.begin(serializer)?;
                fields.serialize_field("of", of)?;
                fields.serialize_field("times", times)?;
                fields.end()
            }
            plain => write_plain(plain, serializer),
        }
    }
}

impl Holder {
    fn begin<S: Serializer>(&self, serializer: S) -> Result<S::SerializeStructVariant, S::Error> {
        serializer.serialize_struct_variant(TYPE, self.index, self.name, self.fields.len())
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
        match HOLDERS.iter().find(|holder| holder.name == name) {
            Some(holder) => {
                let depth = self.inner();
                arguments.struct_variant(holder.fields, Fields { holder, depth })
            }
            None => read_plain(name, arguments),
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

/// Reads a name of a list, or its index. Gives the index.
#[derive(Clone, Copy)]
struct Name {
    names: &'static [&'static str],
    unknown: Unknown,
}

/// The lists that a name may be missing in.
#[derive(Clone, Copy)]
enum Unknown {
    Kind,
    Field,
}

#[inline(never)]
fn read_name<'de, E: EnumAccess<'de>>(access: E) -> Result<(&'static str, E::Variant), E::Error> {
    let (index, arguments) = access.variant_seed(Name { names: NAMES, unknown: Unknown::Kind })?;
    Ok((NAMES.get(index).copied().unwrap_or_default(), arguments))
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.unknown {
            Unknown::Kind => "variant identifier",
            Unknown::Field => "field identifier",
        })
    }

    fn visit_u64<E: de::Error>(self, index: u64) -> Result<Self::Value, E> {
        let known = usize::try_from(index).ok().filter(|&index| index < self.names.len());
        known.ok_or_else(|| {
            let expected = match self.unknown {
                Unknown::Kind => "the index of a kind of schedule",
                Unknown::Field => "the index of a field",
            };
            E::invalid_value(de::Unexpected::Unsigned(index), &expected)
        })
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let known = self.names.iter().position(|known| *known == name);
        known.ok_or_else(|| match self.unknown {
            Unknown::Kind => E::unknown_variant(name, self.names),
            Unknown::Field => E::unknown_field(name, self.names),
        })
    }

    fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        self.visit_str(core::str::from_utf8(name).unwrap_or("of bytes"))
    }
}

/// Reads the fields of a holder, with schedules at this depth.
struct Fields {
    holder: &'static Holder,
    depth: Nested,
}

type Parts = Vec<(u64, Box<Schedule>)>;

/// The value of a field of a holder.
enum Value {
    Steps(u64),
    Number(f64),
    Inner(Box<Schedule>),
    Parts(Parts),
}

impl<'de> Visitor<'de> for Fields {
    type Value = Box<Schedule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { name, fields, .. } = self.holder;
        write!(f, "struct variant {TYPE}::{name} with {} elements", fields.len())
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut fields: Q) -> Result<Self::Value, Q::Error> {
        let mut values = Vec::new();
        for (place, &sort) in self.holder.sorts.iter().enumerate() {
            match fields.next_element_seed(Field { sort, depth: self.depth })? {
                Some(value) => values.push(value),
                None => return Err(too_short(place, &self)),
            }
        }
        self.finish(values)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Self::Value, M::Error> {
        let Holder { fields: names, sorts, .. } = *self.holder;
        let mut values: Vec<Option<Value>> = names.iter().map(|_| None).collect();
        while let Some(index) = next_name(&mut fields, names)? {
            let (Some(value), Some(&sort)) = (values.get_mut(index), sorts.get(index)) else {
                continue;
            };
            if value.is_some() {
                return Err(twice(names, index));
            }
            *value = Some(fields.next_value_seed(Field { sort, depth: self.depth })?);
        }
        match values.iter().position(Option::is_none) {
            Some(index) => Err(missing(names, index)),
            None => self.finish(values.into_iter().flatten().collect()),
        }
    }
}

#[inline(never)]
fn next_name<'de, M: MapAccess<'de>>(
    fields: &mut M,
    names: &'static [&'static str],
) -> Result<Option<usize>, M::Error> {
    fields.next_key_seed(Name { names, unknown: Unknown::Field })
}

#[inline(never)]
fn too_short<E: de::Error>(place: usize, expected: &dyn de::Expected) -> E {
    E::invalid_length(place, expected)
}

#[inline(never)]
fn twice<E: de::Error>(names: &[&'static str], index: usize) -> E {
    E::duplicate_field(names.get(index).copied().unwrap_or_default())
}

#[inline(never)]
fn missing<E: de::Error>(names: &[&'static str], index: usize) -> E {
    E::missing_field(names.get(index).copied().unwrap_or_default())
}

impl Fields {
    /// Makes the schedule from the values, one for each field.
    #[inline(never)]
    fn finish<E: de::Error>(self, values: Vec<Value>) -> Result<Box<Schedule>, E> {
        let mut values = values.into_iter();
        let kind = match (values.next(), values.next(), values.next()) {
            (Some(Value::Steps(steps)), Some(Value::Number(start)), Some(Value::Inner(then))) => {
                Kind::WarmUp { steps, start, then }
            }
            (Some(Value::Parts(parts)), Some(Value::Inner(last)), None) => {
                let parts = parts.into_iter().map(|(steps, part)| (steps, *part)).collect();
                Kind::Sequence { parts, last }
            }
            (Some(Value::Number(factor)), Some(Value::Inner(of)), None) => {
                Kind::Scaled { factor, of }
            }
            (Some(Value::Inner(of)), Some(Value::Inner(times)), None) => {
                Kind::Product { of, times }
            }
            _ => return Err(too_short(0, &self)),
        };
        checked(kind)
    }
}

/// Reads a field of this sort, with schedules at this depth.
struct Field {
    sort: Sort,
    depth: Nested,
}

impl<'de> DeserializeSeed<'de> for Field {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.sort {
            Sort::Steps => read_steps(deserializer),
            Sort::Number => read_number(deserializer),
            Sort::Inner => self.depth.deserialize(deserializer).map(Value::Inner),
            Sort::Parts => List::<_>(Part(self.depth)).deserialize(deserializer).map(Value::Parts),
        }
    }
}

#[inline(never)]
fn read_steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    u64::deserialize(deserializer).map(Value::Steps)
}

#[inline(never)]
fn read_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    f64::deserialize(deserializer).map(Value::Number)
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
        let steps = pair.next_element()?;
        let part = pair.next_element_seed(self.0)?;
        match (steps, part) {
            (Some(steps), Some(part)) => Ok((steps, part)),
            (steps, _) => Err(too_short(usize::from(steps.is_some()), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use serde::de::value::{BoolDeserializer, Error};

    /// Returns the refusal of a document that is `true`.
    fn refusal<'de>(seed: impl DeserializeSeed<'de>) -> String {
        let document: BoolDeserializer<Error> = true.into_deserializer();
        seed.deserialize(document).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// The messages are those of code that serde derives.
    #[test]
    fn a_document_of_another_type_is_refused_with_what_was_expected() {
        let expected = |what| alloc::format!("invalid type: boolean `true`, expected {what}");
        let name = |unknown| Name { names: NAMES, unknown };
        assert_eq!(refusal(Nested::OUTERMOST), expected("enum Schedule"));
        assert_eq!(refusal(name(Unknown::Kind)), expected("variant identifier"));
        assert_eq!(refusal(name(Unknown::Field)), expected("field identifier"));
    }
}
