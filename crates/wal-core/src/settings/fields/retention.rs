//! Retention as one setting: a table of the limits that there are, or a text such as `max_age=7d,max_bytes=1GiB`.

use std::time::Duration;

use wal_format::Lsn;

use super::{Setting, pairs};
use crate::Retention;

const NAMES: &str = "a table holds max_age, max_bytes, max_segments, keep_from, cursor_max_bytes, cursor_max_age, \
                     interval and clock_trial";

pub(super) fn read(value: &Setting) -> Result<Retention, &'static str> {
    let mut retention = Retention::default();
    match value {
        Setting::Table(entries) => {
            for (name, value) in entries {
                set(&mut retention, name, value)?;
            }
        }
        Setting::Text(text) => {
            for (name, value) in pairs(text, NAMES)? {
                set(&mut retention, name, &Setting::text(value))?;
            }
        }
        Setting::Number(_) | Setting::Flag(_) => return Err(NAMES),
    }
    Ok(retention)
}

fn set(retention: &mut Retention, name: &str, value: &Setting) -> Result<(), &'static str> {
    match name {
        "max_age" => retention.max_age = Some(value.as_duration()?),
        "max_bytes" => retention.max_bytes = Some(value.as_size()?),
        "max_segments" => retention.max_segments = Some(value.as_size()?),
        "keep_from" => retention.keep_from = Some(Lsn::new(value.as_size()?).ok_or("LSNs begin with 1")?),
        "cursor_max_bytes" => retention.cursor_max_bytes = Some(value.as_size()?),
        "cursor_max_age" => retention.cursor_max_age = Some(value.as_duration()?),
        "interval" => retention.interval = value.as_duration()?,
        "clock_trial" => retention.clock_trial = value.as_duration()?,
        _ => return Err(NAMES),
    }
    Ok(())
}

pub(super) fn write(retention: &Retention) -> Setting {
    let Retention {
        max_age,
        max_bytes,
        max_segments,
        keep_from,
        cursor_max_bytes,
        cursor_max_age,
        interval,
        clock_trial,
    } = retention;
    let age = |age: &Option<Duration>| age.map(Setting::duration);
    let number = |number: u64| Setting::Number(number.into());
    let entries = [
        ("max_age", age(max_age)),
        ("max_bytes", max_bytes.map(Setting::size)),
        ("max_segments", max_segments.map(number)),
        ("keep_from", keep_from.map(|lsn| number(lsn.get()))),
        ("cursor_max_bytes", cursor_max_bytes.map(Setting::size)),
        ("cursor_max_age", age(cursor_max_age)),
        ("interval", Some(Setting::duration(*interval))),
        ("clock_trial", Some(Setting::duration(*clock_trial))),
    ];
    let there = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Setting::Table(there.collect())
}
