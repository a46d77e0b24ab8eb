//! Who is compared: this log, the floor, the plain log, and the rivals that were built in.

mod ours;
mod plain;
mod raw;

#[cfg(feature = "commitlog")]
mod commitlog;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "mrecordlog")]
mod mrecordlog;
#[cfg(feature = "nano-wal")]
mod nano_wal;
#[cfg(feature = "okaywal")]
mod okaywal;
#[cfg(feature = "open-wal")]
mod open_wal;
#[cfg(feature = "raft-engine")]
mod raft_engine;
#[cfg(feature = "raft-log")]
mod raft_log;
#[cfg(feature = "wal-db")]
mod wal_db;
#[cfg(feature = "walrus")]
mod walrus;
#[cfg(feature = "writeahead")]
mod writeahead;

use crate::subject::Peer;

/// Everybody, in the order of the report.
pub fn all() -> Vec<Peer> {
    vec![
        ours::CRC32,
        ours::CRC32C,
        ours::MAPPED,
        raw::RAW,
        plain::PLAIN,
        plain::GROUPED,
        #[cfg(feature = "wal-db")]
        wal_db::PEER,
        #[cfg(feature = "writeahead")]
        writeahead::PEER,
        #[cfg(feature = "open-wal")]
        open_wal::PEER,
        #[cfg(feature = "okaywal")]
        okaywal::PEER,
        #[cfg(feature = "raft-engine")]
        raft_engine::PEER,
        #[cfg(feature = "raft-log")]
        raft_log::PEER,
        #[cfg(feature = "raft-log")]
        raft_log::EAGER,
        #[cfg(feature = "mrecordlog")]
        mrecordlog::PEER,
        #[cfg(feature = "walrus")]
        walrus::PEER,
        #[cfg(feature = "nano-wal")]
        nano_wal::PEER,
        #[cfg(feature = "commitlog")]
        commitlog::PEER,
        #[cfg(feature = "fjall")]
        fjall::PEER,
    ]
}

/// Rivals that were left out of this build.
pub fn left_out() -> Vec<&'static str> {
    let rivals = [
        ("commitlog", cfg!(feature = "commitlog")),
        ("fjall", cfg!(feature = "fjall")),
        ("mrecordlog", cfg!(feature = "mrecordlog")),
        ("nano-wal", cfg!(feature = "nano-wal")),
        ("okaywal", cfg!(feature = "okaywal")),
        ("open-wal", cfg!(feature = "open-wal")),
        ("raft-engine", cfg!(feature = "raft-engine")),
        ("raft-log", cfg!(feature = "raft-log")),
        ("wal-db", cfg!(feature = "wal-db")),
        ("walrus-rust", cfg!(feature = "walrus")),
        ("writeahead", cfg!(feature = "writeahead")),
    ];
    rivals.into_iter().filter(|(_, is_in)| !is_in).map(|(name, _)| name).collect()
}

/// One of them.
pub fn find(name: &str) -> Option<Peer> {
    all().into_iter().find(|peer| peer.name == name)
}
