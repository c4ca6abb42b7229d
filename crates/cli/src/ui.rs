//! The one place that prints.

use crate::args::OutputFormat;
use crate::failure::{Exit, Failure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

/// How this process talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    /// Whether a person reads standard error.
    person: bool,
    /// Whether a person can answer.
    answers: bool,
    colour: bool,
}

/// Something that is listed.
pub(crate) trait Row: Serialize {
    /// Titles of the columns, those that only `wide` shows last.
    const COLUMNS: &'static [&'static str];
    /// How many columns a narrow table has.
    const NARROW: usize;

    /// Its cells, one a column.
    fn cells(&self) -> Vec<String>;

    /// What `name` prints.
    fn name(&self) -> &str;
}

impl Ui {
    pub(crate) fn of_process() -> Self {
        let person = io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { person, answers: person && io::stdin().is_terminal(), colour: person && !plain }
    }

    /// Prints bytes.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Quiet, ""),
            _ => Failure::new(Exit::Error, format!("write the output: {error}")),
        })
    }

    /// Prints a line.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Prints JSON for programs.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string_pretty(value).expect("rows are plain data"))
    }

    /// Prints what is listed.
    pub(crate) fn rows<R: Row>(self, output: OutputFormat, rows: &[R]) -> Result<(), Failure> {
        match output {
            OutputFormat::Json => self.json(&rows),
            _ => self.write(render_rows(output, rows).as_bytes()),
        }
    }

    /// Says something to the person.
    #[expect(clippy::print_stderr, reason = "the one place that talks")]
    pub(crate) fn note(self, text: &str) {
        eprintln!("{text}");
    }

    /// Says why a verb failed.
    pub(crate) fn complain(self, failure: &Failure) {
        if failure.exit == Exit::Quiet {
            return;
        }
        let (red, plain) = if self.colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        self.note(&format!("{red}error:{plain} {}", failure.what));
        if let Some(hint) = &failure.hint {
            self.note(&format!("  try: {hint}"));
        }
    }

    /// Asks before something is destroyed. Without a person to ask the answer is no.
    pub(crate) fn confirm(self, what: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.answers {
            let failure = Failure::usage(format!("{what}: there is nobody to ask"));
            return Err(failure.hint("say --yes if this is meant"));
        }
        self.note(&format!("{what}? This cannot be undone. Type `yes`:"));
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        match answer.trim() {
            "yes" | "y" => Ok(()),
            _ => Err(Failure::new(Exit::Error, "nothing was changed")),
        }
    }

    /// A bar for long work, on standard error, where a person reads it. Without `total` it only spins.
    pub(crate) fn progress(self, what: &'static str, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(
                ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {eta}")
                    .expect("a template of ours"),
            ),
            None => ProgressBar::new_spinner(),
        };
        let target =
            if self.person { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        bar.set_draw_target(target);
        bar.set_message(what);
        if self.person && total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }
}

/// Rows as text, in every form but JSON.
fn render_rows<R: Row>(output: OutputFormat, rows: &[R]) -> String {
    match output {
        OutputFormat::Json => {
            serde_json::to_string_pretty(rows).expect("rows are plain data") + "\n"
        }
        OutputFormat::Jsonl => rows
            .iter()
            .map(|row| serde_json::to_string(row).expect("rows are plain data") + "\n")
            .collect(),
        OutputFormat::Name => rows.iter().map(|row| format!("{}\n", row.name())).collect(),
        OutputFormat::Table | OutputFormat::Wide => {
            let columns = if output == OutputFormat::Wide { R::COLUMNS.len() } else { R::NARROW };
            table(
                &R::COLUMNS[..columns],
                rows.iter().map(|row| {
                    let mut cells = row.cells();
                    cells.truncate(columns);
                    cells
                }),
            )
        }
    }
}

/// A table without lines, as terminals and `awk` like it.
#[must_use]
pub fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(columns);
    rows.for_each(|row| {
        table.add_row(row);
    });
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines.concat()
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, u32);

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["NAME", "COUNT", "TWICE"];
        const NARROW: usize = 2;

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string(), (2 * self.1).to_string()]
        }

        fn name(&self) -> &str {
            self.0
        }
    }

    #[test]
    fn rows_have_five_forms() {
        let rows = [Pair("a", 1), Pair("longer", 20)];
        let render = |output| render_rows(output, &rows);
        assert_eq!(render(OutputFormat::Table), "NAME    COUNT\na       1\nlonger  20\n");
        assert_eq!(
            render(OutputFormat::Wide),
            "NAME    COUNT  TWICE\na       1      2\nlonger  20     40\n"
        );
        assert_eq!(render(OutputFormat::Jsonl), "[\"a\",1]\n[\"longer\",20]\n");
        assert_eq!(render(OutputFormat::Name), "a\nlonger\n");
        let parsed: Vec<(String, u32)> = serde_json::from_str(&render(OutputFormat::Json)).unwrap();
        assert_eq!(parsed, [("a".to_owned(), 1), ("longer".to_owned(), 20)]);
    }

    #[test]
    fn without_a_person_nothing_is_destroyed() {
        let ui = Ui { person: false, answers: false, colour: false };
        assert!(ui.confirm("delete everything", true).is_ok());
        let failure = ui.confirm("delete everything", false).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }
}
