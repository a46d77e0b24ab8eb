//! S3 and what speaks like it, by a URL and the settings its users know.

use std::{fmt, io, sync::Arc, time::Duration};

use object_store::{ClientOptions, RetryConfig, aws::AmazonS3Builder};

use crate::{ObjectOptions, ObjectStorage, error::from_store};

/// Where a log is in S3, and how to get there.
///
/// ```
/// use wal_object_store::S3Config;
///
/// let config = S3Config::from_url("s3://bucket/logs/orders")?.region("eu-central-1").keys("AKIA...", "secret", None);
/// assert_eq!(config.location(), "s3://bucket/logs/orders");
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct S3Config {
    builder: AmazonS3Builder,
    bucket: String,
    prefix: String,
    /// Of one request, the store's own attempts included.
    timeout: Duration,
    attempts: usize,
}

impl S3Config {
    /// The log at `s3://bucket/prefix`. Everything else comes from the environment, from variables with the names that
    /// the tools of AWS use (`AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and so on), until it is set here.
    /// Without keys, credentials come from a web identity, from the container or from the instance.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what is no such URL, or has no bucket or no prefix in it, or more than that.
    pub fn from_url(url: &str) -> io::Result<Self> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        let place = url.strip_prefix("s3://").ok_or_else(|| invalid("the URL does not begin with s3://"))?;
        if place.contains(['?', '#', '@']) {
            return Err(invalid("a URL of a log is s3://bucket/prefix, without keys, a query or a fragment"));
        }
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || prefix.is_empty() {
            return Err(invalid("a URL of a log is s3://bucket/prefix, with both of them"));
        }
        let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Ok(Self { builder, bucket, prefix, timeout: Duration::from_secs(30), attempts: 3 })
    }

    /// The region of the bucket.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.builder = self.builder.with_region(region);
        self
    }

    /// Another server than that of AWS. One that begins with `http://` is spoken to without encryption.
    #[must_use]
    pub fn endpoint(mut self, url: &str) -> Self {
        self.builder = self.builder.with_allow_http(url.starts_with("http://")).with_endpoint(url);
        self
    }

    /// Whether the bucket stands in the path and not in the name of the host. Default: yes.
    #[must_use]
    pub fn path_style(mut self, yes: bool) -> Self {
        self.builder = self.builder.with_virtual_hosted_style_request(!yes);
        self
    }

    /// Keys, and the token of a session.
    #[must_use]
    pub fn keys(mut self, id: &str, secret: &str, token: Option<&str>) -> Self {
        self.builder = self.builder.with_access_key_id(id).with_secret_access_key(secret);
        if let Some(token) = token {
            self.builder = self.builder.with_token(token);
        }
        self
    }

    /// How long one attempt of a request may take, and how often the client makes it again by itself. Default: 30 s, 3.
    #[must_use]
    pub const fn limits(mut self, timeout: Duration, attempts: usize) -> Self {
        self.timeout = timeout;
        self.attempts = attempts;
        self
    }

    /// The URL.
    #[must_use]
    pub fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    /// The storage there. Makes no request.
    ///
    /// # Errors
    ///
    /// What the client has against these settings; those of [`ObjectStorage::new`].
    pub fn open(self, options: ObjectOptions) -> io::Result<ObjectStorage> {
        let location = options.location.clone().or_else(|| Some(self.location()));
        let retry_timeout = self.timeout.saturating_mul(1 + u32::try_from(self.attempts).unwrap_or(u32::MAX));
        let retry = RetryConfig { max_retries: self.attempts, retry_timeout, ..RetryConfig::default() };
        let client = ClientOptions::new().with_timeout(self.timeout);
        // The options of a client replace those that are there, and with them what was said about encryption.
        let encrypted = self.builder.get_config_value(&object_store::aws::AmazonS3ConfigKey::Endpoint);
        let plain = encrypted.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client = client.with_allow_http(plain);
        let store = self.builder.with_retry(retry).with_client_options(client).build();
        let store = Arc::new(store.map_err(|error| from_store(&error))?);
        let request_timeout = options.request_timeout.max(retry_timeout);
        ObjectStorage::new(store, &self.prefix, ObjectOptions { location, request_timeout, ..options })
    }
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config").field("location", &self.location()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_is_taken() {
        for bad in
            ["http://b/p", "s3://", "s3://b", "s3://b/", "s3:///p", "s3://k:SECRET@b/p", "s3://b/p?k=SECRET"]
        {
            let error = S3Config::from_url(bad).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
            assert!(!error.to_string().contains("SECRET"));
        }
        assert_eq!(S3Config::from_url("s3://b/a/c/").unwrap().location(), "s3://b/a/c");
    }

    #[test]
    fn no_secret_is_shown() {
        let config = S3Config::from_url("s3://b/p").unwrap().keys("id", "SECRET", Some("SECRET"));
        let config = config.endpoint("http://127.0.0.1:9/").region("x").limits(Duration::from_millis(200), 0);
        let options = ObjectOptions { attempts: 1, ..ObjectOptions::default() };
        let shown = format!("{config:?}");
        let storage = config.open(options).unwrap();
        let error = wal_segment::Storage::list(&storage).unwrap_err();
        let shown = format!("{shown} {storage:?} {error} {error:?}");
        assert!(!shown.contains("SECRET") && shown.contains("s3://b/p"), "{shown}");
    }
}
