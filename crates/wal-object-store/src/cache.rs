//! Blocks of objects that were read or published not long ago: few bytes, and no request for what they hold.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

/// Objects are read in multiples of this.
pub(crate) const BLOCK_LEN: u64 = 256 << 10;

/// Which block of which object.
type Key = (u64, u64);

/// The blocks looked at last.
#[derive(Debug)]
pub(crate) struct Cache {
    blocks: HashMap<Key, (Bytes, u64)>,
    /// By when they were looked at.
    order: BTreeMap<u64, Key>,
    now: u64,
    len: usize,
    len_max: usize,
}

impl Cache {
    pub(crate) fn new(len_max: usize) -> Self {
        Self { blocks: HashMap::new(), order: BTreeMap::new(), now: 0, len: 0, len_max }
    }

    pub(crate) fn get(&mut self, key: Key) -> Option<Bytes> {
        let (bytes, used) = self.blocks.get_mut(&key)?;
        self.order.remove(used);
        self.now += 1;
        *used = self.now;
        self.order.insert(self.now, key);
        Some(bytes.clone())
    }

    pub(crate) fn holds(&self, key: Key) -> bool {
        self.blocks.contains_key(&key)
    }

    /// Takes in what an object holds from a block's start on. A part of something longer is copied: it would keep all
    /// of it in memory.
    pub(crate) fn put(&mut self, object: u64, first: u64, bytes: &Bytes) {
        let mut at = 0;
        let mut block = first;
        while at < bytes.len() {
            let end = bytes.len().min(at + BLOCK_LEN as usize);
            let part = bytes.slice(at..end);
            let part = if part.len() < bytes.len() { Bytes::copy_from_slice(&part) } else { part };
            self.put_block((object, block), part);
            (at, block) = (end, block + 1);
        }
    }

    fn put_block(&mut self, key: Key, bytes: Bytes) {
        if bytes.len() > self.len_max {
            return;
        }
        self.now += 1;
        self.len += bytes.len();
        if let Some((old, used)) = self.blocks.insert(key, (bytes, self.now)) {
            self.len -= old.len();
            self.order.remove(&used);
        }
        self.order.insert(self.now, key);
        while self.len > self.len_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.len -= self.blocks.remove(&oldest).map_or(0, |(bytes, _)| bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_nothing_but_itself_in_memory() {
        let object = Bytes::from(vec![7; 3 * BLOCK_LEN as usize + 1]);
        let within = object.as_ptr_range();
        let mut cache = Cache::new(16 * BLOCK_LEN as usize);
        cache.put(1, 0, &object);
        for block in 0..4 {
            let kept = cache.get((1, block)).unwrap();
            assert!(!within.contains(&kept.as_ptr()), "block {block} is a part of the object");
        }
    }

    #[test]
    fn what_was_not_looked_at_for_longest_goes() {
        let block = Bytes::from(vec![7; BLOCK_LEN as usize]);
        let mut cache = Cache::new(2 * BLOCK_LEN as usize);
        cache.put(1, 0, &block);
        cache.put(1, 1, &block);
        assert!(cache.get((1, 0)).is_some());
        cache.put(2, 0, &block.slice(..10));
        assert!(cache.get((1, 1)).is_none() && cache.get((1, 0)).is_some());
        assert_eq!(cache.get((2, 0)).map(|bytes| bytes.len()), Some(10));
        cache.put(2, 0, &block.slice(..20));
        assert_eq!(cache.len, BLOCK_LEN as usize + 20);
        assert_eq!(cache.order.len(), cache.blocks.len());
    }
}
