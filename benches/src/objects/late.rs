//! A store in memory whose answers take their time.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, future, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// Every request takes so long, and its bytes so much longer.
#[derive(Debug)]
pub(super) struct Late {
    inner: Arc<dyn ObjectStore>,
    latency: Duration,
    bytes_per_second: f64,
    hidden: std::sync::OnceLock<&'static str>,
}

impl Late {
    pub(super) fn new(latency: Duration, bytes_per_second: f64) -> Self {
        Self::around(Arc::new(InMemory::new()), latency, bytes_per_second)
    }

    pub(super) fn around(inner: Arc<dyn ObjectStore>, latency: Duration, bytes_per_second: f64) -> Self {
        Self { inner, latency, bytes_per_second, hidden: std::sync::OnceLock::new() }
    }

    /// Objects whose names end like this are not listed.
    pub(super) fn hide(&self, ending: &'static str) {
        let _ = self.hidden.set(ending);
    }

    async fn take(&self, bytes: u64) {
        let more = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        tokio::time::sleep(self.latency + more).await;
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}

#[async_trait]
impl ObjectStore for Late {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.take(payload.content_length() as u64).await;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.inner.get_opts(path, options).await?;
        self.take(found.range.end - found.range.start).await;
        Ok(found)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let hidden = self.hidden.get().copied();
        let latency = self.latency;
        let found = self.inner.list(prefix).try_filter(move |object| {
            future::ready(!hidden.is_some_and(|ending| object.location.as_ref().ends_with(ending)))
        });
        // One page after the other.
        let late = found.enumerate().then(move |(n, object)| async move {
            if n % 1000 == 0 {
                tokio::time::sleep(latency).await;
            }
            object
        });
        late.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
