//! The use of a tier as one setting: a table, or a text such as `local_len=10GiB,rate=20MiB`.

use super::{Setting, pairs};
use crate::{TierOptions, WhenUnshipped};

const NAMES: &str = "a table holds local_len, rate, unshipped_max, when_unshipped, retry and keep_removed";
const NO_LIMIT: &str = "none";

pub(super) fn read(value: &Setting) -> Result<TierOptions, &'static str> {
    let mut tier = TierOptions::default();
    match value {
        Setting::Table(entries) => {
            for (name, value) in entries {
                set(&mut tier, name, value)?;
            }
        }
        Setting::Text(text) => {
            for (name, value) in pairs(text, NAMES)? {
                set(&mut tier, name, &Setting::text(value))?;
            }
        }
        Setting::Number(_) | Setting::Flag(_) => return Err(NAMES),
    }
    Ok(tier)
}

fn set(tier: &mut TierOptions, name: &str, value: &Setting) -> Result<(), &'static str> {
    match name {
        "local_len" => tier.local_len = limit(value)?,
        "rate" => tier.rate = limit(value)?,
        "unshipped_max" => tier.unshipped_max = limit(value)?,
        "when_unshipped" => {
            tier.when_unshipped = match value.as_text() {
                Ok("keep") => WhenUnshipped::Keep,
                Ok("refuse") => WhenUnshipped::Refuse,
                Ok("drop") => WhenUnshipped::Drop,
                _ => return Err("when_unshipped must be keep, refuse or drop"),
            }
        }
        "retry" => tier.retry = value.as_duration()?,
        "keep_removed" => tier.keep_removed = value.as_flag()?,
        _ => return Err(NAMES),
    }
    Ok(())
}

fn limit(value: &Setting) -> Result<Option<u64>, &'static str> {
    if value.as_text() == Ok(NO_LIMIT) { Ok(None) } else { value.as_size().map(Some) }
}

pub(super) fn write(tier: &TierOptions) -> Setting {
    let TierOptions { local_len, rate, unshipped_max, when_unshipped, retry, keep_removed } = tier;
    let limit = |limit: &Option<u64>| limit.map_or_else(|| Setting::text(NO_LIMIT), Setting::size);
    let behind = match when_unshipped {
        WhenUnshipped::Keep => "keep",
        WhenUnshipped::Refuse => "refuse",
        WhenUnshipped::Drop => "drop",
    };
    let entries = [
        ("local_len", limit(local_len)),
        ("rate", limit(rate)),
        ("unshipped_max", limit(unshipped_max)),
        ("when_unshipped", Setting::text(behind)),
        ("retry", Setting::duration(*retry)),
        ("keep_removed", Setting::Flag(*keep_removed)),
    ];
    Setting::Table(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
