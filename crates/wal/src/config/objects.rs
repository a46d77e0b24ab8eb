//! How a log on object storage is reached.

use std::time::Duration;

/// Settings of logs that are opened by a URL. Without effect on a log in a directory.
///
/// There are no keys among them: those come from the environment (`AWS_ACCESS_KEY_ID` and its kin), from a profile of
/// the shared files of AWS, from a web identity, the container or the instance, or from code (`storage::S3Config`).
/// What S3 needs and is not set here comes from the environment, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSettings {
    /// The region of the bucket. Default: `None`, that of the environment or the profile.
    pub s3_region: Option<String>,
    /// Another server than that of AWS, `http://` for one without encryption. Default: `None`, that of the environment
    /// or the profile, or AWS.
    pub s3_endpoint: Option<String>,
    /// Whether the bucket stands in the path and not in the name of the host. Default: `true`.
    pub s3_path_style: bool,
    /// The profile of the shared files of AWS that keys come from. Default: `None`, that of `AWS_PROFILE`; the one
    /// named `default` when the environment has no keys.
    pub s3_profile: Option<String>,
    /// How often a request is made that fails, at least once. Default: 10.
    pub attempts: u32,
    /// Pause before the second attempt; each further one takes twice as long, up to 5 s. Default: 50 ms.
    pub pause: Duration,
    /// How long one request may take, above zero. Default: 30 s.
    pub request_timeout: Duration,
    /// How long all attempts at one thing may take together. Default: 2 min.
    pub give_up_after: Duration,
    /// Requests a second, of all kinds together; zero sets no limit. Default: 0.
    pub requests_per_second: u32,
    /// Bytes of objects that are kept in memory after they were read or published. Default: 16 MiB.
    pub cache_len: usize,
    /// Requests at once when the beginnings of many objects are read, at least 1. Default: 32.
    pub parallel_reads: usize,
    /// Whether the store is taken at its word, and not asked to refuse a second creation before the log is opened for
    /// writing. Default: `false`.
    pub assume_conditional_writes: bool,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            s3_region: None,
            s3_endpoint: None,
            s3_path_style: true,
            s3_profile: None,
            attempts: 10,
            pause: Duration::from_millis(50),
            request_timeout: Duration::from_secs(30),
            give_up_after: Duration::from_secs(120),
            requests_per_second: 0,
            cache_len: 16 << 20,
            parallel_reads: 32,
            assume_conditional_writes: false,
        }
    }
}

#[cfg(feature = "object-store")]
impl From<&ObjectSettings> for wal_object_store::ObjectOptions {
    fn from(settings: &ObjectSettings) -> Self {
        Self {
            attempts: settings.attempts,
            pause: settings.pause,
            request_timeout: settings.request_timeout,
            give_up_after: settings.give_up_after,
            requests_per_second: settings.requests_per_second,
            cache_len: settings.cache_len,
            parallel_reads: settings.parallel_reads,
            assume_conditional_writes: settings.assume_conditional_writes,
            ..Self::default()
        }
    }
}

#[cfg(test)]
#[cfg(feature = "object-store")]
mod tests {
    use wal_object_store::ObjectOptions;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_storage() {
        let made = ObjectOptions::from(&ObjectSettings::default());
        assert_eq!(format!("{made:?}"), format!("{:?}", ObjectOptions::default()));
    }
}
