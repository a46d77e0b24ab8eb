//! Many writers at once, and a death in between. Which of them comes first is up to the scheduler: these runs cannot be
//! repeated exactly, only often.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
};

use wal_compress::{Compression, WhenBehind};
use wal_core::{AppendOptions, Durability, Log, Options};
use wal_format::{EntriesBuilder, NewEntry};
use wal_sim::{Crash, CrashMoment, Faults, Rng, SimDisk};

use crate::{
    codec::compression,
    model::Payload,
    planted::Bug,
    rig::{Setup, chain},
    surroundings::{bare, options, scale, seed},
    tally,
};

const WRITERS: u64 = 4;
const APPENDS: u64 = 12;

/// What the writers were told: LSN and content.
type Told = Mutex<BTreeMap<u64, Payload>>;

/// The `n`-th payload of a writer. Its id says both.
fn payload(writer: u64, n: u64, rng: &mut Rng) -> Payload {
    let len = if rng.chance(40) { 12_000 } else { 8 + rng.below(400) };
    Payload { id: writer << 32 | n, len: len as usize }
}

/// Appends until the process dies.
fn write(log: &Log, writer: u64, seed: u64, told: &Told) {
    let mut rng = Rng::new(seed ^ writer);
    let mut n = 0;
    while n < APPENDS {
        let count = 1 + rng.below(3);
        let payloads: Vec<Payload> = (n..n + count).map(|n| payload(writer, n, &mut rng)).collect();
        n += count;
        let mut batch = EntriesBuilder::default();
        payloads.iter().for_each(|payload| batch.push(&NewEntry::plain(&payload.bytes())).unwrap());
        let durability = if rng.chance(64) { Durability::Buffered } else { Durability::Durable };
        let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
        // A single entry shares a frame with others', where the log compresses.
        let appended = match &*payloads {
            [single] => log.append_entry(&NewEntry::plain(&single.bytes()), &options).map(|lsn| (lsn, lsn)),
            _ => log.append_batch(&batch, &options),
        };
        let Ok((first, _)) = appended else { return };
        if durability == Durability::Durable {
            told.lock().unwrap().extend((first.get()..).zip(payloads));
        }
    }
}

/// What is found holds everything that was told, and of each writer a prefix in order.
fn check(setup: &Setup, disk: &SimDisk, told: &BTreeMap<u64, Payload>, seed: u64) -> Result<u64, String> {
    tally::state();
    let log = setup.open(disk).map_err(|error| format!("open failed: {}", chain(&error)))?;
    let next = log.next_lsn().get();
    let mut expected: Vec<_> = (0..WRITERS).map(|writer| (0, Rng::new(seed ^ writer), Vec::new())).collect();
    for (at, entry) in log.range(..).enumerate() {
        let entry = entry.map_err(|error| format!("read failed: {}", chain(&error)))?;
        let lsn = entry.lsn.get();
        let id = entry.payload.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        let found = Payload { id, len: entry.payload.len() };
        if lsn != at as u64 + 1 || entry.payload != found.bytes() {
            return Err(format!("entry {at} is {lsn}, {found:?}"));
        }
        if told.get(&lsn).is_some_and(|told| *told != found) {
            return Err(format!("entry {lsn} is {found:?}, not {:?}", told[&lsn]));
        }
        let writer: &mut (u64, Rng, Vec<Payload>) =
            expected.get_mut((id >> 32) as usize).ok_or_else(|| format!("entry {lsn} is nobody's"))?;
        if writer.2.is_empty() {
            let (n, rng, rest) = writer;
            let count = 1 + rng.below(3);
            rest.extend((*n..*n + count).map(|n| payload(id >> 32, n, rng)));
            rest.reverse();
            rng.chance(64);
            *n += count;
        }
        if writer.2.pop() != Some(found) {
            return Err(format!("entry {lsn} is {found:?}, out of its writer's order"));
        }
    }
    if expected.iter().any(|(_, _, rest)| !rest.is_empty()) {
        return Err("a batch is there in part".into());
    }
    let last = told.keys().next_back().copied().unwrap_or(0);
    if next <= last {
        Err(format!("the log ends before {next}, and {last} was acknowledged"))
    } else {
        Ok(next)
    }
}

fn round(seed: u64, bug: Bug) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let background_threads = rng.chance(128);
    let mut setup = Setup { bug, ..Setup::of(Options { background_threads, ..options() }) };
    if rng.chance(128) {
        let when_behind = if rng.chance(128) { WhenBehind::Compress } else { WhenBehind::StorePlain };
        let threads = rng.below(3) as u32;
        setup.options.compression = Compression { threads, when_behind, pack_len: 600, ..compression() };
    }
    let disk = SimDisk::with_options(seed, bare());
    let log = Arc::new(setup.open(&disk).map_err(|error| chain(&error))?);
    let moment = [CrashMoment::Before, CrashMoment::Within, CrashMoment::After][rng.below(3) as usize];
    let crash = Crash { operation: disk.operations() + rng.below(90), moment };
    disk.set_faults(Faults { crash: Some(crash), ..Faults::default() });
    let told = Told::default();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (log, told) = (&log, &told);
            scope.spawn(move || write(log, writer, seed, told));
        }
    });
    disk.kill();
    drop(log);
    disk.set_faults(Faults::default());
    tally::faults(1);
    let told = told.into_inner().unwrap();
    for cut in 0..4 {
        let cut_disk = disk.snapshot();
        if cut > 0 {
            cut_disk.crash(seed ^ cut);
        }
        let next = check(&setup, &cut_disk, &told, seed)?;
        // What recovery has reported stays.
        cut_disk.crash(seed);
        let again = check(&setup, &cut_disk, &told, seed)?;
        if again < next {
            return Err(format!("{next} was reported, and then {again}"));
        }
    }
    Ok(())
}

#[test]
fn many_writers_lose_nothing_that_was_acknowledged() {
    let before = tally::here();
    for n in 0..300 * scale() {
        let seed = seed() + n;
        round(seed, Bug::None).unwrap_or_else(|why| panic!("round {seed}: {why}"));
    }
    println!("{} states", (tally::here() - before).states);
}

#[test]
fn a_bug_is_caught_among_many_writers() {
    for bug in [Bug::NoSync, Bug::EarlyAcknowledgement, Bug::Hole] {
        let caught = (0..50).find_map(|seed| round(seed, bug).err().map(|why| (seed, why)));
        let (seed, why) = caught.unwrap_or_else(|| panic!("{bug:?} was not caught"));
        println!("{bug:?}: after {seed} rounds: {why}");
    }
}
