//! `cargo xtask s3`: a log on a real server, and schedules of failing stores, as many as one likes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    ci::Done,
    metadata,
    process::{cargo, cargo_with, output, output_with, succeeds},
};

/// What the server takes: the whole bundle of it is many times as large.
const PACKAGES: &[&str] = &["moto[s3]", "flask", "flask-cors"];
const BUCKET: &str = "bucket";
const URL: &str = "s3://bucket/log";
/// Where it is copied to.
const SECOND: &str = "s3://bucket/copies/second";
/// So many entries the test leaves behind.
const ENTRIES: usize = 61;
/// The server needs about a second; on a busy machine many.
const ATTEMPTS: u32 = 1800;

const SCHEDULES: &[&str] = &[
    "test",
    "--release",
    "--package",
    "wal-object-store",
    "--test",
    "it",
    "--",
    "--exact",
    "schedules::whatever_the_store_does_nothing_acknowledged_is_lost",
    "--nocapture",
];
const MODEL: &[&str] =
    &["test", "--release", "--package", "wal-object-store", "--test", "model", "--", "--nocapture"];
const SERVER: &[&str] =
    &["test", "--package", "wal-object-store", "--features", "aws", "--lib", "--test", "s3"];

/// `s3 [--schedules N] [--seed S]`: schedules, or without any a server.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let Some((schedules, seed)) = parse(args)? else {
        if let Done::Skipped(why) = check(root)? {
            println!("s3: skipped: {why}");
        }
        return Ok(());
    };
    let (schedules, seed) = (schedules.to_string(), seed.to_string());
    cargo_with(root, SCHEDULES, &[("WAL_S3_SCHEDULES", schedules.as_str()), ("WAL_S3_SEED", seed.as_str())])?;
    cargo_with(root, MODEL, &[("WAL_OBJECT_RUNS", "10000")])
}

/// The step of `ci`: skipped where the server cannot be had.
pub(crate) fn check(root: &Path) -> Result<Done, String> {
    let target = metadata::read(root, "Cargo.toml")?.target_dir;
    let bin = match environment(root, &target.join("s3-server")) {
        Ok(bin) => bin,
        Err(why) => return Ok(Done::Skipped(why)),
    };
    let server = Server::start(&bin.join("moto_server"))?;
    server.put_bucket()?;
    let copy = target.join("s3-copy");
    let failed = |error: std::io::Error| format!("{}: {error}", copy.display());
    if copy.exists() {
        std::fs::remove_dir_all(&copy).map_err(failed)?;
    }
    std::fs::create_dir_all(&copy).map_err(failed)?;
    let copy = copy.display().to_string();
    let endpoint = server.endpoint();
    let about = [("WAL_S3_ENDPOINT", endpoint.as_str()), ("WAL_S3_COPY", copy.as_str()), ("WAL_S3_URL", URL)];
    cargo_with(root, SERVER, &about)?;
    // What was copied is an ordinary log.
    let cli = ["run", "--quiet", "--package", "wal-cli", "--"];
    let dump = output(root, "cargo", &[&cli[..], &["dump", copy.as_str()]].concat())?;
    if dump.lines().count() < ENTRIES {
        return Err(format!("`wal dump` shows {} lines of the copied log", dump.lines().count()));
    }
    cargo(root, &[&cli[..], &["verify", copy.as_str()]].concat())?;
    commands(root, &endpoint, &target.join("s3-down"))?;
    Ok(Done::Passed)
}

/// The commands on the URL of the log that the test has left behind.
fn commands(root: &Path, endpoint: &str, down: &Path) -> Result<(), String> {
    let aws = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let wal = |args: &[&str]| {
        let program = ["run", "--quiet", "--package", "wal-cli", "--features", "s3", "--"];
        output_with(root, "cargo", &[&program[..], args].concat(), &aws)
    };
    let says = |args: &[&str], what: &str| match wal(args)? {
        said if said.contains(what) => Ok(()),
        said => Err(format!("`wal {}` does not say {what:?}: {said}", args.join(" "))),
    };
    for command in ["ls", "info", "verify", "stats"] {
        wal(&[command, URL])?;
    }
    says(&["verify", "--deep", URL], "intact")?;
    says(&["get", URL, "110", "--format", "jsonl"], "\"lsn\":110")?;
    let dumped = wal(&["dump", URL])?;
    if dumped.lines().count() < ENTRIES || wal(&["tail", URL, "-n", "5"])?.lines().count() < 5 {
        return Err("`wal dump` or `wal tail` shows too little of the log".to_owned());
    }
    // Down, up again under another name, and once more, which finds everything there.
    if down.exists() {
        std::fs::remove_dir_all(down).map_err(|error| format!("{}: {error}", down.display()))?;
    }
    let down = down.display().to_string();
    for (from, to) in [(URL, down.as_str()), (down.as_str(), SECOND), (URL, SECOND)] {
        says(&["copy", from, to], "verified")?;
    }
    says(&["copy", URL, SECOND], " 0 of them copied now")?;
    if wal(&["dump", SECOND])? != dumped || wal(&["dump", &down])? != dumped {
        return Err("what was copied is not the same".to_owned());
    }
    says(&["fence", SECOND], "is over")?;
    says(&["prune", SECOND, "--before", "100"], "first entry 100")?;
    says(&["verify", "--deep", SECOND], "intact")
}

fn parse(args: &[String]) -> Result<Option<(u64, u64)>, String> {
    let (mut schedules, mut seed) = (None, 0);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().and_then(|value| value.replace('_', "").parse().ok());
        let value: u64 = value.ok_or_else(|| format!("`{arg}` needs a number"))?;
        match arg.as_str() {
            "--schedules" => schedules = Some(value),
            "--seed" => seed = value,
            _ => return Err(format!("s3: cannot make sense of `{arg}`")),
        }
    }
    Ok(schedules.map(|schedules| (schedules, seed)))
}

/// A virtual environment with the server in it. Made once.
fn environment(root: &Path, venv: &Path) -> Result<PathBuf, String> {
    let bin = venv.join("bin");
    let path = venv.display().to_string();
    if !bin.join("moto_server").exists() {
        println!("s3: installing a server into {path}");
        if !succeeds(root, "python3", &["-m", "venv", &path]) {
            return Err("python3 cannot make a virtual environment".to_owned());
        }
        let pip = bin.join("pip").display().to_string();
        let install = [&["install", "--quiet", "--disable-pip-version-check"], PACKAGES].concat();
        if !succeeds(root, &pip, &install) {
            return Err("the server cannot be installed: is the package index reachable?".to_owned());
        }
    }
    Ok(bin)
}

/// A server that ends with this.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(program: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", program.display());
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(failed)?.port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut server = Self { child, port };
        for _ in 0..ATTEMPTS {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait().map_err(failed)? {
                return Err(format!("the server has ended ({status})"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err("the server does not answer".to_owned())
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn put_bucket(&self) -> Result<(), String> {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            let port = self.port;
            write!(
                stream,
                "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().map_err(|error: std::io::Error| format!("creating a bucket: {error}"))?;
        let status = answer.lines().next().unwrap_or_default().to_owned();
        if status.contains(" 200") { Ok(()) } else { Err(format!("creating a bucket: {status}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_asked_for_by_number() {
        let parsed = |line: &str| parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parsed(""), Ok(None));
        assert_eq!(parsed("--schedules 100_000 --seed 7"), Ok(Some((100_000, 7))));
        assert!(parsed("--schedules").is_err() && parsed("--schedule 5").is_err());
    }
}
