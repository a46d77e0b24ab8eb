//! What the examples of metrics share: the smallest server that Prometheus can scrape, and the smallest scraper.
//!
//! A program that has an HTTP server serves the text there; this one has none.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use wal::Wal;

/// Some work to have something to show.
pub(crate) fn work(wal: &Wal) -> Result<(), wal::Error> {
    for n in 0..100_u32 {
        wal.append(n.to_string())?;
    }
    wal.cursor("slow \"consumer\"")?;
    Ok(())
}

/// With an address as the argument, serves what `page` returns there until interrupted. Without one, serves it once on
/// a free port, scrapes that over the network, and checks that the numbers are those of the log.
pub(crate) fn show(
    wal: &Wal,
    content_type: &'static str,
    page: impl Fn() -> String + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    if let Some(address) = env::args().nth(1) {
        let listener = TcpListener::bind(address)?;
        println!("serving http://{}/metrics", listener.local_addr()?);
        loop {
            serve(&listener, content_type, &page)?;
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(&listener, content_type, page));
    let page = scrape(address, content_type)?;
    server.join().map_err(|_| "the server panicked")??;
    check(wal, &page);
    println!("scraped {} series from {address}", page.len());
    Ok(())
}

fn serve(listener: &TcpListener, content_type: &str, page: impl Fn() -> String) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    // The request's headers end with an empty line, and what they say makes no difference.
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let page = page();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(page.as_bytes())
}

/// The value of each series on the page.
fn scrape(address: SocketAddr, content_type: &str) -> Result<BTreeMap<String, f64>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, page) = answer.split_once("\r\n\r\n").ok_or("no end of the headers")?;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains(content_type), "{head}");
    let samples = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut series = BTreeMap::new();
    for sample in samples {
        let (name, value) = sample.rsplit_once(' ').ok_or_else(|| format!("no value: {sample}"))?;
        assert!(series.insert(name.to_owned(), value.parse()?).is_none(), "{name} twice");
    }
    Ok(series)
}

/// The page says what the log says.
fn check(wal: &Wal, page: &BTreeMap<String, f64>) {
    let stats = wal.stats();
    // Labels that the collector adds come first or last.
    let get = |name: &str, label: &str| {
        let is_it = |series: &&String| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with('{')) && rest.contains(label))
        };
        let found: Vec<_> = page.keys().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name} {label} in {page:#?}");
        page.get(found[0]).copied().unwrap_or(f64::NAN)
    };
    assert_eq!(get("wal_appends_total", ""), stats.frames as f64);
    assert_eq!(get("wal_append_bytes_total", ""), stats.payload_bytes as f64);
    assert_eq!(get("wal_last_lsn", ""), 100.0);
    assert_eq!(get("wal_cursor_lag", "cursor=\"slow \\\"consumer\\\"\""), 100.0);
    assert_eq!(get("wal_sync_duration_seconds_count", ""), stats.sync_duration.count() as f64);
    assert_eq!(get("wal_sync_duration_seconds_bucket", "le=\"+Inf\""), stats.sync_duration.count() as f64);
    assert_eq!(get("wal_retention_deleted_segments_total", "reason=\"age\""), 0.0);
    let sum = stats.sync_duration.sum as f64 / 1e9;
    assert!((get("wal_sync_duration_seconds_sum", "") - sum).abs() < 1e-6 * sum.max(1.0));
    // Every series of the log is there, whatever the way.
    for family in stats.families() {
        let name = match family.kind {
            wal::MetricKind::Histogram => format!("{}_count", family.name),
            _ => family.sample_name(),
        };
        let there = page.keys().filter(|series| series.split('{').next() == Some(name.as_str())).count();
        assert_eq!(there, family.samples.len(), "{name}");
    }
}
