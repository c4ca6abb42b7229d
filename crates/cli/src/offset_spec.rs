//! Which part of a partition is read: `-o` of `esker topic consume`.
//!
//! `start`, `end`, `N` an offset, `+N` so many after the start, `-N` so many before the end; `FROM:TO` up to a place,
//! each side of which may be missing; `@T` and `@T1:T2` by time. A time is 13 digits of milliseconds or 10 of
//! seconds since 1970, a day, a moment by RFC 3339, `now`, `-1h30m` before now; on the right side also `end`, and
//! `1h` after the left side.

use crate::calendar::{read_date, read_duration};

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its first offset and so many more.
    Start(i64),
    /// Its end and so many fewer.
    End(i64),
    /// An offset.
    Exact(i64),
    /// The first record of this time or later.
    Time(i64),
}

/// From where to where; without `to` without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetSpec {
    pub(crate) from: Place,
    pub(crate) to: Option<Place>,
}

impl OffsetSpec {
    /// Reads a text; `now` is the time in milliseconds since 1970.
    pub(crate) fn parse(text: &str, now: i64) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no offset: write start, end, N, +N, -N, FROM:TO, or a time such as @-1h:now"
            )
        };
        let parsed = match text.strip_prefix('@') {
            Some(times) => parse_times(times, now),
            None => parse_offsets(text),
        };
        let spec = parsed.ok_or_else(wrong)?;
        match (spec.from, spec.to) {
            (Place::Exact(from), Some(Place::Exact(to)))
            | (Place::Time(from), Some(Place::Time(to)))
                if from > to =>
            {
                Err(format!("`{text}` ends before it begins"))
            }
            _ => Ok(spec),
        }
    }
}

fn parse_offsets(text: &str) -> Option<OffsetSpec> {
    let place = |text: &str| match text {
        "start" | "oldest" => Some(Place::Start(0)),
        "end" | "newest" => Some(Place::End(0)),
        _ => {
            let (digits, make): (_, fn(i64) -> Place) = match text.as_bytes().first()? {
                b'+' => (&text[1..], Place::Start),
                b'-' => (&text[1..], Place::End),
                _ => (text, Place::Exact),
            };
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten().map(make)
        }
    };
    match text.split_once(':') {
        None => Some(OffsetSpec { from: place(text)?, to: None }),
        Some(("", "")) => None,
        Some(("", to)) => Some(OffsetSpec { from: Place::Start(0), to: Some(place(to)?) }),
        Some((from, "")) => Some(OffsetSpec { from: place(from)?, to: None }),
        Some((from, to)) => Some(OffsetSpec { from: place(from)?, to: Some(place(to)?) }),
    }
}

fn parse_times(text: &str, now: i64) -> Option<OffsetSpec> {
    let (from, rest) = match text.strip_prefix(':') {
        Some(_) => (None, text),
        None => {
            let (time, len) = read_time(text, now)?;
            (Some(time), &text[len..])
        }
    };
    let to = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        Some("" | "end") if from.is_none() => return None,
        Some("") => None,
        Some("end") => Some(Place::End(0)),
        Some(rest) => {
            let relative = || {
                let (millis, len) = read_duration(rest)?;
                Some((from?.checked_add(millis)?, len))
            };
            let (time, len) = read_time(rest, now).or_else(relative)?;
            (len == rest.len()).then_some(())?;
            Some(Place::Time(time))
        }
    };
    Some(OffsetSpec { from: from.map_or(Place::Start(0), Place::Time), to })
}

/// Reads a time at the beginning of `text`: milliseconds since 1970, and its length.
fn read_time(text: &str, now: i64) -> Option<(i64, usize)> {
    if text.starts_with("now") {
        return Some((now, 3));
    }
    if let Some(rest) = text.strip_prefix('-') {
        let (millis, len) = read_duration(rest)?;
        return Some((now.checked_sub(millis)?, len + 1));
    }
    if let Some(found) = read_date(text) {
        return Some(found);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let ends = text.len() == digits || text[digits..].starts_with(':');
    let number: i64 = text[..digits].parse().ok().filter(|_| ends)?;
    match digits {
        13 => Some((number, digits)),
        9 | 10 => Some((number * 1000, digits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Place::{End, Exact, Start, Time};
    use super::*;

    #[test]
    fn offsets_and_times_read() {
        let now = 1_795_255_872_013;
        for (text, from, to) in [
            ("start", Start(0), None),
            ("end", End(0), None),
            ("17", Exact(17), None),
            ("17:", Exact(17), None),
            ("+5", Start(5), None),
            ("-5", End(5), None),
            (":end", Start(0), Some(End(0))),
            (":9", Start(0), Some(Exact(9))),
            ("3:9", Exact(3), Some(Exact(9))),
            ("-10:end", End(10), Some(End(0))),
            ("@1795255872013", Time(now), None),
            ("@1795255872", Time(1_795_255_872_000), None),
            ("@2026-11-21", Time(1_795_219_200_000), None),
            ("@2026-11-21T10:11:12.013Z:", Time(now), None),
            ("@2026-11-21T10:11:12.013Z:2026-11-22", Time(now), Some(Time(1_795_305_600_000))),
            ("@-1h:now", Time(now - 3_600_000), Some(Time(now))),
            ("@-1h", Time(now - 3_600_000), None),
            ("@-1h:end", Time(now - 3_600_000), Some(End(0))),
            ("@2026-11-21:1h", Time(1_795_219_200_000), Some(Time(1_795_222_800_000))),
            ("@:now", Start(0), Some(Time(now))),
            ("@-2h:-1h", Time(now - 7_200_000), Some(Time(now - 3_600_000))),
        ] {
            assert_eq!(OffsetSpec::parse(text, now), Ok(OffsetSpec { from, to }), "{text}");
        }
        for text in [
            "",
            ":",
            "x",
            "+",
            "1.5",
            "@",
            "@:",
            "@12",
            "@-1",
            "@now:x",
            "9:3",
            "@now:-1h",
            "@-1h:nowx",
            "--5",
        ] {
            assert!(OffsetSpec::parse(text, now).is_err(), "{text}");
        }
    }
}
