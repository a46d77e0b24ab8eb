//! Runs the rows: the peers of a row in turn, every cell in a process and a directory of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Serialize;

use crate::{
    cell::{self, Outcome, Work},
    plan::{self, Row},
    subject::{Fallible, Peer},
};

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// Row by row.
    pub rows: Vec<Measured>,
    /// What failed, or did not hold what it had acknowledged.
    pub failures: Vec<String>,
    /// Durable or killed runs whose entries were counted after opening the log again, and were all there.
    pub verified: usize,
}

/// What was measured of a row.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// The workload.
    pub workload: &'static str,
    /// The row within it.
    pub label: String,
    /// The figure that it is about.
    pub main: &'static str,
    /// By peer and figure, a value of each repetition.
    pub figures: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

impl Measured {
    /// The values of a peer's figure.
    pub fn values(&self, peer: &str, figure: &str) -> Option<&[f64]> {
        Some(self.figures.get(peer)?.get(figure)?.as_slice())
    }
}

impl Results {
    /// A row that was measured.
    pub fn row(&self, workload: &str, label: &str) -> Option<&Measured> {
        self.rows.iter().find(|row| row.workload == workload && row.label == label)
    }

    /// Runs a row and keeps what it gives.
    pub fn measure(&mut self, row: &Row, peers: &[Peer], dir: &Path) -> Fallible<()> {
        let (workload, label, main) = (row.workload, row.label.clone(), row.main);
        let mut measured = Measured { workload, label, main, figures: BTreeMap::new() };
        let mut absent = BTreeSet::new();
        for repeat in 0..row.repeats {
            for turn in 0..peers.len() {
                // Whoever comes first in one repetition does not in the next.
                let peer = &peers[(turn + repeat) % peers.len()];
                if absent.contains(peer.name) || !plan::takes_part(row, peer) {
                    continue;
                }
                match self.run(row, peer, dir) {
                    Ok(Some(figures)) => {
                        let kept = measured.figures.entry(peer.name.to_owned()).or_default();
                        figures
                            .into_iter()
                            .for_each(|(name, values)| kept.entry(name).or_default().extend(values));
                    }
                    Ok(None) => {
                        absent.insert(peer.name);
                    }
                    Err(error) => {
                        absent.insert(peer.name);
                        self.failures
                            .push(format!("{}, {}, {}: {error}", row.workload, row.label, peer.name));
                    }
                }
            }
        }
        self.rows.push(measured);
        Ok(())
    }

    fn run(&mut self, row: &Row, peer: &Peer, dir: &Path) -> Fallible<Option<BTreeMap<String, Vec<f64>>>> {
        let cell_dir = dir.join("cell");
        remove(dir)?;
        fs::create_dir_all(dir)?;
        let result = self.steps(row, peer, &cell_dir);
        remove(dir)?;
        result
    }

    fn steps(&mut self, row: &Row, peer: &Peer, dir: &Path) -> Fallible<Option<BTreeMap<String, Vec<f64>>>> {
        let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut appended = 0;
        for step in &row.steps {
            let outcome = cell::spawn(peer, dir, step)?;
            if !outcome.is_supported {
                return Ok(None);
            }
            appended += outcome.appended;
            if matches!(step, Work::Count { .. }) {
                self.compare(&outcome, appended)?;
            }
            outcome
                .figures
                .into_iter()
                .for_each(|(name, value)| figures.entry(name).or_default().push(value));
        }
        Ok(Some(figures))
    }

    /// Nothing that was acknowledged may be missing, and nothing else be there.
    fn compare(&mut self, outcome: &Outcome, appended: u64) -> Fallible<()> {
        match outcome.counted {
            Some(counted) if counted != appended => {
                Err(format!("{appended} entries were acknowledged, {counted} are there after opening again")
                    .into())
            }
            Some(_) => {
                self.verified += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn remove(dir: &Path) -> Fallible<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
