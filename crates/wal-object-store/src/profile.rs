//! The files in which the tools of AWS keep keys and settings by the name of a profile.
//!
//! Only what stands in the files is used: keys, the token of a session, region, endpoint, and a web identity. A profile
//! that gets its keys from a program, from a login, or from the role of another profile is refused by name.

use std::{
    collections::BTreeMap,
    env::VarError,
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// What a profile says. Shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    name: String,
    settings: BTreeMap<String, String>,
}

/// Where values of variables come from; in tests, not from the process.
pub(crate) type Vars<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Longest file that is read.
const LEN_MAX: u64 = 1 << 20;

/// Ways to get keys that take more than a file.
const ELSEWHERE: &[&str] =
    &["credential_process", "sso_session", "sso_start_url", "source_profile", "credential_source"];

impl Profile {
    /// The profile with this name, from the files that the variables name, or from those in the home directory. `None`
    /// when no name was given and there is no profile `default`.
    ///
    /// # Errors
    ///
    /// `NotFound` for a name that is in neither file; errors of reading, when there was a name.
    pub(crate) fn find(name: Option<&str>, var: Vars<'_>) -> io::Result<Option<Self>> {
        let named =
            name.map(str::to_owned).or_else(|| var("AWS_PROFILE").ok().filter(|name| !name.is_empty()));
        let wanted = named.as_deref().unwrap_or("default");
        let home = var("HOME").or_else(|_| var("USERPROFILE")).ok().map(PathBuf::from);
        let file = |variable: &str, name: &str| {
            let given = var(variable).ok().filter(|path| !path.is_empty()).map(PathBuf::from);
            given.or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
        };
        let mut found = None;
        // Keys in the second file override those in the first.
        for (variable, name, is_config) in
            [("AWS_CONFIG_FILE", "config", true), ("AWS_SHARED_CREDENTIALS_FILE", "credentials", false)]
        {
            let Some(path) = file(variable, name) else { continue };
            let text = match read(&path) {
                // Nobody asked for it.
                Err(_) if named.is_none() => continue,
                text => text?,
            };
            let Some(text) = text else { continue };
            if let Some(section) = section(&text, wanted, is_config) {
                found.get_or_insert_with(BTreeMap::new).extend(section);
            }
        }
        match found {
            Some(settings) => Ok(Some(Self { name: wanted.to_owned(), settings })),
            None if named.is_some() => {
                let why = format!("there is no profile {wanted:?} in the shared files of AWS");
                Err(io::Error::new(io::ErrorKind::NotFound, why))
            }
            None => Ok(None),
        }
    }

    /// What it says about something.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Makes sure that its keys, if it has any, are in the files.
    ///
    /// # Errors
    ///
    /// `Unsupported`, and says where they are.
    pub(crate) fn check(&self) -> io::Result<()> {
        let name = &self.name;
        let has_keys =
            self.get("aws_access_key_id").is_some() || self.get("web_identity_token_file").is_some();
        match ELSEWHERE.iter().find(|key| !has_keys && self.get(key).is_some()) {
            Some(key) => {
                let why = format!(
                    "profile {name:?} gets its keys by {key}, which is not supported: put keys into the environment"
                );
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.settings.keys()).finish()
    }
}

#[expect(clippy::disallowed_methods, reason = "files of settings, not of a log")]
fn read(path: &Path) -> io::Result<Option<String>> {
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {}", path.display(), error.kind()));
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    // The length of what is no file is not known before it ends.
    let mut bytes = Vec::new();
    file.take(LEN_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LEN_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The settings of one section; `None` when there is none of this name. A later line overrides an earlier one, and
/// lines that are indented belong to a setting with parts, of which none is needed here.
fn section(text: &str, wanted: &str, is_config: bool) -> Option<BTreeMap<String, String>> {
    let mut found = None;
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = is_section(name.trim(), wanted, is_config);
            if inside {
                found.get_or_insert_with(BTreeMap::new);
            }
            continue;
        }
        let is_part = line.starts_with([' ', '\t']);
        if let (true, false, Some((key, value))) = (inside, is_part, trimmed.split_once('=')) {
            // A comment needs a space before it: a key may hold the character.
            let value = value.split(" #").next().and_then(|value| value.split(" ;").next()).unwrap_or("");
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
            found.get_or_insert_with(BTreeMap::new).insert(key, value);
        }
    }
    found
}

fn is_section(name: &str, wanted: &str, is_config: bool) -> bool {
    let of_profile = name.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim);
    match of_profile {
        Some(name) => is_config && name.trim_matches('"') == wanted,
        // In the file of settings only the default stands without the word.
        None => name == wanted && (!is_config || wanted == "default"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "\
# keys
[default]
aws_access_key_id = ID1
aws_secret_access_key=a/b+c=#SECRET  # one of them
s3 =
  endpoint_url = http://of.a.part

[ work ]
AWS_ACCESS_KEY_ID=ID2
aws_secret_access_key = SECRET2
aws_session_token = SECRET3
";
    const CONFIG: &str = "\
[default]
region = eu-central-1
[profile work]
region = us-west-2
endpoint_url = http://127.0.0.1:9000
[work]
region = wrong
[profile sso]
sso_session = corp
[profile pod]
role_arn = arn:aws:iam::1:role/x
web_identity_token_file = /var/token
";

    fn with(credentials: &str, config: &str, find: impl FnOnce(Vars<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let aws = dir.path().join(".aws");
        std::fs::create_dir_all(&aws).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own files")]
        for (name, text) in [("credentials", credentials), ("config", config)] {
            std::fs::write(aws.join(name), text).unwrap();
        }
        let home = dir.path().to_str().unwrap().to_owned();
        find(&|name| if name == "HOME" { Ok(home.clone()) } else { Err(VarError::NotPresent) });
    }

    #[test]
    fn keys_and_settings_are_found_by_name() {
        with(CREDENTIALS, CONFIG, |var| {
            let default = Profile::find(None, var).unwrap().unwrap();
            assert_eq!(default.get("aws_access_key_id"), Some("ID1"));
            assert_eq!(default.get("aws_secret_access_key"), Some("a/b+c=#SECRET"));
            assert_eq!((default.get("region"), default.get("endpoint_url")), (Some("eu-central-1"), None));
            let work = Profile::find(Some("work"), var).unwrap().unwrap();
            assert_eq!(work.get("aws_session_token"), Some("SECRET3"));
            assert_eq!(
                work.get("region"),
                Some("us-west-2"),
                "a section of the other file's form is another one"
            );
            assert_eq!(work.get("endpoint_url"), Some("http://127.0.0.1:9000"));
            assert!(!format!("{default:?} {work:?}").contains("SECRET"));
            let pod = Profile::find(Some("pod"), var).unwrap().unwrap();
            assert_eq!(pod.get("web_identity_token_file"), Some("/var/token"));
        });
    }

    #[test]
    fn a_profile_that_is_not_there_or_not_in_the_files_is_refused() {
        with(CREDENTIALS, CONFIG, |var| {
            let missing = Profile::find(Some("wrok"), var).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            let sso = Profile::find(Some("sso"), var).unwrap().unwrap().check().unwrap_err();
            assert_eq!(sso.kind(), io::ErrorKind::Unsupported);
            assert!(sso.to_string().contains("sso_session"), "{sso}");
        });
        let nowhere = |_: &str| Err(VarError::NotPresent);
        assert_eq!(Profile::find(None, &nowhere).unwrap(), None);
        let missing = |name: &str| match name {
            "AWS_PROFILE" => Ok("work".to_owned()),
            "AWS_CONFIG_FILE" => Ok("/nowhere/at/all".to_owned()),
            _ => Err(VarError::NotPresent),
        };
        assert_eq!(Profile::find(None, &missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_is_refused() {
        let endless = |name: &str| match name {
            "AWS_PROFILE" => Ok("default".to_owned()),
            "AWS_CONFIG_FILE" => Ok("/dev/zero".to_owned()),
            _ => Err(VarError::NotPresent),
        };
        assert_eq!(Profile::find(None, &endless).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn odd_files_are_no_reason_to_panic() {
        for text in [
            "",
            "[",
            "[]",
            "]",
            "=",
            "[default",
            "[default]\n=\n x\n==",
            "a=b",
            "[profile]\n[profile \"a b\"]\nx=1",
        ] {
            for is_config in [true, false] {
                let _ = (section(text, "default", is_config), section(text, "", is_config));
            }
        }
        let quoted = section("[profile \"a b\"]\nx=1", "a b", true).unwrap();
        assert_eq!(quoted.get("x").map(String::as_str), Some("1"));
    }
}
