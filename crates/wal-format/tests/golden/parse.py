#!/usr/bin/env python3
"""Lists segments and index sidecars of format version 1: a second reader, written from docs/FORMAT.md alone.

    python3 parse.py v1/full.wal          prints the listing
    python3 parse.py --check v1/*.wal     compares it with the .txt beside each file

Nothing but the standard library, so CRC-32 only: segments with CRC-32C are passed over.
"""
import struct
import sys
import zlib

ALIGN, HEADER, FIRST, NO_PROOF, MASK = 8, 40, 512, 0xFFFFFFFF, (1 << 64) - 1
ENTRIES, OPENING, SEAL, CLOSE, IDLE, TRIM, METADATA = range(1, 8)


class Unsupported(Exception):
    pass


def padded(length):
    return (length + 7) // 8 * 8


def place(salt, offset):
    mixed = salt ^ (offset * 0x9E3779B97F4A7C15 & MASK)
    mixed = (mixed ^ mixed >> 32) * 0xFF51AFD7ED558CCD & MASK
    return mixed >> 32


def segment_header(data):
    assert len(data) >= FIRST and data[:8] == b"\x89WALS\r\n\x1a", "magic"
    assert struct.unpack_from("<I", data, 508)[0] == zlib.crc32(data[:508]), "checksum of the header"
    version, checksum, _, required, ignorable, first = struct.unpack_from("<HBBIII", data, 8)
    if version != 1 or required != 0 or checksum != 1:
        raise Unsupported(f"version {version}, required flags {required:#x}, checksum {checksum}")
    assert first == FIRST, "offset of the first frame"
    segment, epoch, salt, created = struct.unpack_from("<4Q", data, 40)
    print(f"segment {segment} checksum={checksum} flags={ignorable:#010x} log={data[24:40].hex()}"
          f" epoch={epoch} salt={salt:#018x} created={created}")
    return salt


def frame_header(data, at, salt):
    """The fields of a valid header, or why there is none."""
    if at + HEADER > len(data):
        return "end"
    raw = data[at:at + HEADER]
    names = "crc body_crc len delta count prev time lag kind codec columns entry_kind"
    h = dict(zip(names.split(), struct.unpack("<6IQI4B", raw)))
    if h["crc"] != zlib.crc32(raw[4:]) ^ place(salt, at):
        return "empty" if raw == bytes(HEADER) else "header-checksum"
    h["proves"] = None if h["lag"] == NO_PROOF else at - 8 * h["lag"]
    plausible = (
        h["kind"] != 0
        and h["len"] <= 1 << 30
        and (h["kind"] == ENTRIES) == (h["count"] > 0)
        and (h["proves"] is None or h["proves"] > FIRST)
        and (at == FIRST) == (h["kind"] == OPENING) == (h["prev"] == 0)
    )
    if not plausible:
        return "implausible"
    h["at"], h["size"] = at, HEADER + padded(h["len"])
    return h


def frame(data, at, salt):
    h = frame_header(data, at, salt)
    if isinstance(h, str):
        return h, ALIGN
    if at + h["size"] > len(data):
        return "end", h["size"]
    h["body"] = data[at + HEADER:at + HEADER + h["len"]]
    if zlib.crc32(h["body"]) != h["body_crc"]:
        return "body-checksum", h["size"]
    if any(data[at + HEADER + h["len"]:at + h["size"]]):
        return "padding", h["size"]
    return h, h["size"]


def segment(data):
    salt = segment_header(data)
    at, delta, prev, base, proven = FIRST, 0, 0, None, 0
    while True:
        f, _ = frame(data, at, salt)
        if isinstance(f, str):
            break
        next_delta = f["delta"] + f["count"]
        if (f["delta"], f["prev"]) != (delta, prev) or next_delta > NO_PROOF or (base or 0) + next_delta > MASK:
            f = "out-of-order"
            break
        if OPENING == f["kind"]:
            base, = struct.unpack_from("<Q", f["body"])
        elif METADATA < f["kind"] < 128:
            raise Unsupported(f"kind {f['kind']}")
        show("frame", f, base)
        delta, prev, at = next_delta, f["size"] // 8, at + f["size"]
        proven = max(proven, f["proves"] or 0)
    verdict(data, salt, at, f, None if base is None else base + delta, proven, base)


def verdict(data, salt, end, fault, next_lsn, proven, base):
    at, beyond, resumes_at = end, None, None
    while at + ALIGN <= len(data):
        if data[at:at + ALIGN] == bytes(ALIGN):
            at += ALIGN
            continue
        f, step = frame(data, at, salt)
        at += step
        if isinstance(f, str):
            continue
        show("beyond", f, base or 1)
        if beyond is None or beyond[1] < (f["proves"] or 0):
            beyond = f["at"], f["proves"] or 0
        if resumes_at is None and base is not None:
            resumes_at = base + f["delta"]
    dirty = any(data[end:])
    judgement = "Damaged" if beyond and beyond[1] > end else "Torn" if dirty else "Clean"
    print(f"verdict end={end} fault={fault} next={next_lsn or '-'} proven={proven} dirty={str(dirty).lower()}"
          f" beyond={'%d:%d' % beyond if beyond else '-'} resumes_at={resumes_at or '-'} {judgement}")


def show(what, f, base):
    lag = "-" if f["proves"] is None else f["lag"]
    lsn, body = base + f["delta"], f["body"]
    print(f"{what} {f['at']} kind={f['kind']} lsn={lsn} count={f['count']} len={f['len']}"
          f" crc={f['crc']:#010x} body_crc={f['body_crc']:#010x} prev={f['prev']} time={f['time']} lag={lag}"
          f" codec={f['codec']} columns={f['columns']:#04x} entry_kind={f['entry_kind']}")
    if f["kind"] == ENTRIES and f["codec"] != 0:
        print(f"  compressed raw_len={struct.unpack_from('<I', body)[0]} bytes={body[4:].hex()}.")
    elif f["kind"] == ENTRIES:
        entries(f, lsn)
    elif f["kind"] == OPENING:
        opening(body)
    elif f["kind"] == SEAL:
        print("  seal successor=%d next=%d" % struct.unpack("<QQ", body))
    elif f["kind"] == CLOSE:
        print("  close next=%d" % struct.unpack_from("<Q", body))
        if len(body) > 8:
            print("  state first_retained=%d" % struct.unpack_from("<Q", body, 8))
            records(body[16:])
    elif f["kind"] == TRIM:
        print("  trim first_retained=%d" % struct.unpack("<Q", body))
    elif f["kind"] == METADATA:
        records(body)
    else:
        print(f"  bytes {body.hex()}.")


def entries(f, lsn):
    body, n, columns, at = f["body"], f["count"], f["columns"], 0

    def column(present, code, width, default):
        nonlocal at
        if not present:
            return [default] * n
        values = struct.unpack_from(f"<{n}{code}", body, at)
        at += n * width
        return values

    assert columns < 32, "unknown columns"
    if columns & 8:
        print(f"  transaction {body[:16].hex()}.")
        at = 16
    if columns & 16:
        length, = struct.unpack_from("<I", body, at)
        records(body[at + 4:at + 4 + length])
        at += 4 + length
    kinds = column(columns & 1, "B", 1, f["entry_kind"])
    ends = column(n > 1, "I", 4, None)
    terms = column(columns & 2, "Q", 8, MASK)
    times = column(columns & 4, "q", 8, -(1 << 63))
    payloads, start = body[at:], 0
    for i in range(n):
        end = len(payloads) if ends[i] is None else ends[i]
        assert start <= end <= len(payloads), "end of a payload"
        term = "-" if terms[i] == MASK else terms[i]
        time = "-" if times[i] == -(1 << 63) else times[i]
        print(f"  entry {lsn + i} kind={kinds[i]} term={term} timestamp={time} payload={payloads[start:end].hex()}.")
        start = end
    assert start == len(payloads), "end of the last payload"


def opening(body):
    base, flags, length = struct.unpack_from("<QII", body)
    before = struct.unpack_from("<3QII", body, 16)
    durable, offset, retained = struct.unpack_from("<3Q", body, 48)
    assert flags in (0, 1) and len(body) == 72 + length and base > 0 and retained > 0
    print(f"  opening base={base} first_retained={retained}")
    if flags & 1:
        print("  predecessor %d salt=0x%016x end=%d last_crc=0x%08x last_units=%d" % before)
    print(f"  durable {durable} {offset}")
    records(body[72:])


def records(data):
    at = 0
    while at < len(data):
        op, namespace, name_len, value_len = struct.unpack_from("<BBHI", data, at)
        name = data[at + 8:at + 8 + name_len]
        at += 8 + name_len + value_len
        value = data[at - value_len:at]
        assert at <= len(data) and (op == 1 or op == 2 and not value), "a metadata record"
        print(f"  metadata {namespace} {name.hex()}. " + (f"set {value.hex()}." if op == 1 else "delete"))


def index(data):
    assert len(data) >= 80 and data[:8] == b"\x89WALX\r\n\x1a", "magic"
    version, _, count = struct.unpack_from("<HHI", data, 8)
    segment_id, salt, end, base, last, crc = struct.unpack_from("<5QI", data, 32)
    assert version == 1 and crc == zlib.crc32(data[:72] + data[80:]) and len(data) == 80 + 8 * count
    print(f"index {segment_id} log={data[16:32].hex()} salt={salt:#018x} end={end} base={base} last_frame={last}")
    for n in range(count):
        delta, units = struct.unpack_from("<II", data, 80 + 8 * n)
        print(f"point lsn={base + delta} offset={units * 8}")


def listing(path):
    import contextlib
    import io
    with open(path, "rb") as file:
        data = file.read()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        (index if path.endswith(".idx") else segment)(data)
    return out.getvalue()


def main(arguments):
    differing = 0
    for path in arguments:
        if path == "--check":
            continue
        try:
            text = listing(path)
        except Unsupported as reason:
            print(f"{path}: passed over ({reason})")
            continue
        if "--check" not in arguments:
            print(text, end="")
            continue
        with open(path + ".txt") as file:
            same = file.read() == text
        differing += not same
        print(f"{path}: {'as listed' if same else 'DIFFERS'}")
    return differing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
