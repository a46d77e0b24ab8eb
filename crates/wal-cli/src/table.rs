//! Columns that line up.

use crate::{error::Failure, format::escaped, output::Output};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells, printed with two spaces between columns.
#[derive(Debug)]
pub(crate) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(aligns: &[Align]) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new() }
    }

    /// A row may be shorter than the table is wide. Names in it are the log's: none may steer the terminal.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(cell.as_ref().as_bytes())).collect());
    }

    pub(crate) fn print(&self, out: &mut Output) -> Result<(), Failure> {
        self.lines().iter().try_for_each(|line| out.line(line))
    }

    fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&self.aligns).zip(&widths).map(|((cell, align), width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_blank_end() {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        table.row(["a", "1", "x"]);
        table.row(["longer", "200", ""]);
        table.row(["short"]);
        assert_eq!(table.lines(), ["a         1  x", "longer  200", "short"]);
    }

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        let mut table = Table::new(&[Align::Left]);
        table.row(["gr\u{fc}n \u{1b}[2J\r\n"]);
        assert_eq!(table.lines(), ["gr\u{fc}n \\u{1b}[2J\\r\\n"]);
    }
}
