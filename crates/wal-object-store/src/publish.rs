//! Creating an object exactly once, whatever becomes of the answers.

use std::{io, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use object_store::{Error, PutMode, PutOptions, path::Path};
use wal_segment::TakenOver;

use crate::{error::from_store, meter::Kind, remote::Shared};

/// So much of an object says whose it is: the header of a segment, with the id of the log, the epoch and the salt.
const HEADER_LEN: usize = 512;

/// Creates the object, unless another one is there.
///
/// An error says nothing about what happened: a request may have been carried out although nobody answered, and the
/// store may call our own object a conflict. So it is read back. If it is ours, all is well; if there is none, the same
/// bytes are sent again, which can do no harm; anything else belongs to another writer, for good. In a directory an
/// object of ours may be there because only its name could not be synced: then an error stays one.
///
/// Returns the tag that the store gave to the object, if it said so.
pub(crate) async fn publish(
    shared: &Shared,
    name: &str,
    path: &Path,
    content: &Bytes,
) -> io::Result<Option<String>> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let options = shared.options.for_upload(content.len());
    let mut attempts = shared.attempts();
    while attempts.next().await {
        let mode = PutOptions::from(PutMode::Create);
        let put = shared.store.put_opts(path, content.clone().into(), mode);
        shared.meter.sent_bytes.fetch_add(content.len() as u64, Relaxed);
        match shared.meter.request(Kind::Put, &options, put).await {
            Ok(Ok(put)) => {
                shared.meter.published(attempts.elapsed());
                return Ok(put.e_tag);
            }
            Err(error) if is_final(&error) => return Err(from_store(&error)),
            Err(error) => last = from_store(&error),
            Ok(Err(error)) => last = error,
        }
        match whose(shared, path, content).await {
            Ok(Whose::Ours) if shared.dir.is_some() => return Err(last),
            Ok(Whose::Ours) => {
                shared.meter.settled.fetch_add(1, Relaxed);
                shared.meter.published(attempts.elapsed());
                return Ok(None);
            }
            Ok(Whose::Nobodys) => {}
            Ok(Whose::Anothers) => {
                let taken = TakenOver { name: name.to_owned() };
                return Err(io::Error::other(taken));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sending it once more, or looking, would not change it, and it was surely not carried out.
pub(crate) const fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::InvalidPath { .. }
            | Error::NotImplemented { .. }
    )
}

enum Whose {
    Ours,
    Nobodys,
    Anothers,
}

async fn whose(shared: &Shared, path: &Path, content: &Bytes) -> io::Result<Whose> {
    let ours = content.get(..HEADER_LEN).unwrap_or(content);
    let range = 0..ours.len().max(1) as u64;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let mut attempts = shared.attempts();
    while attempts.next().await {
        match shared.get_once(path, range.clone(), None).await {
            Ok((size, found)) if size == content.len() as u64 && found.as_ref() == ours => {
                return Ok(Whose::Ours);
            }
            Ok(_) => return Ok(Whose::Anothers),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Whose::Nobodys),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;
    use crate::ObjectOptions;

    #[tokio::test]
    async fn an_object_of_ours_after_an_error_is_published_in_a_bucket_and_in_doubt_in_a_directory() {
        let (path, content) = (Path::from("a"), Bytes::from_static(b"content"));
        for dir in [None, Some(PathBuf::from("/"))] {
            let store = InMemory::new();
            // What an attempt did whose answer was an error.
            store.put(&path, content.clone().into()).await.unwrap();
            let mut shared = Shared::new(Arc::new(store), ObjectOptions::default());
            shared.dir = dir;
            let published = publish(&shared, "a", &path, &content).await;
            assert_eq!(published.is_ok(), shared.dir.is_none(), "{published:?}");
        }
    }
}
