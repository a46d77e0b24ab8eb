//! Everything a reader can say about a file, one fact a line.

use std::fmt::Write as _;

use wal_format::{
    Close, EntriesRef, Frame, FrameFault, FrameKind, Item, Metadata, MetadataRecords, Namespace, Opening,
    Scanner, Seal, SegmentIndex, Trim, Verdict, split_compressed,
};

pub(crate) fn segment(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut scanner = Scanner::new();
    scanner.feed(bytes);
    scanner.end();
    while let Some(found) = scanner.next().unwrap() {
        item(&mut out, &found);
    }
    verdict(&mut out, scanner.verdict());
    out
}

/// The same by way of a reader.
#[cfg(feature = "std")]
pub(crate) fn read(input: impl std::io::Read) -> String {
    let mut out = String::new();
    let mut reader = wal_format::SegmentReader::new(input);
    while let Some(found) = reader.next().unwrap() {
        item(&mut out, &found);
    }
    verdict(&mut out, reader.verdict().unwrap());
    out
}

fn item(out: &mut String, item: &Item<'_>) {
    match item {
        Item::Header(header) => writeln!(
            out,
            "segment {} checksum={} flags={:#010x} log={} epoch={} salt={:#018x} created={}",
            header.segment,
            header.checksum.id(),
            header.ignorable_flags,
            header.log_id,
            header.epoch,
            header.salt,
            header.created,
        )
        .unwrap(),
        Item::Frame(found) => frame(out, "frame", found),
        Item::Beyond(found) => frame(out, "beyond", found),
    }
}

fn frame(out: &mut String, what: &str, frame: &Frame<'_>) {
    let header = &frame.header;
    let lag = header.proof_lag.map_or("-".to_owned(), |lag| lag.to_string());
    writeln!(
        out,
        "{what} {} kind={} lsn={} count={} len={} crc={:#010x} body_crc={:#010x} prev={} time={} lag={lag} \
         codec={} columns={:#04x} entry_kind={}",
        frame.offset,
        header.kind.id(),
        frame.lsn,
        header.count,
        header.body_len,
        frame.header_crc,
        header.body_crc,
        header.prev_units,
        header.time,
        header.codec,
        header.columns,
        header.entry_kind,
    )
    .unwrap();
    match header.kind {
        FrameKind::Entries if header.codec == 0 => entries(out, frame),
        FrameKind::Entries => {
            let (raw_len, rest) = split_compressed(frame.body, 1 << 20).unwrap();
            writeln!(out, "  compressed raw_len={raw_len} bytes={}", hex(rest)).unwrap();
        }
        FrameKind::Opening => opening(out, &Opening::decode(frame.body).unwrap()),
        FrameKind::Seal => {
            let seal = Seal::decode(frame.body).unwrap();
            writeln!(out, "  seal successor={} next={}", seal.successor, seal.next).unwrap();
        }
        FrameKind::Close => {
            let close = Close::decode(frame.body).unwrap();
            writeln!(out, "  close next={}", close.next).unwrap();
            if let Some(state) = close.state {
                writeln!(out, "  state first_retained={}", state.first_retained).unwrap();
                records(out, &frame.body[16..]);
            }
        }
        FrameKind::Trim => {
            let trim = Trim::decode(frame.body).unwrap();
            writeln!(out, "  trim first_retained={}", trim.first_retained).unwrap();
        }
        FrameKind::Metadata => records(out, frame.body),
        _ => writeln!(out, "  bytes {}", hex(frame.body)).unwrap(),
    }
}

fn entries(out: &mut String, frame: &Frame<'_>) {
    let entries = EntriesRef::of(&frame.header, frame.body).unwrap();
    if let Some(id) = entries.transaction() {
        writeln!(out, "  transaction {}", hex(&id)).unwrap();
    }
    records(out, entries.metadata());
    for (lsn, entry) in (frame.lsn.get()..).zip(entries.iter()) {
        let entry = entry.unwrap();
        let term = entry.term.map_or("-".to_owned(), |term| term.to_string());
        let timestamp = entry.timestamp.map_or("-".to_owned(), |timestamp| timestamp.to_string());
        let payload = hex(entry.payload);
        writeln!(
            out,
            "  entry {lsn} kind={} term={term} timestamp={timestamp} payload={payload}",
            entry.kind
        )
        .unwrap();
    }
}

fn opening(out: &mut String, opening: &Opening) {
    let Opening { base, predecessor, durable, first_retained, metadata } = opening;
    writeln!(out, "  opening base={base} first_retained={first_retained}").unwrap();
    if let Some(before) = predecessor {
        writeln!(
            out,
            "  predecessor {} salt={:#018x} end={} last_crc={:#010x} last_units={}",
            before.segment, before.salt, before.end, before.last_header_crc, before.last_units,
        )
        .unwrap();
    }
    writeln!(out, "  durable {} {}", durable.segment, durable.offset).unwrap();
    let mut encoded = Vec::new();
    metadata.encode(&mut encoded).unwrap();
    assert_eq!(&Metadata::decode(&encoded).unwrap(), metadata);
    records(out, &encoded);
}

fn records(out: &mut String, bytes: &[u8]) {
    for record in MetadataRecords::new(bytes) {
        let record = record.unwrap();
        let Namespace(namespace) = record.namespace;
        let change = record.value.map_or("delete".to_owned(), |value| format!("set {}", hex(value)));
        writeln!(out, "  metadata {namespace} {} {change}", hex(record.name)).unwrap();
    }
}

fn verdict(out: &mut String, verdict: &Verdict) {
    let fault = match verdict.fault {
        FrameFault::End => "end",
        FrameFault::Empty => "empty",
        FrameFault::HeaderChecksum => "header-checksum",
        FrameFault::BodyChecksum => "body-checksum",
        FrameFault::Padding => "padding",
        FrameFault::OutOfOrder { .. } => "out-of-order",
        _ => "implausible",
    };
    let lsn = |lsn: Option<wal_format::Lsn>| lsn.map_or("-".to_owned(), |lsn| lsn.to_string());
    writeln!(
        out,
        "verdict end={} fault={fault} next={} proven={} dirty={} beyond={} resumes_at={} {:?}",
        verdict.end,
        lsn(verdict.next),
        verdict.proven,
        verdict.dirty,
        verdict.beyond.map_or("-".to_owned(), |beyond| format!("{}:{}", beyond.offset, beyond.proves)),
        lsn(verdict.resumes_at),
        verdict.judgement(),
    )
    .unwrap();
}

pub(crate) fn index(bytes: &[u8]) -> String {
    let index = SegmentIndex::decode(bytes).unwrap();
    let mut out = format!(
        "index {} log={} salt={:#018x} end={} base={} last_frame={}\n",
        index.segment, index.log_id, index.salt, index.end, index.base, index.last_frame,
    );
    for point in &index.points {
        writeln!(out, "point lsn={} offset={}", index.base.plus(u64::from(point.lsn_delta)), point.offset())
            .unwrap();
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "."
}
