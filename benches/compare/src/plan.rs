//! Which measurements there are: the rows of the report, each a few cells in one directory.

use crate::{
    cell::Work,
    subject::{Mode, Peer},
};

const KIB: usize = 1 << 10;
const MIB: u64 = 1 << 20;

/// A row: cells that every peer runs one after the other in a directory of its own.
#[derive(Clone, Debug)]
pub struct Row {
    /// The workload it belongs to: its name on the command line and a heading of the report.
    pub workload: &'static str,
    /// What distinguishes it from the other rows of the workload.
    pub label: String,
    /// The figure that it is about; less is better, unless it ends in `/s` or `per s`.
    pub main: &'static str,
    /// Times that it is repeated, the peers taking turns.
    pub repeats: usize,
    /// What is done.
    pub steps: Vec<Work>,
    /// Whether only this log takes part, because a rival would need hours, or does not have it.
    pub is_ours: bool,
}

/// All workloads, with what they are.
pub const WORKLOADS: &[(&str, &str)] = &[
    ("durable", "Durable appends"),
    ("batch", "Batches of 100 entries of 128 B, durable; atomic where the peer says so"),
    ("buffered", "Buffered appends, the hand-over to the operating system included"),
    ("written", "Appends whose bytes are with the operating system on return"),
    (
        "read",
        "Reading a warm log, verified where the peer verifies: sequential, backwards, at random; one written in \
         batches, too, by those who have them",
    ),
    ("hot", "Gets at random from a log that was just written, then beside a thread that appends"),
    ("beside", "One writer, buffered where the peer has that, beside three readers at random"),
    ("open", "Opening after a clean close"),
    ("kill", "Opening after the process ended without closing, its bytes with the operating system"),
    ("rotation", "Appends of 16 KiB across segments of 4 MiB, durable and buffered"),
    ("memory", "Memory of its own while appending, and while scanning"),
];

/// The rows, quick or full.
pub fn rows(is_quick: bool) -> Vec<Row> {
    let repeats = if is_quick { 3 } else { 5 };
    let millis = if is_quick { 150 } else { 500 };
    let mut rows = Vec::new();
    durable(&mut rows, repeats, millis, is_quick);
    appends(&mut rows, repeats, millis, is_quick);
    reads(&mut rows, repeats, millis, is_quick);
    opens(&mut rows, is_quick);
    let rotation = latency(Mode::Durable, 16 * KIB, 1, 1, 4 * millis, Some(4 * MIB));
    rows.push(row("rotation", "16 KiB, durable", "p99.9 us", repeats.min(3), vec![rotation]));
    let rotation = latency(Mode::Buffered, 16 * KIB, 1, 1, 4 * millis, Some(4 * MIB));
    rows.push(row("rotation", "16 KiB, buffered", "p99.9 us", repeats.min(3), vec![rotation]));
    let bytes = if is_quick { 128 * MIB } else { 1024 * MIB };
    let memory = |bytes| vec![Work::Memory { len: KIB, bytes }];
    rows.push(row("memory", &size(bytes), "appending MiB", 1, memory(bytes)));
    if !is_quick {
        let ten = row("memory", &size(10 * bytes), "appending MiB", 1, memory(10 * bytes));
        rows.push(Row { is_ours: true, ..ten });
    }
    rows
}

fn durable(rows: &mut Vec<Row>, repeats: usize, millis: u64, is_quick: bool) {
    let verified = |len, batch, threads| {
        let append = latency(Mode::Durable, len, batch, threads, millis, None);
        vec![append, Work::Count { len, segment_len: None }]
    };
    for len in [128, 4 * KIB, 64 * KIB] {
        rows.push(row(
            "durable",
            &format!("{}, 1 thread", size(len as u64)),
            "p50 us",
            repeats,
            verified(len, 1, 1),
        ));
    }
    let threads = if is_quick { vec![2, 4, 16, 64] } else { vec![2, 4, 16, 64, 256] };
    for threads in threads {
        rows.push(row(
            "durable",
            &format!("128 B, {threads} threads"),
            "per s",
            repeats,
            verified(128, 1, threads),
        ));
    }
    for (len, threads) in [(16 * KIB, 16), (256 * KIB, 1), (1024 * KIB, 4)] {
        let label = format!("{}, {}", size(len as u64), count(threads));
        rows.push(row("durable", &label, "per s", repeats.min(3), verified(len, 1, threads)));
    }
    rows.push(row("batch", "100 x 128 B", "p50 us", repeats, verified(128, 100, 1)));
}

fn appends(rows: &mut Vec<Row>, repeats: usize, millis: u64, is_quick: bool) {
    let throughput = |mode, len, threads, bytes| vec![Work::Throughput { mode, len, threads, bytes }];
    let mut buffered = |len: usize, threads: usize, bytes: u64, main: &'static str| {
        let label = format!("{}, {}, {}", size(len as u64), count(threads), size(bytes));
        rows.push(row("buffered", &label, main, repeats, throughput(Mode::Buffered, len, threads, bytes)));
    };
    buffered(128, 1, 64 * MIB, "ns");
    buffered(128, 4, 64 * MIB, "ns");
    buffered(KIB, 1, 128 * MIB, "MB/s");
    buffered(64 * KIB, 1, 256 * MIB, "MB/s");
    if !is_quick {
        buffered(128, 1, 640 * MIB, "ns");
        buffered(KIB, 1, 1280 * MIB, "MB/s");
    }
    for threads in [1, 4] {
        let label = format!("128 B, {}", count(threads));
        // The floor's zeros suffice for this much.
        rows.push(row("written", &label, "ns", repeats, throughput(Mode::Written, 128, threads, 32 * MIB)));
    }
    for (threads, millis) in [(1, millis), (4, millis)] {
        let label = format!("128 B, {}, each timed", count(threads));
        rows.push(row(
            "written",
            &label,
            "p50 us",
            1,
            vec![latency(Mode::Written, 128, 1, threads, millis, None)],
        ));
    }
}

fn reads(rows: &mut Vec<Row>, repeats: usize, millis: u64, is_quick: bool) {
    let mut sizes = vec![
        (128, 1, MIB),
        (128, 1, 16 * MIB),
        (128, 100, 16 * MIB),
        (KIB, 1, 10 * MIB),
        (KIB, 1, 100 * MIB),
    ];
    if !is_quick {
        sizes.extend([(128, 1, 160 * MIB), (KIB, 1, 1024 * MIB)]);
    }
    for (len, batch, bytes) in sizes {
        let batches = if batch > 1 { format!(" in batches of {batch}") } else { String::new() };
        let label = format!("{}{batches}, {}", size(len as u64), size(bytes));
        let repeats = if bytes > 100 * MIB { 1 } else { repeats.min(3) };
        let fill = Work::Fill { len, batch, bytes, segment_len: None, is_closed: true };
        rows.push(row(
            "read",
            &label,
            "scan ns",
            repeats,
            vec![fill, Work::Read { len, millis: millis / 2 }],
        ));
    }
    for bytes in [MIB, 40 * MIB] {
        let hot = vec![Work::Hot { len: 128, bytes, millis }];
        rows.push(row("hot", &format!("128 B, {}", size(bytes)), "get ns", repeats.min(3), hot));
    }
    let beside = |len, bytes| vec![Work::Beside { len, bytes, readers: 3, millis }];
    rows.push(row("beside", "128 B, 16 MiB", "beside readers ns", repeats.min(3), beside(128, 16 * MIB)));
}

fn opens(rows: &mut Vec<Row>, is_quick: bool) {
    let fill =
        |bytes, segment_len, is_closed| Work::Fill { len: KIB, batch: 1, bytes, segment_len, is_closed };
    let count = |segment_len| Work::Count { len: KIB, segment_len };
    let mut sizes = vec![10 * MIB, 100 * MIB];
    if !is_quick {
        sizes.push(1024 * MIB);
    }
    for bytes in &sizes {
        let open = Work::Open { segment_len: None };
        let steps = vec![fill(*bytes, None, true), open.clone(), open.clone(), open, count(None)];
        rows.push(row("open", &size(*bytes), "open ms", 1, steps));
    }
    for bytes in sizes {
        let steps = vec![fill(bytes, None, false), Work::Open { segment_len: None }, count(None)];
        rows.push(row("kill", &size(bytes), "open ms", if is_quick { 1 } else { 3 }, steps));
    }
    let segments = if is_quick { 1000 } else { 10_000 };
    let (len, small) = (segments * (64 << 10), Some(64 << 10));
    let open = Work::Open { segment_len: small };
    let steps = vec![fill(len, small, true), open.clone(), open.clone(), open];
    rows.push(Row { is_ours: true, ..row("open", &format!("{segments} segments"), "open ms", 1, steps) });
    if !is_quick {
        let open = Work::Open { segment_len: None };
        let steps = vec![fill(10_240 * MIB, None, true), open.clone(), open.clone(), open, count(None)];
        rows.push(Row { is_ours: true, ..row("open", &size(10_240 * MIB), "open ms", 1, steps) });
    }
}

fn latency(
    mode: Mode,
    len: usize,
    batch: usize,
    threads: usize,
    millis: u64,
    segment_len: Option<u64>,
) -> Work {
    Work::Latency { mode, len, batch, threads, millis, segment_len }
}

fn row(workload: &'static str, label: &str, main: &'static str, repeats: usize, steps: Vec<Work>) -> Row {
    Row { workload, label: label.to_owned(), main, repeats, steps, is_ours: false }
}

fn count(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// A size as one says it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// Whether a row is for a peer.
pub fn takes_part(row: &Row, peer: &Peer) -> bool {
    // What a size means has to be the same for all who stand in a row.
    let fits = row.steps.iter().all(|step| match step {
        Work::Fill { len, bytes, .. } | Work::Memory { len, bytes } | Work::Hot { len, bytes, .. } => {
            bytes / *len as u64 <= peer.entries_max
        }
        _ => true,
    });
    fits && (!row.is_ours || peer.name == "wal")
}
