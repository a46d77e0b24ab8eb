//! Settings by name: what files and environment variables say.
//!
//! A setting is a flag, a number, a text or a table of such; each field reads its own from any form that is clear, and
//! is checked against its range at once, so that an error can point at the place.

mod fields;
mod value;

use std::{fmt, marker::PhantomData};

use serde::{
    de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor},
    ser::{SerializeMap, Serializer},
};
use snafu::Snafu;

pub use value::Setting;
use value::{FORMS, table};

/// Why a setting was refused.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[non_exhaustive]
pub enum SettingError {
    /// There is none of this name.
    #[snafu(display("there is no setting `{name}`; there are {}", known.join(", ")))]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// It was given twice.
    #[snafu(display("`{name}` is given twice"))]
    Twice {
        /// The name.
        name: &'static str,
    },
    /// The value cannot be understood, or is out of range.
    #[snafu(display("`{name}` cannot be {value}: {why}"))]
    Invalid {
        /// The name.
        name: &'static str,
        /// What it was to be.
        value: String,
        /// The form or the bound that it breaks.
        why: &'static str,
    },
}

/// Data whose fields can be set by name.
pub trait Settings {
    /// The names, in the order in which they are printed.
    fn names() -> Vec<&'static str>;

    /// The value of a field; `None` when there is none of this name.
    fn get(&self, name: &str) -> Option<Setting>;

    /// Sets a field, and checks it. After an error it is as it was.
    ///
    /// # Errors
    ///
    /// [`SettingError::Unknown`] and [`SettingError::Invalid`].
    fn set(&mut self, name: &str, value: &Setting) -> Result<(), SettingError>;
}

/// Sets what a file says and leaves the rest as it is.
///
/// ```
/// use serde::de::DeserializeSeed;
/// use wal_core::{Options, settings::Overlay};
///
/// let mut options = Options { buffer_len: 1 << 20, ..Options::default() };
/// let text = r#"{ "segment_len": "16MiB" }"#;
/// Overlay(&mut options).deserialize(&mut serde_json::Deserializer::from_str(text))?;
/// assert_eq!((options.segment_len, options.buffer_len), (16 << 20, 1 << 20));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct Overlay<'a, S>(pub &'a mut S);

impl<'de, S: Settings> DeserializeSeed<'de> for Overlay<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: Settings> Visitor<'de> for Overlay<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings by name")
    }

    /// An empty file, in formats that call it so.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Vec::new();
        while let Some(name) = map.next_key_seed(Name(PhantomData::<S>))? {
            if seen.contains(&name) {
                return Err(A::Error::custom(SettingError::Twice { name }));
            }
            seen.push(name);
            map.next_value_seed(Field { settings: &mut *self.0, name })?;
        }
        Ok(())
    }
}

/// The name of a setting, refused where it stands.
struct Name<S>(PhantomData<S>);

impl<'de, S: Settings> DeserializeSeed<'de> for Name<S> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        let name: String = serde::Deserialize::deserialize(deserializer)?;
        let known = S::names();
        let found = known.iter().find(|known| **known == name).copied();
        found.ok_or_else(|| D::Error::custom(SettingError::Unknown { name, known }))
    }
}

/// The value of a setting, refused where it stands: while it is visited, because formats take the place from that.
struct Field<'a, S> {
    settings: &'a mut S,
    name: &'static str,
}

impl<S: Settings> Field<'_, S> {
    fn set<E: Error>(self, value: Result<Setting, E>) -> Result<(), E> {
        let value = value.map_err(|error| E::custom(format_args!("`{}`: {error}", self.name)))?;
        self.settings.set(self.name, &value).map_err(E::custom)
    }
}

impl<'de, S: Settings> DeserializeSeed<'de> for Field<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Settings> Visitor<'de> for Field<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMS} for `{}`", self.name)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.set(Ok(Setting::Flag(flag)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.set(Ok(Setting::Number(number.into())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.set(Ok(Setting::Number(number.into())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.set(Ok(Setting::text(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.set(table(map, 0))
    }
}

/// Reads settings; those that are not given are the default ones.
///
/// # Errors
///
/// Those of the deserializer; [`SettingError`]s, as custom errors.
pub fn deserialize<'de, S: Settings + Default, D: Deserializer<'de>>(deserializer: D) -> Result<S, D::Error> {
    let mut settings = S::default();
    Overlay(&mut settings).deserialize(deserializer)?;
    Ok(settings)
}

/// Writes all settings, as a map.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Settings, T: Serializer>(settings: &S, serializer: T) -> Result<T::Ok, T::Error> {
    let fields = S::names().into_iter().filter_map(|name| Some((name, settings.get(name)?)));
    let fields: Vec<_> = fields.collect();
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
    map.end()
}
