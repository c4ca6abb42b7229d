//! The control socket.

use crate::medium::{Cut, Medium};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub fn listen(path: &Path, medium: Arc<Mutex<Medium>>) -> std::io::Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away in the middle of a line is no matter.
            let _gone = converse(&stream, &medium);
        }
    });
    Ok(())
}

fn converse(stream: &UnixStream, medium: &Mutex<Medium>) -> std::io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let mut medium = medium.lock().expect("no holder panics");
        let answer = match obey(&mut medium, &line?) {
            Ok(()) => medium.stats(),
            Err(problem) => format!(r#"{{"error":"{problem}"}}"#),
        };
        let mut stream = stream;
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}

fn obey(medium: &mut Medium, line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["stats"] => Ok(()),
        ["cut", how] => medium.cut(cut_named(how)?).map_err(|error| error.to_string()),
        ["cut-at", count, how] => {
            let count = count.parse().map_err(|_| "no number".to_owned())?;
            medium.cut_at(count, cut_named(how)?);
            Ok(())
        }
        ["delay", ms] => {
            medium.delay_ms = ms.parse().map_err(|_| "no number of milliseconds".to_owned())?;
            Ok(())
        }
        ["bad", from, to] => {
            let number = |word: &str| word.parse().map_err(|_| "no sector".to_owned());
            medium.add_bad(number(from)?..number(to)?);
            Ok(())
        }
        ["heal"] => {
            medium.heal();
            Ok(())
        }
        [verb, count, often @ ("once" | "always")] => {
            let count = count.parse().map_err(|_| "no number".to_owned())?;
            let kind = verb.strip_prefix("fail-").unwrap_or_default();
            match medium.plan(kind, count, *often == "always") {
                true => Ok(()),
                false => Err(format!("no such fault: {verb}")),
            }
        }
        _ => Err("no such command".to_owned()),
    }
}

fn cut_named(name: &str) -> Result<Cut, String> {
    match name {
        "drop" => Ok(Cut::Drop),
        "subset" => Ok(Cut::Subset),
        "torn" => Ok(Cut::Torn),
        other => Err(format!("no such cut: {other}")),
    }
}
