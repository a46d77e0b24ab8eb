//! Frames that come from another log, and backups, at every step of which the power may go.

use std::sync::Arc;

use wal_core::{AppendOptions, EncodedFrame, Log, LogError};
use wal_format::{ChecksumKind, Lsn, NewEntry};
use wal_segment::Storage;
use wal_sim::{Crash, CrashMoment, Faults, SimDisk, VirtualTime};

use crate::{
    model::{End, Payload, Seen},
    planted::Bug,
    rig::{Op, Rig, Setup, chain},
    surroundings::{bare, environment, options, seed},
    tally,
    workloads::Workload,
};

const BIG: usize = 20_000;

pub(crate) fn workloads() -> Vec<Workload> {
    use Op::*;
    let frames = |lens: &[usize]| Receive(lens.to_vec());
    vec![Workload {
        name: "follow",
        setup: Setup::of(options()),
        ops: [
            vec![frames(&[30]), frames(&[10, 3000]), Append(40), frames(&[BIG, BIG]), CutLast(2)],
            vec![frames(&[50]), Kill, frames(&[BIG]), KeepLast(2)],
        ]
        .concat(),
    }]
}

impl Rig {
    /// One frame of another log, after one that was damaged on the way and must leave no trace.
    pub(crate) fn receive(&mut self, lens: &[usize]) -> Result<(), String> {
        let payloads: Vec<Payload> = lens.iter().map(|len| self.model.payload(*len)).collect();
        let bytes: Vec<Vec<u8>> = payloads.iter().map(|payload| payload.bytes()).collect();
        let entries: Vec<NewEntry<'_>> = bytes.iter().map(|bytes| NewEntry::plain(bytes)).collect();
        let next = self.log().next_lsn();
        let frame = EncodedFrame::new(next, 0, None, &entries).map_err(|error| error.to_string())?;
        let mut damaged = frame.body.to_vec();
        if let Some(last) = damaged.last_mut() {
            *last ^= 0x40;
        }
        let mut damaged = EncodedFrame { body: damaged.into(), ..frame.clone() };
        if self.setup.bug == Bug::ReceivedUnchecked {
            // What a log does that takes the body for what it should be.
            damaged.body_crc = ChecksumKind::Crc32.of(&damaged.body);
        }
        let options = AppendOptions::default();
        match self.log().append_frame(&damaged, &options) {
            Err(LogError::InvalidFrame { .. }) => {}
            // Of a log that takes it, the model knows nothing.
            Ok(_) => {
                self.model.appended(&payloads);
                return Ok(());
            }
            Err(error) => return Err(format!("a damaged frame was refused by {}", chain(&error))),
        }
        let result = self.log().append_frame(&frame, &options);
        self.appended(&payloads, result.map(|(first, last)| (first.get(), last.get())), None)
    }
}

/// A log that is worth a backup: several segments, a trim, a cut, and a segment that has just begun.
fn source() -> (SimDisk, Log) {
    let mut rig = Rig::new(&Setup::default(), seed(), bare());
    rig.open(End::Process).unwrap();
    // The long one is proven and too long to be replaced: what follows it begins without a seal before it.
    let end =
        vec![Op::KeepLast(12), Op::CutLast(1), Op::Batch(vec![10, 20]), Op::Append(5 * BIG), Op::Maintain];
    let ops = [vec![Op::Append(BIG); 16], end];
    rig.run(&ops.concat()).unwrap();
    let (disk, _) = rig.into_parts();
    let log = Setup::default().open(&disk).unwrap();
    (disk, log)
}

fn open(storage: Arc<dyn Storage>) -> Result<Log, LogError> {
    Log::open_read_only(environment(storage, &Arc::new(VirtualTime::new(0)), 0), options())
}

/// What is on a disk after the power went: nothing that is taken for a log, or all of it.
fn check(disk: &SimDisk, whole: &Seen, must_be_whole: bool) -> Result<(), String> {
    tally::state();
    match open(disk.storage()) {
        Err(_) if !must_be_whole => Ok(()),
        Err(error) => Err(chain(&error)),
        Ok(log) => {
            let seen = Seen::of(&log).map_err(|error| chain(&error))?;
            if seen == *whole { Ok(()) } else { Err(format!("a part was taken for the log: {seen:?}")) }
        }
    }
}

/// Backs the log up with the power going at every operation of the target; says how many there are.
fn cut_backups(order: impl Fn(&Log, Arc<dyn Storage>) -> Result<(), LogError>) -> Result<u64, String> {
    let (_disk, log) = source();
    log.append(b"the first of this process").map_err(|error| chain(&error))?;
    let whole = Seen::of(&log).map_err(|error| chain(&error))?;
    for operation in 0.. {
        for moment in [CrashMoment::Before, CrashMoment::Within, CrashMoment::After] {
            let target = SimDisk::with_options(seed(), bare());
            let crash = Some(Crash { operation, moment });
            target.set_faults(Faults { crash, ..Faults::default() });
            let done = order(&log, target.storage());
            let is_whole = done.is_ok();
            let named = |why| format!("operation {operation}, {moment:?}: {why}");
            check(&target, &whole, is_whole).map_err(named)?;
            for n in 0..8 {
                let cut = target.snapshot();
                cut.crash(seed() + n);
                check(&cut, &whole, is_whole).map_err(named)?;
            }
            if is_whole {
                return Ok(operation);
            }
            // The source has lost nothing and goes on.
            if Seen::of(&log).map_err(|error| chain(&error))? != whole {
                return Err("the source has changed".to_owned());
            }
        }
    }
    Ok(0)
}

#[test]
fn a_backup_is_whole_or_no_log_at_every_power_cut() {
    let before = tally::here();
    let operations = cut_backups(|log, target| log.backup(&target).map(drop)).unwrap();
    assert!(operations > 20, "{operations} operations");
    println!("{operations} operations, {} states", (tally::here() - before).states);
}

/// What a backup would be that copies the files in the order of their names.
#[test]
fn a_backup_that_begins_with_the_oldest_is_caught() {
    let found = cut_backups(|log, target| {
        let whole = SimDisk::with_options(1, bare());
        log.backup(&whole.storage())?;
        let put = |name: &String| {
            let file = target.create(name)?;
            file.write_at(0, &whole.read(name).unwrap_or_default())?;
            file.sync()?;
            target.sync_names()
        };
        let io = |source| LogError::Thread { source };
        whole.names().iter().try_for_each(put).map_err(io)
    });
    let why = found.unwrap_err();
    assert!(why.contains("a part was taken for the log"), "{why}");
}

#[test]
fn the_first_frame_of_a_follower_is_where_it_says() {
    let mut rig = Rig::new(&Setup::default(), seed(), bare());
    rig.open(End::Process).unwrap();
    rig.run(&[Op::Receive(vec![10, 20]), Op::Read, Op::Reopen, Op::Read]).unwrap();
    assert_eq!(rig.log().next_lsn(), Lsn::FIRST.plus(2));
}
