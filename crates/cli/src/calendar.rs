//! Dates in UTC, as far as offsets by time and formats need them.

/// A moment in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) milli: i64,
    /// 0 is Sunday.
    pub(crate) weekday: i64,
    /// From 1.
    pub(crate) day_of_year: i64,
}

const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years begin in March here, so that a leap day is the
/// last of its year.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Moment {
    /// The moment so many milliseconds after 1970.
    pub(crate) fn from_millis(millis: i64) -> Self {
        let (days, in_day) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self {
            year,
            month,
            day,
            hour: in_day / 3_600_000,
            minute: in_day / 60_000 % 60,
            second: in_day / 1000 % 60,
            milli: in_day % 1000,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days - days_of(year, 1, 1) + 1,
        }
    }

    /// RFC 3339 with milliseconds.
    pub(crate) fn rfc3339(&self) -> String {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            self.year, self.month, self.day, self.hour, self.minute, self.second, self.milli
        )
    }
}

/// Reads `YYYY-MM-DD`, or `YYYY-MM-DDTHH:MM:SS[.fff]Z`, at the beginning of `text`. Returns milliseconds since 1970
/// and how many bytes were read.
pub(crate) fn read_date(text: &str) -> Option<(i64, usize)> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let is = |at: usize, byte: u8| text.as_bytes().get(at) == Some(&byte);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(is(4, b'-') && is(7, b'-') && (1..=12).contains(&month)) {
        return None;
    }
    let midnight = days_of(year, month, day) * DAY_MS;
    let same = Moment::from_millis(midnight);
    if (same.month, same.day) != (month, day) {
        return None;
    }
    if !is(10, b'T') {
        return Some((midnight, 10));
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !is(13, b':') || !is(16, b':') || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut end = 19;
    let mut milli = 0;
    if is(end, b'.') {
        let digits = text[20..].bytes().take_while(u8::is_ascii_digit).count();
        milli = format!("{:0<3.3}", text.get(20..20 + digits)?).parse().ok()?;
        end = 20 + digits;
    }
    let time = ((hour * 60 + minute) * 60 + second) * 1000 + milli;
    is(end, b'Z').then_some((midnight + time, end + 1))
}

/// Reads a time such as `90s` or `1h30m`. Returns milliseconds and how many bytes were read.
pub(crate) fn read_duration(text: &str) -> Option<(i64, usize)> {
    const UNITS: [(&str, i64); 5] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", DAY_MS)];
    let (mut total, mut at) = (0_i64, 0);
    loop {
        let rest = &text[at..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return (at > 0).then_some((total, at));
        }
        let count: i64 = rest[..digits].parse().ok()?;
        let (unit, millis) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        total = total.checked_add(count.checked_mul(*millis)?)?;
        at += digits + unit.len();
    }
}

/// `strftime`, as far as it makes sense in UTC; an unknown letter is an error.
pub(crate) fn strftime(pattern: &str, millis: i64) -> Result<String, char> {
    const DAYS: [&str; 7] =
        ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let moment = Moment::from_millis(millis);
    let name = |names: &[&'static str], index: i64| {
        names[usize::try_from(index).expect("a day or month of the calendar")]
    };
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let letter = chars.next().unwrap_or('%');
        let piece = match letter {
            'Y' => format!("{:04}", moment.year),
            'y' => format!("{:02}", moment.year.rem_euclid(100)),
            'C' => format!("{:02}", moment.year.div_euclid(100)),
            'm' => format!("{:02}", moment.month),
            'd' => format!("{:02}", moment.day),
            'e' => format!("{:2}", moment.day),
            'j' => format!("{:03}", moment.day_of_year),
            'H' => format!("{:02}", moment.hour),
            'I' => format!("{:02}", (moment.hour + 11) % 12 + 1),
            'M' => format!("{:02}", moment.minute),
            'S' => format!("{:02}", moment.second),
            'f' => format!("{:06}", moment.milli * 1000),
            'L' => format!("{:03}", moment.milli),
            'p' => if moment.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'A' => name(&DAYS, moment.weekday).to_owned(),
            'a' => name(&DAYS, moment.weekday)[..3].to_owned(),
            'B' => name(&MONTHS, moment.month - 1).to_owned(),
            'b' | 'h' => name(&MONTHS, moment.month - 1)[..3].to_owned(),
            'w' => moment.weekday.to_string(),
            'u' => ((moment.weekday + 6) % 7 + 1).to_string(),
            's' => millis.div_euclid(1000).to_string(),
            'F' => strftime("%Y-%m-%d", millis)?,
            'T' => strftime("%H:%M:%S", millis)?,
            'R' => strftime("%H:%M", millis)?,
            'D' => strftime("%m/%d/%y", millis)?,
            'c' => strftime("%a %b %e %T %Y", millis)?,
            'z' => "+0000".to_owned(),
            'Z' => "UTC".to_owned(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            other => return Err(other),
        };
        text.push_str(&piece);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_dates_correspond() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2026-11-21T10:11:12.013Z", 1_795_255_872_013),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ] {
            assert_eq!(read_date(text), Some((millis, text.len())), "{text}");
            assert_eq!(Moment::from_millis(millis).rfc3339(), text);
        }
        assert_eq!(read_date("2026-11-21:end"), Some((1_795_219_200_000, 10)));
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-01-01T25:00:00Z",
            "x",
            "2026-01-01T00:00:00",
        ] {
            assert_eq!(read_date(text), None, "{text}");
        }
        // Every day of four centuries is where it should be.
        for day in -200_000..200_000 {
            let moment = Moment::from_millis(day * DAY_MS);
            assert_eq!(days_of(moment.year, moment.month, moment.day), day);
        }
    }

    #[test]
    fn durations_read() {
        assert_eq!(read_duration("1h30m:x"), Some((5_400_000, 5)));
        assert_eq!(read_duration("250ms"), Some((250, 5)));
        assert_eq!(read_duration("7"), None);
        assert_eq!(read_duration(""), None);
    }

    #[test]
    fn patterns_are_strftimes() {
        let millis = 1_795_255_872_013;
        assert_eq!(
            strftime("%F %T.%L %a %b %j %I%p %%", millis).unwrap(),
            "2026-11-21 10:11:12.013 Sat Nov 325 10AM %"
        );
        assert_eq!(strftime("%Q", millis), Err('Q'));
    }
}
