//! Records as the five programs write them, written down a second time.

use crate::support::Item;

/// Bit by bit, so that it has nothing in common with the tables of the crates.
fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { polynomial } else { 0 })
    })
}

fn ieee(bytes: &[u8]) -> u32 {
    crc(0xedb8_8320, bytes)
}

fn castagnoli(bytes: &[u8]) -> u32 {
    crc(0x82f6_3b78, bytes)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn len_u32(bytes: &[u8]) -> u32 {
    bytes.len().try_into().unwrap()
}

/// An entry with an id and a payload.
pub(crate) fn plain(id: u64, payload: &[u8]) -> Item {
    Item { id: Some(id), payload: payload.to_vec(), ..Item::default() }
}

pub(crate) fn xwal(item: &Item) -> Vec<u8> {
    let mut message = Vec::new();
    if let Some(id) = item.id.filter(|id| *id != 0) {
        message.extend([&[0x08][..], &varint(id)].concat());
    }
    if !item.payload.is_empty() {
        message.extend([&[0x12][..], &varint(item.payload.len() as u64), &item.payload].concat());
    }
    let crc = ieee(&message);
    message.extend([&[0x18][..], &varint(crc.into())].concat());
    [varint(message.len() as u64), message].concat()
}

pub(crate) fn hungpdn(item: &Item) -> Vec<u8> {
    let len = (item.payload.len() as u64).to_be_bytes();
    let covered = [&len[..], &item.id.unwrap().to_be_bytes(), &item.payload].concat();
    [&castagnoli(&covered).to_be_bytes()[..], &covered, &len].concat()
}

pub(crate) fn filewal(item: &Item) -> Vec<u8> {
    let short = |bytes: &[u8]| [&(bytes.len() as u16).to_le_bytes()[..], bytes].concat();
    let covered = [
        vec![item.kind],
        short(&item.entity),
        short(&item.key),
        item.timestamp.unwrap().to_le_bytes().to_vec(),
        len_u32(&item.payload).to_le_bytes().to_vec(),
        item.payload.clone(),
    ]
    .concat();
    let len = (len_u32(&covered) + 4).to_le_bytes();
    [&len[..], &ieee(&covered).to_le_bytes(), &covered].concat()
}

pub(crate) fn fgrosse(item: &Item) -> Vec<u8> {
    let id: u32 = item.id.unwrap().try_into().unwrap();
    [&id.to_be_bytes()[..], &[item.kind], &ieee(&item.payload).to_be_bytes(), &item.payload].concat()
}

pub(crate) fn walrus(item: &Item) -> Vec<u8> {
    let long = |bytes: &[u8]| [&len_u32(bytes).to_le_bytes()[..], bytes].concat();
    let covered = [
        item.id.unwrap().to_le_bytes().to_vec(),
        item.term.unwrap_or(0).to_le_bytes().to_vec(),
        item.timestamp.unwrap_or(0).to_le_bytes().to_vec(),
        long(&item.payload),
        long(&item.transaction),
    ]
    .concat();
    long(&[&covered[..], &ieee(&covered).to_le_bytes()].concat())
}

/// With the data given as the JSON value it becomes.
pub(crate) fn walrus_json(item: &Item, data: &str) -> Vec<u8> {
    let text = |checksum: u32| {
        format!(
            r#"{{"index":{},"term":{},"data":{data},"checksum":{checksum},"timestamp":{},"transaction_id":"{}"}}"#,
            item.id.unwrap(),
            item.term.unwrap_or(0),
            item.timestamp.unwrap_or(0),
            String::from_utf8(item.transaction.clone()).unwrap(),
        )
    };
    let text = text(ieee(text(0).as_bytes()));
    [&len_u32(text.as_bytes()).to_le_bytes()[..], text.as_bytes()].concat()
}
