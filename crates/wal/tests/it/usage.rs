//! What the facade adds: handles, tickets, iterators.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use wal::{Batch, Durability, ErrorKind, Lsn, Options, SyncPolicy, TierOptions, Wal};

use crate::support::{lsn, small};

fn numbered(dir: &std::path::Path, count: u64) -> Wal {
    let wal = Wal::builder(dir).options(small()).open().unwrap();
    for n in 1..=count {
        wal.append(n.to_string()).unwrap();
    }
    wal
}

fn lsns(iter: impl Iterator<Item = Result<wal::Entry, wal::Error>>) -> Vec<u64> {
    iter.map(|entry| entry.unwrap().lsn.get()).collect()
}

#[test]
fn an_iterator_can_be_moved_forward_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let wal = numbered(dir.path(), 10);
    assert_eq!(lsns(wal.iter().from(lsn(8))), [8, 9, 10]);
    assert_eq!(lsns(wal.range(lsn(3)..=lsn(5)).from(lsn(1))), [3, 4, 5]);
    assert_eq!(lsns(wal.range(lsn(3)..=lsn(5)).from(lsn(5))), [5]);
    assert_eq!(lsns(wal.range(lsn(3)..=lsn(5)).from(lsn(6))), [0; 0]);
    assert_eq!(lsns(wal.iter().from(lsn(8)).rev()), [10, 9, 8]);

    let mut iter = wal.iter();
    assert_eq!(lsns(iter.by_ref().take(3)), [1, 2, 3]);
    assert_eq!(lsns(iter.by_ref().rev().take(2)), [10, 9]);
    wal.append("not part of it").unwrap();
    let mut iter = iter.from(lsn(2));
    assert_eq!(iter.size_hint().1, Some(5));
    assert_eq!(iter.next().unwrap().unwrap().lsn, lsn(4));
    assert_eq!(lsns(iter.from(lsn(7))), [7, 8]);
}

#[test]
fn the_last_handle_closes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let wal = numbered(dir.path(), 3);
    let clone = wal.clone();
    let mut iter = wal.iter();
    iter.next();
    drop(wal);
    assert!(Wal::open(dir.path()).is_err());
    drop(clone);
    assert!(Wal::open(dir.path()).is_err());
    drop(iter);
    assert!(Wal::open(dir.path()).unwrap().recovery_report().clean);
}

#[test]
fn handles_tell_where_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    assert_eq!((wal.first_lsn(), wal.last_lsn(), wal.durable_lsn()), (None, None, None));
    assert_eq!(wal.next_lsn(), Lsn::FIRST);
    wal.append("one").unwrap();
    assert_eq!(
        (wal.first_lsn(), wal.last_lsn(), wal.durable_lsn()),
        (Some(lsn(1)), Some(lsn(1)), Some(lsn(1)))
    );
    let text = format!("{wal:?}");
    assert!(text.contains(&wal.id().unwrap().to_string()) && text.contains("next_lsn: Lsn(2)"), "{text}");
    assert_eq!(Wal::open_read_only(dir.path()).unwrap().id(), wal.id());
    let segments = wal.segments().unwrap();
    assert_eq!((segments.len(), segments[0].base, segments[0].next), (1, lsn(1), lsn(2)));
    assert_eq!((wal.stats().entries, wal.stats().payload_bytes), (1, 3));
}

#[test]
fn threads_share_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let wal = wal.clone();
            scope.spawn(move || {
                for i in 0..25 {
                    wal.append(format!("{n} {i}")).unwrap();
                }
            });
        }
    });
    assert_eq!((wal.durable_lsn(), wal.iter().count()), (Some(lsn(100)), 100));
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn tickets_are_waited_for_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    wal.submit("waited for").unwrap().wait().unwrap();
    assert!(wal.submit("for some time").unwrap().wait_timeout(Duration::from_secs(60)).unwrap());
    block_on(wal.submit("awaited").unwrap()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let mut batch = Batch::new();
    batch.push("a").unwrap();
    batch.push("b").unwrap();
    let ticket = wal.submit_batch(&batch).unwrap();
    ticket.on_durable(move |result| sender.send(result.is_ok()).unwrap());
    assert!(receiver.recv().unwrap());
    assert!(ticket.is_durable());
    assert_eq!((ticket.lsn(), ticket.lsns()), (lsn(4), lsn(4)..=lsn(5)));
}

#[test]
fn a_weaker_policy_is_made_up_for_by_sync_and_by_single_appends() {
    let dir = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let wal = Wal::builder(dir.path()).options(Options { sync, ..small() }).open().unwrap();
    let first = wal.append("in memory").unwrap();
    assert!(wal.durable_lsn() < Some(first));
    wal.sync().unwrap();
    assert_eq!(wal.durable_lsn(), Some(first));
    let options = wal::AppendOptions { durability: Some(Durability::Durable), ..Default::default() };
    let second = wal.append_with(wal::NewEntry::plain(b"synced"), &options).unwrap();
    assert_eq!(wal.durable_lsn(), Some(second));
}

#[test]
fn a_log_whose_tier_is_away_is_opened_and_has_what_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let [log, tier, away] = ["log", "tier", "away"].map(|name| dir.path().join(name));
    let tier_options = TierOptions { local_len: Some(0), ..TierOptions::default() };
    let builder = || {
        let options = Options { tier: tier_options.clone(), ..Options::default() };
        Wal::builder(&log).options(options).tier_url(&tier).create(false)
    };
    let writer = builder().create(true).open().unwrap();
    let far = "far away".repeat(10_000);
    writer.append(&far).unwrap();
    writer.ship().unwrap();
    writer.append("at hand").unwrap();
    writer.close().unwrap();
    drop(writer);
    for writes in [false, true] {
        std::fs::rename(&tier, &away).unwrap();
        let wal = if writes { builder().open() } else { builder().open_read_only() }.unwrap();
        assert_eq!(wal.get(lsn(2)).unwrap().payload, "at hand");
        assert_eq!(wal.get(lsn(1)).unwrap_err().kind(), ErrorKind::Io);
        std::fs::rename(&away, &tier).unwrap();
        assert_eq!(wal.get(lsn(1)).unwrap().payload, far);
    }
    std::fs::remove_dir_all(&tier).unwrap();
    let restored = Wal::builder(dir.path().join("again")).tier_url(&tier).restore();
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::NotFound);
}
