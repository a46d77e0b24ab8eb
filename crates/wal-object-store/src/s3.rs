//! S3 and what speaks like it, by a URL and the settings its users know.

use std::{collections::HashMap, ffi::OsString, fmt, io, sync::Arc, time::Duration};

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
    /// What the client is told, the environment included. A client that was told something does not forget it.
    settings: HashMap<AmazonS3ConfigKey, String>,
    bucket: String,
    prefix: String,
    /// Of one attempt, and how many more the client makes by itself.
    limits: Option<(Duration, usize)>,
}

/// Whose requests they are: from one source, and never some of it from one and some from another.
const IDENTITY: &[(AmazonS3ConfigKey, &str)] = &[
    (AmazonS3ConfigKey::AccessKeyId, "aws_access_key_id"),
    (AmazonS3ConfigKey::SecretAccessKey, "aws_secret_access_key"),
    (AmazonS3ConfigKey::Token, "aws_session_token"),
    (AmazonS3ConfigKey::WebIdentityTokenFile, "web_identity_token_file"),
    (AmazonS3ConfigKey::RoleArn, "role_arn"),
];

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
        Self::from_url_and(url, std::env::vars_os())
    }

    fn from_url_and(url: &str, vars: impl Iterator<Item = (OsString, OsString)>) -> io::Result<Self> {
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
        let mut settings: HashMap<_, _> = vars.filter_map(setting).collect();
        settings.insert(AmazonS3ConfigKey::Bucket, bucket.to_owned());
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Ok(Self { settings, bucket, prefix, limits: None })
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
            AccessKeyId, DefaultRegion, Endpoint, Region, S3Endpoint, WebIdentityTokenFile,
        };
        let is_named = name.is_some() || var("AWS_PROFILE").is_ok_and(|name| !name.is_empty());
        let Some(profile) = Profile::find(name, var)? else { return Ok(self) };
        if is_named || !self.has(&[AccessKeyId, WebIdentityTokenFile]) {
            profile.check()?;
            let found: Vec<_> = IDENTITY
                .iter()
                .filter_map(|(key, name)| profile.get(name).map(|value| (*key, value.to_owned())))
                .collect();
            if !found.is_empty() {
                self.settings.retain(|key, _| IDENTITY.iter().all(|(part, _)| part != key));
                self.settings.extend(found);
            }
        }
        for (keys, name) in [([Region, DefaultRegion], "region"), ([Endpoint, S3Endpoint], "endpoint_url")] {
            if let (false, Some(value)) = (self.has(&keys), profile.get(name)) {
                self.settings.insert(keys[0], value.to_owned());
            }
        }
        Ok(self)
    }

    fn has(&self, keys: &[AmazonS3ConfigKey]) -> bool {
        keys.iter().any(|key| self.settings.contains_key(key))
    }

    /// The region of the bucket.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.settings.insert(AmazonS3ConfigKey::Region, region.to_owned());
        self
    }

    /// Another server than that of AWS. One that begins with `http://` is spoken to without encryption.
    #[must_use]
    pub fn endpoint(mut self, url: &str) -> Self {
        self.settings.remove(&AmazonS3ConfigKey::S3Endpoint);
        self.settings.insert(AmazonS3ConfigKey::Endpoint, url.to_owned());
        self
    }

    /// Whether the bucket stands in the path and not in the name of the host. Default: yes.
    #[must_use]
    pub fn path_style(mut self, yes: bool) -> Self {
        self.settings.insert(AmazonS3ConfigKey::VirtualHostedStyleRequest, (!yes).to_string());
        self
    }

    /// Keys, and the token of a session. Nothing of the environment's is used with them.
    #[must_use]
    pub fn keys(mut self, id: &str, secret: &str, token: Option<&str>) -> Self {
        self.settings.retain(|key, _| IDENTITY.iter().all(|(part, _)| part != key));
        let token = token.map(|token| (AmazonS3ConfigKey::Token, token));
        let keys = [(AmazonS3ConfigKey::AccessKeyId, id), (AmazonS3ConfigKey::SecretAccessKey, secret)];
        self.settings.extend(keys.into_iter().chain(token).map(|(key, value)| (key, value.to_owned())));
        self
    }

    /// How long one attempt of a request may take, in the place of [`ObjectOptions::request_timeout`], and how often
    /// the client makes it again by itself. Default: what the options say, 0: [`ObjectOptions::attempts`] are counted,
    /// and keep to the limit of requests. A client that makes more attempts gives an upload no more time for its
    /// length: for a tier, leave it at 0.
    #[must_use]
    pub const fn limits(mut self, timeout: Duration, attempts: usize) -> Self {
        self.limits = Some((timeout, attempts));
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
        let (timeout, attempts) = self.limits.unwrap_or((options.request_timeout, 0));
        let request_timeout =
            timeout.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX).saturating_add(1));
        let retry =
            RetryConfig { max_retries: attempts, retry_timeout: request_timeout, ..RetryConfig::default() };
        // Whoever makes one attempt is stopped by the storage, which knows how long the object is.
        let client = ClientOptions::new();
        let client =
            if attempts == 0 { client.with_timeout_disabled() } else { client.with_timeout(timeout) };
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| self.settings.get(key));
        // The options of a client replace those that are there.
        let client = client.with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")));
        let store = self.builder().with_retry(retry).with_client_options(client).build();
        let store = Arc::new(store.map_err(|error| from_store(&error))?);
        ObjectStorage::new(store, &self.prefix, ObjectOptions { location, request_timeout, ..options })
    }

    fn builder(&self) -> AmazonS3Builder {
        let told = |builder: AmazonS3Builder, (key, value): (&AmazonS3ConfigKey, &String)| {
            builder.with_config(*key, value)
        };
        self.settings.iter().fold(AmazonS3Builder::new(), told)
    }
}

/// What a variable of the environment says to the client. One that is empty says nothing.
fn setting((name, value): (OsString, OsString)) -> Option<(AmazonS3ConfigKey, String)> {
    let (name, value) = (name.to_str()?, value.into_string().ok()?);
    let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse().ok())??;
    (!value.is_empty()).then_some((key, value))
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
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        let text = "[default]\naws_access_key_id = ID\naws_secret_access_key = SECRET\nregion = r1\n\
            [other]\naws_access_key_id = OTHER\naws_secret_access_key = SECRET\nregion = r2\n";
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&file, text).unwrap();
        let var = |name: &str| match name {
            "AWS_SHARED_CREDENTIALS_FILE" => Ok(file.to_str().unwrap().to_owned()),
            _ => Err(std::env::VarError::NotPresent),
        };
        let bare = || S3Config::from_url_and("s3://b/p", std::iter::empty()).unwrap();
        let said = |config: &S3Config, key| config.builder().get_config_value(&key);
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
    }

    #[test]
    fn keys_of_two_sources_are_never_mixed() {
        use AmazonS3ConfigKey::{
            AccessKeyId, DefaultRegion, Endpoint, Region, S3Endpoint, SecretAccessKey, Token,
            WebIdentityTokenFile,
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let text = "[profile keys]\naws_access_key_id = ID\naws_secret_access_key = SECRET\n\
            [profile pod]\nrole_arn = arn\nweb_identity_token_file = /token\nregion = r1\n";
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&file, text).unwrap();
        let var = |name: &str| match name {
            "AWS_CONFIG_FILE" => Ok(file.to_str().unwrap().to_owned()),
            _ => Err(std::env::VarError::NotPresent),
        };
        let vars = [
            ("AWS_ACCESS_KEY_ID", "OTHER"),
            ("AWS_SECRET_ACCESS_KEY", "OTHERS"),
            ("AWS_SESSION_TOKEN", "STALE"),
            ("AWS_DEFAULT_REGION", "r9"),
            ("AWS_REGION", ""),
            ("AWS_ENDPOINT_URL_S3", "http://other"),
        ];
        let vars = || vars.into_iter().map(|(name, value)| (name.into(), value.into()));
        let bare = || S3Config::from_url_and("s3://b/p", vars()).unwrap();
        let said = |config: &S3Config, key| config.builder().get_config_value(&key);
        let told = bare();
        assert_eq!(said(&told, Token).as_deref(), Some("STALE"));
        for config in [bare().profile_from(Some("keys"), &var).unwrap(), bare().keys("ID", "SECRET", None)] {
            assert_eq!(said(&config, AccessKeyId).as_deref(), Some("ID"));
            assert_eq!(said(&config, Token), None, "the token belongs to other keys");
        }
        let pod = bare().profile_from(Some("pod"), &var).unwrap();
        assert_eq!(
            (said(&pod, AccessKeyId), said(&pod, SecretAccessKey), said(&pod, Token)),
            (None, None, None)
        );
        assert_eq!(said(&pod, WebIdentityTokenFile).as_deref(), Some("/token"));
        assert_eq!((said(&pod, Region), said(&pod, DefaultRegion)), (Some("r9".into()), Some("r9".into())));
        let here = bare().endpoint("http://here");
        assert_eq!((said(&here, Endpoint).as_deref(), said(&here, S3Endpoint)), (Some("http://here"), None));
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
            if lines.is_empty() {
                continue;
            }
            let mut head = "404 Not Found".to_owned();
            let mut body: &[u8] = &[];
            if lines[0].starts_with("PUT") {
                let mut content = vec![0; header("content-length").unwrap().parse().unwrap()];
                if client.read_exact(&mut content).is_err() {
                    continue;
                }
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
        // Long enough for the short requests of a busy machine.
        let limit = Duration::from_secs(6);
        std::thread::spawn(move || slow_server(&listener, limit + limit / 3));
        let config = S3Config::from_url("s3://b/p").unwrap().keys("id", "secret", None).region("r");
        let options = ObjectOptions { request_timeout: limit, attempts: 2, ..ObjectOptions::default() };
        let storage = config.endpoint(&url).path_style(true).limits(limit, 0).open(options).unwrap();
        // At the rate that shipping counts with it has half a minute.
        let content = bytes::Bytes::from(vec![7; 8 << 20]);
        wal_segment::Storage::ship(&storage, "a", content).unwrap();
        assert_eq!(wal_segment::Storage::requests(&storage).unwrap().puts, 1);
    }
}
