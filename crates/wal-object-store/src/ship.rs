//! Whole segments, sent from a log that has them elsewhere, and read back before anybody relies on them.

use std::{io, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use object_store::{PutMode, PutOptions, path::Path};
use wal_segment::{TakenOver, compare};

use crate::{error::from_store, meter::Kind, publish::is_final, remote::Shared};

/// The first look: whose it is.
const FIRST_LEN: usize = 4096;
/// So much is read back at once.
const PIECE_LEN: usize = 4 << 20;

/// Creates the object unless it is there, and reads all of it back, past what this process remembers of it. An object
/// that is longer and begins with the content is as good.
pub(crate) async fn ship(shared: &Shared, name: &str, path: &Path, content: &Bytes) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let options = shared.options.for_upload(content.len());
    let mut attempts = shared.attempts();
    while attempts.next().await {
        // What is said of a creation is not what counts: an answer may be lost, and a conflict may be our own object.
        match read_back(shared, name, path, content).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if is_settled(&error) => return Err(error),
            Err(error) => {
                last = error;
                continue;
            }
            Ok(()) => return shared.sync_names().await,
        }
        let create = PutOptions::from(PutMode::Create);
        let put = shared.store.put_opts(path, content.clone().into(), create);
        shared.meter.sent_bytes.fetch_add(content.len() as u64, Relaxed);
        match shared.meter.request(Kind::Put, &options, put).await {
            Err(error) if is_final(&error) => return Err(from_store(&error)),
            Err(error) => last = from_store(&error),
            Ok(Err(error)) => last = error,
            Ok(Ok(_)) => {}
        }
        match read_back(shared, name, path, content).await {
            Err(error) if is_settled(&error) => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error,
            Ok(()) => return shared.sync_names().await,
        }
    }
    Err(last)
}

/// Looking again would find the same.
fn is_settled(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData || error.get_ref().is_some_and(|inner| inner.is::<TakenOver>())
}

async fn read_back(shared: &Shared, name: &str, path: &Path, content: &Bytes) -> io::Result<()> {
    let mut at = 0;
    while at < content.len() {
        let len = if at == 0 { FIRST_LEN } else { PIECE_LEN };
        let want = content.slice(at..content.len().min(at + len));
        let range = at as u64..(at + want.len()) as u64;
        let (size, found) = shared.get_once(path, range, None).await?;
        compare(name, at, &want, &found)?;
        if size < content.len() as u64 {
            // The same segment, and less of it.
            return compare(name, at + want.len(), &content[at + want.len()..], &[]);
        }
        at += want.len();
    }
    Ok(())
}
