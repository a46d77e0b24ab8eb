//! The settings by name: those of the options and those of the files.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wal_core::{
    Options,
    settings::{Setting, SettingError, Settings, deserialize, serialize},
};
use wal_segment::{ReadMode, WriteMode};

use super::{Config, objects_named::FIELDS};

const OWN: [&str; 4] = ["file_mode", "dir_mode", "read_mode", "write_mode"];

impl Settings for Config {
    fn names() -> Vec<&'static str> {
        let mut names = Options::names();
        names.extend(OWN);
        names.extend(FIELDS.iter().map(|field| field.name));
        names
    }

    fn get(&self, name: &str) -> Option<Setting> {
        let mode = |bits| Some(Setting::text(format!("{bits:04o}")));
        match name {
            "file_mode" => mode(self.file_mode),
            "dir_mode" => mode(self.dir_mode),
            "read_mode" => Some(Setting::text(match self.read_mode {
                ReadMode::Mmap => "mmap",
                ReadMode::Pread => "pread",
            })),
            "write_mode" => Some(Setting::text(match self.write_mode {
                WriteMode::Pwrite => "pwrite",
                WriteMode::Mmap => "mmap",
            })),
            _ => match FIELDS.iter().find(|field| field.name == name) {
                Some(field) => Some((field.get)(&self.objects)),
                None => self.options.get(name),
            },
        }
    }

    fn set(&mut self, name: &str, value: &Setting) -> Result<(), SettingError> {
        if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
            let mut changed = self.objects.clone();
            // Whoever put a key into a URL does not want to read it here.
            let shown = value.to_string();
            let is_secret = shown.contains(['@', '?', '#']);
            let shown = if is_secret { "a text that may hold a key".to_owned() } else { shown };
            let invalid = |why| SettingError::Invalid { name: field.name, value: shown, why };
            (field.set)(&mut changed, value).map_err(invalid)?;
            self.objects = changed;
            return Ok(());
        }
        let Some(own) = OWN.into_iter().find(|own| *own == name) else {
            return self.options.set(name, value).map_err(|error| match error {
                SettingError::Unknown { name, .. } => SettingError::Unknown { name, known: Self::names() },
                other => other,
            });
        };
        let done = match own {
            "file_mode" => mode(value).map(|mode| self.file_mode = mode),
            "dir_mode" => mode(value).map(|mode| self.dir_mode = mode),
            "read_mode" => read_mode(value).map(|mode| self.read_mode = mode),
            _ => write_mode(value).map(|mode| self.write_mode = mode),
        };
        done.map_err(|why| SettingError::Invalid { name: own, value: value.to_string(), why })
    }
}

/// Only as a text: a file that says 600 without quotes means 1130 in octal.
fn mode(value: &Setting) -> Result<u32, &'static str> {
    let bound = "write permission bits in octal and in quotes, \"0000\" to \"0777\"";
    let digits = value.as_text().map_err(|_| bound)?;
    let digits = digits.strip_prefix("0o").unwrap_or(digits);
    let octal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| octal && *bits <= 0o777);
    bits.ok_or(bound)
}

fn read_mode(value: &Setting) -> Result<ReadMode, &'static str> {
    match value.as_text() {
        Ok("mmap") => Ok(ReadMode::Mmap),
        Ok("pread") => Ok(ReadMode::Pread),
        _ => Err("it must be mmap or pread"),
    }
}

fn write_mode(value: &Setting) -> Result<WriteMode, &'static str> {
    match value.as_text() {
        Ok("pwrite") => Ok(WriteMode::Pwrite),
        Ok("mmap") => Ok(WriteMode::Mmap),
        _ => Err("it must be pwrite or mmap"),
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}
