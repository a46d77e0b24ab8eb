//! S3 and what speaks like it, by a URL and the settings its users know.

use std::{fmt, io, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
};

use crate::{
    ObjectOptions, ObjectStorage,
    error::from_store,
    profile::{Profile, Vars},
};

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
    /// Without keys, credentials come from a [profile](Self::profile), from a web identity, from the container or from
    /// the instance.
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
        Ok(Self { builder, bucket, prefix, timeout: Duration::from_secs(30), attempts: 0 })
    }

    /// Takes what the environment does not say from a profile of the shared files of AWS, `~/.aws/credentials` and
    /// `~/.aws/config`, or where `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` point: keys, the token of a
    /// session, a web identity, region, endpoint. Without a name it is the one that `AWS_PROFILE` names, or `default`
    /// if there is one. Keys of a profile that is named, here or there, replace those of the environment.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no profile of the name; `Unsupported` when its keys are not in the files; errors of
    /// reading them.
    pub fn profile(self, name: Option<&str>) -> io::Result<Self> {
        self.profile_from(name, &|name| std::env::var(name))
    }

    fn profile_from(mut self, name: Option<&str>, var: Vars<'_>) -> io::Result<Self> {
        use AmazonS3ConfigKey::{
            AccessKeyId, Endpoint, Region, RoleArn, SecretAccessKey, Token, WebIdentityTokenFile,
        };
        let is_named = name.is_some() || var("AWS_PROFILE").is_ok_and(|name| !name.is_empty());
        let Some(profile) = Profile::find(name, var)? else { return Ok(self) };
        let has_keys = [AccessKeyId, WebIdentityTokenFile]
            .iter()
            .any(|key| self.builder.get_config_value(key).is_some());
        if is_named || !has_keys {
            profile.check()?;
            for (key, name) in [
                (AccessKeyId, "aws_access_key_id"),
                (SecretAccessKey, "aws_secret_access_key"),
                (Token, "aws_session_token"),
                (WebIdentityTokenFile, "web_identity_token_file"),
                (RoleArn, "role_arn"),
            ] {
                if let Some(value) = profile.get(name) {
                    self.builder = self.builder.with_config(key, value);
                }
            }
        }
        for (key, name) in [(Region, "region"), (Endpoint, "endpoint_url")] {
            if let (None, Some(value)) = (self.builder.get_config_value(&key), profile.get(name)) {
                self.builder = self.builder.with_config(key, value);
            }
        }
        Ok(self)
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

    /// How long one attempt of a request may take, and how often the client makes it again by itself. Default: 30 s, 0:
    /// [`ObjectOptions::attempts`] are counted, keep to the limit of requests, and have the time that a long object
    /// takes. Attempts of the client's own do not: for a tier, leave it at 0.
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
        let client = match self.attempts {
            // The storage limits every request itself, and gives one that sends a long object more time.
            0 => ClientOptions::new().with_timeout_disabled(),
            _ => ClientOptions::new().with_timeout(self.timeout),
        };
        // The options of a client replace those that are there, and with them what was said about encryption.
        let encrypted = self.builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
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
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
    };

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
    fn a_profile_gives_what_nothing_else_said() {
        let dir = std::env::temp_dir().join(format!("wal-s3-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("credentials");
        let text = "[default]\naws_access_key_id = ID\naws_secret_access_key = SECRET\nregion = r1\n\
            [other]\naws_access_key_id = OTHER\naws_secret_access_key = SECRET\nregion = r2\n";
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&file, text).unwrap();
        let var = |name: &str| match name {
            "AWS_SHARED_CREDENTIALS_FILE" => Ok(file.to_str().unwrap().to_owned()),
            _ => Err(std::env::VarError::NotPresent),
        };
        let bare = || S3Config {
            builder: AmazonS3Builder::new().with_bucket_name("b"),
            ..S3Config::from_url("s3://b/p").unwrap()
        };
        let said = |config: &S3Config, key| config.builder.get_config_value(&key);
        let config = bare().profile_from(None, &var).unwrap();
        assert_eq!(said(&config, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("ID"));
        assert_eq!(said(&config, AmazonS3ConfigKey::Region).as_deref(), Some("r1"));
        let config = bare().region("r9").keys("MINE", "SECRET", None).profile_from(None, &var).unwrap();
        assert_eq!(said(&config, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("MINE"));
        let config =
            bare().region("r9").keys("MINE", "SECRET", None).profile_from(Some("other"), &var).unwrap();
        assert_eq!(said(&config, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("OTHER"));
        assert_eq!(said(&config, AmazonS3ConfigKey::Region).as_deref(), Some("r9"));
        assert!(!format!("{config:?}").contains("SECRET"));
        assert!(bare().profile_from(Some("none"), &var).is_err());
        std::fs::remove_dir_all(dir).unwrap();
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

    /// Answers the requests of one client after another: there is nothing, and then there is what was put, which takes
    /// longer than other requests may.
    fn slow_server(listener: &TcpListener, slow: Duration) {
        let mut there: Option<Vec<u8>> = None;
        for client in listener.incoming().map_while(Result::ok) {
            let mut client = BufReader::new(client);
            let lines: Vec<String> =
                client.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let header = |name: &str| {
                let found =
                    lines.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name);
                found.map(|(_, value)| value.to_owned())
            };
            let mut head = "404 Not Found".to_owned();
            let mut body: &[u8] = &[];
            if lines[0].starts_with("PUT") {
                let mut content = vec![0; header("content-length").unwrap().parse().unwrap()];
                client.read_exact(&mut content).unwrap();
                std::thread::sleep(slow);
                there = Some(content);
                head = "200 OK\r\netag: \"1\"".to_owned();
            } else if let Some(content) = &there {
                let range = header("range").unwrap();
                let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                body = &content[from..content.len().min(to + 1)];
                let (to, all) = (from + body.len() - 1, content.len());
                let date = "last-modified: Fri, 20 Nov 2026 12:00:00 GMT\r\netag: \"1\"";
                head = format!("206 Partial Content\r\n{date}\r\ncontent-range: bytes {from}-{to}/{all}");
            }
            let answer =
                format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let mut client = client.into_inner();
            // Who has given up does not read it.
            let _ = client.write_all(&[answer.as_bytes(), body].concat());
        }
    }

    #[test]
    fn a_long_object_has_the_time_that_it_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limit = Duration::from_secs(1);
        std::thread::spawn(move || slow_server(&listener, 4 * limit));
        let config = S3Config::from_url("s3://b/p").unwrap().keys("id", "secret", None).region("r");
        let options = ObjectOptions { request_timeout: limit, attempts: 2, ..ObjectOptions::default() };
        let storage = config.endpoint(&url).path_style(true).limits(limit, 0).open(options).unwrap();
        // At the rate that shipping counts with it has half a minute.
        let content = bytes::Bytes::from(vec![7; 8 << 20]);
        wal_segment::Storage::ship(&storage, "a", content).unwrap();
        assert_eq!(wal_segment::Storage::requests(&storage).unwrap().puts, 1);
    }
}
