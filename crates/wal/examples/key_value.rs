//! A key-value store on the operation log: in memory, with snapshots, and whole after every crash.
//!
//! Runs itself as a process that writes, kills that in the middle of its work, opens the store again, and compares it
//! with what the process had reported as done; several times over the same files.
//!
//! ```sh
//! cargo run --package wal --example key_value
//! ```

#![expect(clippy::print_stdout, reason = "it is an example, and its writer reports what is done")]
#![expect(clippy::disallowed_methods, reason = "snapshots are files of its own")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wal::{
    BoxError, Lsn, Record, Wal,
    oplog::{Operation, OperationLog},
};

const ENTITY: &str = "numbers";
/// So many keys are written over and over.
const KEYS: u64 = 50;
const SNAPSHOT_EVERY: u64 = 64;

type State = BTreeMap<(String, Vec<u8>), Vec<u8>>;

struct Store {
    log: OperationLog,
    snapshot: PathBuf,
    state: State,
    /// The last operation in `state`.
    applied: Option<Lsn>,
    /// LSN of the last operation in the snapshot, or zero.
    covered: u64,
}

impl Store {
    fn open(dir: &Path) -> Result<Self, BoxError> {
        let log = OperationLog::new(Wal::open(dir.join("log"))?);
        let snapshot = dir.join("snapshot");
        let (covered, mut state) = load(&snapshot)?;
        // Operations that the snapshot holds, too, because a crash came before they were removed, are passed over.
        let applied = log.replay_into(covered, &mut state)?;
        covered.map_or(Ok(()), |lsn| log.snapshot_taken(lsn))?;
        Ok(Self { log, snapshot, state, applied, covered: covered.map_or(0, Lsn::get) })
    }

    fn get(&self, key: &str) -> Option<&[u8]> {
        self.state.get(&(ENTITY.to_owned(), key.into())).map(Vec::as_slice)
    }

    /// Durable on return.
    fn put(&mut self, key: &str, data: &str) -> Result<(), BoxError> {
        let lsn = self.log.append(&Operation::put(ENTITY, key, data))?;
        self.state.insert((ENTITY.to_owned(), key.into()), data.into());
        self.applied = Some(lsn);
        if lsn.get() - self.covered >= SNAPSHOT_EVERY {
            self.take_snapshot(lsn)?;
        }
        Ok(())
    }

    fn take_snapshot(&mut self, lsn: Lsn) -> Result<(), BoxError> {
        save(&self.snapshot, lsn, &self.state)?;
        // Only now: the snapshot is durable.
        self.log.snapshot_taken(lsn)?;
        self.covered = lsn.get();
        Ok(())
    }
}

/// Writes a snapshot beside the old one, and then in its place: there is always a whole one.
fn save(path: &Path, lsn: Lsn, state: &State) -> Result<(), BoxError> {
    let mut bytes = lsn.get().to_le_bytes().to_vec();
    for ((entity, key), data) in state {
        let mut record = Vec::new();
        Operation::put(entity.clone(), key.clone(), data.clone()).encode(&mut record)?;
        bytes.extend_from_slice(&u32::try_from(record.len())?.to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The name is durable once its directory is.
    fs::File::open(path.parent().ok_or("a snapshot lies in a directory")?)?.sync_all()?;
    Ok(())
}

/// A snapshot, and the last operation that it holds.
fn load(path: &Path) -> Result<(Option<Lsn>, State), BoxError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, State::new())),
        Err(error) => return Err(error.into()),
    };
    let short = "the snapshot is cut short";
    let (lsn, mut rest) = bytes.split_first_chunk::<8>().ok_or(short)?;
    let mut state = State::new();
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk::<4>().ok_or(short)?;
        let (record, behind) = behind.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(short)?;
        let Operation { entity, key, data, .. } = Operation::decode(1, record)?.ok_or(short)?;
        state.insert((entity, key), data);
        rest = behind;
    }
    Ok((Lsn::new(u64::from_le_bytes(*lsn)), state))
}

/// Puts number after number, and prints each once it is durable. Ends only when it is killed.
fn write(dir: &Path) -> Result<(), BoxError> {
    let mut store = Store::open(dir)?;
    let mut stdout = io::stdout().lock();
    for n in store.applied.map_or(1, |lsn| lsn.get() + 1).. {
        store.put(&format!("key {}", n % KEYS), &n.to_string())?;
        writeln!(stdout, "{n}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// Kills a writer after so many numbers, and says which was the last that it reported.
fn kill_a_writer(dir: &Path, after: usize) -> Result<u64, BoxError> {
    let program = env::current_exe()?;
    let mut writer = Command::new(program).arg("write").arg(dir).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(writer.stdout.take().ok_or("the writer has no output")?).lines();
    let mut last = 0;
    for (count, line) in lines.enumerate() {
        last = line?.parse()?;
        if count == after {
            // It goes on writing until it is dead; what it prints until then is read, too.
            writer.kill()?;
        }
    }
    writer.wait()?;
    Ok(last)
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, command, dir] = arguments.as_slice()
        && command == "write"
    {
        return write(Path::new(dir));
    }
    let dir = tempfile::tempdir()?;
    for after in [10, 150, 1, 300] {
        let reported = kill_a_writer(dir.path(), after)?;
        let store = Store::open(dir.path())?;
        // What was reported is there. One more may be: durable, and not yet reported.
        let last = store.applied.map_or(0, Lsn::get);
        assert!(
            reported > 0 && (reported..=reported + 1).contains(&last),
            "{reported} reported, {last} found"
        );
        for n in last.saturating_sub(KEYS - 1).max(1)..=last {
            assert_eq!(store.get(&format!("key {}", n % KEYS)), Some(n.to_string().as_bytes()));
        }
        assert_eq!(store.state.len() as u64, last.min(KEYS));
        let kept = store.log.wal().iter().count();
        assert!(kept as u64 <= 2 * SNAPSHOT_EVERY, "snapshots keep the log short");
        println!("killed after {reported} puts: {last} are there, {kept} of them in the log");
    }
    Ok(())
}
