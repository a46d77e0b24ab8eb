//! The settings of logs on object storage by name.

use wal_core::settings::Setting;

use super::ObjectSettings;

type Set = fn(&mut ObjectSettings, &Setting) -> Result<(), &'static str>;

/// One of them.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) get: fn(&ObjectSettings) -> Setting,
    pub(super) set: Set,
}

macro_rules! text {
    ($name:ident, $check:expr) => {
        Field {
            name: stringify!($name),
            get: |settings| Setting::text(settings.$name.clone().unwrap_or_default()),
            set: |settings, value| {
                let text = value.as_text().map_err(|_| "it must be a text")?;
                let check: fn(&str) -> Result<(), &'static str> = $check;
                settings.$name = if text.is_empty() { None } else { Some(text.to_owned()) };
                check(text)
            },
        }
    };
}

macro_rules! plain {
    ($name:expr, $field:ident, $get:expr, $read:expr) => {
        Field {
            name: $name,
            get: |settings| $get(settings.$field),
            set: |settings, value| $read(value).map(|value| settings.$field = value),
        }
    };
}

/// In the order in which they are documented.
pub(super) const FIELDS: &[Field] = &[
    text!(s3_region, |_| Ok(())),
    text!(s3_endpoint, endpoint),
    plain!("s3_path_style", s3_path_style, Setting::Flag, Setting::as_flag),
    text!(s3_profile, |_| Ok(())),
    plain!("object_attempts", attempts, count, at_least_one),
    plain!("object_pause", pause, Setting::duration, Setting::as_duration),
    plain!("object_request_timeout", request_timeout, Setting::duration, |value: &Setting| {
        let time = value.as_duration()?;
        if time.is_zero() { Err("it must not be zero") } else { Ok(time) }
    }),
    plain!("object_give_up_after", give_up_after, Setting::duration, Setting::as_duration),
    plain!("object_requests_per_second", requests_per_second, count, |value: &Setting| {
        u32::try_from(value.as_size()?).map_err(|_| "it is too large")
    }),
    plain!("object_cache_len", cache_len, |len| Setting::size(len as u64), |value: &Setting| {
        usize::try_from(value.as_size()?).map_err(|_| "it is too large")
    }),
    plain!("object_parallel_reads", parallel_reads, |count: usize| Setting::Number(count as i128), |value| {
        at_least_one(value).map(|count| count as usize)
    }),
    plain!("object_assume_conditional_writes", assume_conditional_writes, Setting::Flag, Setting::as_flag),
];

fn count(number: u32) -> Setting {
    Setting::Number(number.into())
}

fn at_least_one(value: &Setting) -> Result<u32, &'static str> {
    let number = u32::try_from(value.as_size()?).map_err(|_| "it is too large")?;
    if number == 0 { Err("it must be at least 1") } else { Ok(number) }
}

/// What is in a file of settings is read by many, and printed.
fn endpoint(text: &str) -> Result<(), &'static str> {
    let place = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match place {
        _ if text.is_empty() => Ok(()),
        Some(place) if !place.contains(['@', '?', '#']) => Ok(()),
        _ => Err("it must be a URL such as https://host:port, without keys in it"),
    }
}
