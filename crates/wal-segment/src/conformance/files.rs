//! Checks of one file: reads, writes, views, freezing, reserving, punching.

use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, UnexpectedEof};

use super::{Check, content, kept, published, refused};
use crate::{Storage, StorageFile};

pub(super) const CHECKS: &[Check] = &[
    writes_land_at_their_offsets,
    a_gap_reads_as_zeros,
    reads_are_short_only_at_the_end,
    what_holds_no_data_reads_as_zeros,
    reads_are_copies,
    views_equal_reads,
    views_end_within_the_file,
    views_outlive_later_writes,
    views_of_what_may_change_are_copies,
    frozen_bytes_are_not_written,
    reserve_extends_with_zeros,
    punch_touches_only_its_range,
    an_opened_file_is_only_read,
    handles_agree_on_a_growing_file,
    what_is_stored_is_written,
];

fn writes_land_at_their_offsets(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, b"aaaaaaaa"));
    kept("write_at writes inside the file", file.write_at(2, b"bb"));
    kept("write_at writes across the end", file.write_at(6, b"cccc"));
    kept("write_at of nothing does nothing", file.write_at(10, b""));
    assert!(content(&*file) == b"aabbaacccc", "broken: write_at changes its range and nothing else");
    kept("sync syncs a written file", file.sync());
    kept("sync_names syncs names", storage.sync_names());
    let opened = kept("open opens", storage.open("a"));
    assert!(content(&*opened) == b"aabbaacccc", "broken: another handle reads what was written");
}

fn what_is_stored_is_written(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, &[b'w'; 200_000]));
    file.freeze(4);
    let mut want = vec![b'w'; 200_000];
    assert!(!file.store(3, b"xx"), "broken: store refuses frozen bytes");
    assert!(!file.store(u64::MAX, b"xx"), "broken: store refuses what no file holds");
    // Within a page, across pages, up to the end, and across it.
    for (offset, len) in [(4, 1), (5, 90_000), (100_000, 3), (150_001, 49_999), (199_990, 20)] {
        let bytes = vec![b's'; len];
        if !file.store(offset as u64, &bytes) {
            kept("write_at writes what store did not", file.write_at(offset as u64, &bytes));
        }
        want.resize(want.len().max(offset + len), 0);
        want[offset..offset + len].fill(b's');
        [0, 150_000, u64::MAX].into_iter().for_each(|end| file.warm(end));
        assert!(content(&*file) == want, "broken: store changes its range and nothing else");
    }
    kept("write_at writes over what was stored", file.write_at(4, b"over"));
    want[4..8].copy_from_slice(b"over");
    assert!(content(&*file) == want, "broken: stored and written bytes are the same file's");
    kept("sync syncs what was stored", file.sync());
}

fn a_gap_reads_as_zeros(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes beyond the end", file.write_at(10_000, b"end"));
    let want = [&[0; 10_000][..], b"end"].concat();
    assert!(content(&*file) == want, "broken: bytes never written read as zeros");
}

fn what_holds_no_data_reads_as_zeros(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("reserve reserves", file.reserve(200_000));
    kept("write_at writes", file.write_at(60_000, b"data"));
    kept("write_at writes behind a hole", file.write_at(140_000, b"more"));
    data_is_found(&*file);
    kept("sync syncs a written file", file.sync());
    kept("sync_names syncs names", storage.sync_names());
    data_is_found(&*kept("open opens", storage.open("a")));
}

#[track_caller]
fn data_is_found(file: &dyn StorageFile) {
    let content = content(file);
    let len = content.len() as u64;
    for offset in [0, 1, 8, 59_999, 60_000, 60_003, 60_004, 139_999, 140_001, 140_004, len - 1] {
        let mut at = offset;
        while at < len {
            let data = kept("next_data finds data", file.next_data(at));
            assert!(
                at <= data.start && data.start <= len,
                "broken: next_data looks from {at} to {len}: {data:?}"
            );
            let passed = content.get(at as usize..data.start as usize);
            let is_zeros = passed.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
            assert!(is_zeros, "broken: next_data passes over zeros only: {at} to {} of {len}", data.start);
            if data.is_empty() {
                assert!(data.start == len, "broken: next_data finds nothing at the end only: {at} of {len}");
                break;
            }
            at = data.end;
        }
    }
    for offset in [len, len + 1, u64::MAX] {
        let data = kept("next_data finds nothing beyond the end", file.next_data(offset));
        assert!(data.start == offset, "broken: next_data finds nothing beyond the end: {data:?}");
    }
}

fn reads_are_short_only_at_the_end(storage: &dyn Storage) {
    let long: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let created = published(storage, "a", &long);
    let opened = kept("open opens", storage.open("a"));
    for file in [created, opened] {
        assert!(content(&*file) == long, "broken: read_at fills the buffer");
        for (offset, want) in [(299_990, 10), (299_999, 1), (300_000, 0), (300_001, 0), (u64::MAX, 0)] {
            let mut buf = [0xee; 16];
            let n = kept("read_at reads across and behind the end", file.read_at(offset, &mut buf));
            assert!(n == want, "broken: read_at at {offset} of 300000 reads {want} bytes, but it read {n}");
            let expected = &long[long.len() - n..];
            assert!(&buf[..n] == expected, "broken: read_at at {offset} reads the bytes there");
            assert!(buf[n..] == [0xee; 16][n..], "broken: read_at leaves the rest of the buffer alone");
        }
        let n = kept("read_at of nothing does nothing", file.read_at(0, &mut []));
        assert!(n == 0, "broken: read_at into an empty buffer reads nothing");
    }
}

fn reads_are_copies(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, b"old"));
    let mut buf = [0; 3];
    kept("read_at reads what was not synced", file.read_at(0, &mut buf));
    kept("write_at overwrites what is not frozen", file.write_at(0, b"new"));
    assert!(&buf == b"old" && content(&*file) == b"new", "broken: later writes do not change what was read");
}

fn views_equal_reads(storage: &dyn Storage) {
    let long: Vec<u8> = (0..50_000_u32).map(|i| (i % 253) as u8).collect();
    let created = published(storage, "a", &long);
    created.freeze(50_000);
    let opened = kept("open opens", storage.open("a"));
    // Neither at page boundaries nor in order of offset, so that a cached view has to grow and to serve.
    for range in [7..19_usize, 5_000..12_289, 0..1, 4_095..4_097, 49_999..50_000, 0..50_000, 3..3] {
        for file in [&created, &opened] {
            let view = kept("view shows final bytes", file.view(range.start as u64..range.end as u64));
            assert!(view == long[range.clone()], "broken: view of {range:?} equals what read_at reads");
        }
    }
}

fn views_end_within_the_file(storage: &dyn Storage) {
    let created = published(storage, "a", b"12345678");
    // More than there is: bytes that do not exist cannot be shown, frozen or not.
    created.freeze(100);
    let opened = kept("open opens", storage.open("a"));
    for file in [created, opened] {
        for range in [0..9, 8..9, 7..1_000_000, 100..101, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
            let promise = format!("view of {range:?} in a file of 8 bytes is UnexpectedEof");
            refused(&promise, file.view(range), &[UnexpectedEof]);
        }
        let view = kept("view ends at the end", file.view(0..8));
        assert!(view == "12345678", "broken: view shows the whole file after a refusal");
        let empty = kept("view of nothing is empty", file.view(8..8));
        assert!(empty.is_empty(), "broken: view of nothing is empty");
    }
}

fn views_outlive_later_writes(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, b"finaldraft"));
    file.freeze(5);
    let view = kept("view shows frozen bytes", file.view(0..5));
    kept("write_at writes behind the frozen bytes", file.write_at(5, b"DRAFT"));
    kept("write_at extends a frozen file", file.write_at(10, &[b'x'; 100_000]));
    assert!(view == "final", "broken: a view keeps its bytes when others are written");
    file.freeze(100_010);
    let grown = kept("view shows bytes frozen later", file.view(0..100_010));
    assert!(&grown[..10] == b"finalDRAFT", "broken: view shows what was written before the freeze");
    assert!(grown[10..].iter().all(|&b| b == b'x'), "broken: view shows a file that grew");
    drop(file);
    assert!(view == "final" && grown.len() == 100_010, "broken: a view outlives its file's handle");
}

fn views_of_what_may_change_are_copies(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, &[b'o'; 10_000]));
    file.freeze(4);
    let views = [4..10_000, 0..10_000, 9_999..10_000]
        .map(|range| kept("view shows bytes that are not frozen", file.view(range)));
    kept("write_at overwrites what is not frozen", file.write_at(4, &[b'n'; 9_996]));
    let unchanged = views.iter().all(|view| view.iter().all(|&b| b == b'o'));
    assert!(unchanged, "broken: a view of bytes that are not frozen keeps them when they are overwritten");
}

fn frozen_bytes_are_not_written(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, b"12345678"));
    file.freeze(4);
    file.freeze(2);
    for offset in [0, 2, 3] {
        refused("write_at refuses frozen bytes", file.write_at(offset, b"xx"), &[InvalidInput]);
        refused("punch refuses frozen bytes", file.punch(offset..8), &[InvalidInput]);
    }
    assert!(content(&*file) == b"12345678", "broken: a refused write changes nothing");
    kept("write_at writes behind the frozen bytes", file.write_at(4, b"x"));
    assert!(content(&*file) == b"1234x678", "broken: write_at writes behind the frozen bytes");
}

fn reserve_extends_with_zeros(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, b"data"));
    kept("reserve of nothing does nothing", file.reserve(0));
    kept("reserve reserves", file.reserve(200_003));
    let len = kept("len tells the length", file.len());
    // It does nothing where it makes no sense, and then the file is as long as before.
    assert!(len == 200_003 || len == 4, "broken: reserve grows the file to what was asked for, not to {len}");
    let mut want = b"data".to_vec();
    want.resize(content(&*file).len(), 0);
    assert!(content(&*file) == want, "broken: reserve keeps data, and reserved bytes read as zeros");
    kept("reserve of less is fine", file.reserve(10));
    assert!(kept("len tells the length", file.len()) == len, "broken: reserve shortens nothing");
    kept("write_at writes into reserved space", file.write_at(4, b"more"));
    assert!(content(&*file).starts_with(b"datamore"), "broken: reserved space takes writes");
}

fn punch_touches_only_its_range(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    kept("write_at writes", file.write_at(0, &[b'x'; 30_000]));
    kept("punch punches", file.punch(5_000..25_000));
    kept("punch of nothing does nothing", file.punch(5..5));
    kept("punch across the end does not extend", file.punch(29_999..40_000));
    let now = content(&*file);
    assert!(now.len() == 30_000, "broken: punch keeps the length: {} of 30000", now.len());
    let kept_apart = now[..5_000].iter().chain(&now[25_000..29_999]).all(|&b| b == b'x');
    assert!(kept_apart, "broken: punch keeps what lies outside its range");
    let hole = &now[5_000..25_000];
    let uniform = hole.iter().all(|&b| b == 0) || hole.iter().all(|&b| b == b'x');
    assert!(uniform, "broken: punched bytes read as zeros, or punch does nothing");
}

fn an_opened_file_is_only_read(storage: &dyn Storage) {
    published(storage, "a", b"content");
    let file = kept("open opens", storage.open("a"));
    let read_only = [PermissionDenied, ReadOnlyFilesystem];
    refused("write_at refuses a file opened for reading", file.write_at(7, b"x"), &read_only);
    assert!(!file.store(0, b"x"), "broken: store refuses a file opened for reading");
    refused("reserve refuses a file opened for reading", file.reserve(100), &read_only);
    refused("punch refuses a file opened for reading", file.punch(0..7), &read_only);
    // Frozen bytes of a file that is only read are a promise, and change nothing about the rest.
    file.freeze(7);
    assert!(content(&*file) == b"content", "broken: refused calls change nothing");
}

fn handles_agree_on_a_growing_file(storage: &dyn Storage) {
    if !storage.capabilities().append_after_sync {
        return;
    }
    let writer = published(storage, "a", b"one");
    let reader = kept("open opens", storage.open("a"));
    let view = kept("view shows final bytes", reader.view(0..3));
    refused("view ends within the file", reader.view(0..6), &[UnexpectedEof]);
    kept("write_at writes after a sync", writer.write_at(3, b"two"));
    assert!(content(&*reader) == b"onetwo", "broken: a reader sees a file grow");
    let grown = kept("view shows a file that grew", reader.view(0..6));
    assert!(view == "one" && grown == "onetwo", "broken: view shows a file that grew");
    kept("a handle may be synced twice", writer.sync());
}
