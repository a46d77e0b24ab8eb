//! The bytes of a write-ahead log: encode, decode, checksum and scan segments, without I/O
