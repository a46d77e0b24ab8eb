use std::{fmt, time::Duration};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, MapAccess, Unexpected, Visitor},
    ser::SerializeMap,
};

use crate::human::{format_duration, format_size, parse_duration, parse_size};

/// The value of a setting as a file or an environment variable gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Number(i128),
    /// Anything else. The only form that environment variables have.
    Text(String),
    /// Named values.
    Table(Vec<(String, Self)>),
}

impl Setting {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A size as people write it.
    #[must_use]
    pub fn size(bytes: u64) -> Self {
        Self::Text(format_size(bytes))
    }

    /// A duration as people write it.
    #[must_use]
    pub fn duration(duration: Duration) -> Self {
        Self::Text(format_duration(duration))
    }

    /// Reads a size in bytes, or a count.
    ///
    /// # Errors
    ///
    /// Says what form or bound it breaks.
    pub fn as_size(&self) -> Result<u64, &'static str> {
        match self {
            Self::Number(number) => u64::try_from(*number).map_err(|_| "it must not be negative"),
            Self::Text(text) => parse_size(text),
            Self::Flag(_) | Self::Table(_) => parse_size(""),
        }
    }

    /// Reads a duration.
    ///
    /// # Errors
    ///
    /// Says what form it breaks.
    pub fn as_duration(&self) -> Result<Duration, &'static str> {
        match self {
            Self::Number(0) => Ok(Duration::ZERO),
            Self::Text(text) => parse_duration(text),
            _ => parse_duration(""),
        }
    }

    /// Reads a choice between two.
    ///
    /// # Errors
    ///
    /// Says that it is neither.
    pub fn as_flag(&self) -> Result<bool, &'static str> {
        match self {
            Self::Flag(flag) => Ok(*flag),
            Self::Text(text) if text == "true" => Ok(true),
            Self::Text(text) if text == "false" => Ok(false),
            _ => Err("it must be true or false"),
        }
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Says that there is none.
    pub fn as_text(&self) -> Result<&str, &'static str> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err("it must be a text, in quotes where the format has them"),
        }
    }

    /// Reads one of several things by name, with or without an argument: `always`, `background:100ms`, or a table of
    /// one. Dashes are as good as underscores.
    pub(super) fn as_choice(&self) -> Result<(String, Option<Self>), &'static str> {
        let (name, argument) = match self {
            Self::Text(text) => match text.split_once(':') {
                Some((name, argument)) => (name, Some(Self::text(argument))),
                None => (text.as_str(), None),
            },
            Self::Table(entries) => match entries.as_slice() {
                [(name, argument)] => (name.as_str(), Some(argument.clone())),
                _ => return Err("a table must hold exactly one choice here"),
            },
            Self::Flag(_) | Self::Number(_) => return Err("it must be the name of a choice"),
        };
        Ok((name.trim().to_ascii_lowercase().replace('-', "_"), argument))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Table(entries) => {
                f.write_str("{")?;
                for (at, (name, value)) in entries.iter().enumerate() {
                    let comma = if at == 0 { " " } else { ", " };
                    write!(f, "{comma}{name} = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            // Formats have no wider numbers.
            Self::Number(number) => match i64::try_from(*number) {
                Ok(number) => serializer.serialize_i64(number),
                Err(_) => serializer.serialize_str(&number.to_string()),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::Table(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

/// What a setting can look like.
pub(super) const FORMS: &str = "a flag, a whole number, a text or a table";
/// Tables in tables in tables are nobody's setting, and deep ones would cost stack.
const DEPTH_MAX: usize = 4;

/// The table that is `depth` tables down.
pub(super) fn table<'de, A: MapAccess<'de>>(mut map: A, depth: usize) -> Result<Setting, A::Error> {
    if depth == DEPTH_MAX {
        return Err(A::Error::invalid_type(Unexpected::Map, &"something flatter"));
    }
    let mut entries: Vec<(String, Setting)> = Vec::new();
    while let Some(name) = map.next_key::<String>()? {
        if entries.iter().any(|(other, _)| *other == name) {
            return Err(A::Error::custom(format_args!("`{name}` is given twice")));
        }
        entries.push((name, map.next_value_seed(Any { depth: depth + 1 })?));
    }
    Ok(Setting::Table(entries))
}

/// Any setting, `depth` tables down.
struct Any {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Setting;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Setting, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Setting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMS)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Setting, E> {
        Ok(Setting::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Setting, E> {
        Ok(Setting::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Setting, E> {
        Ok(Setting::Number(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Setting, E> {
        Ok(Setting::text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Setting, A::Error> {
        table(map, self.depth)
    }
}
