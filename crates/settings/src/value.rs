//! Values: read from text as Kafka reads them, and printed in one form.

use crate::setting::Kind;
use esker_types::ByteCount;
use std::fmt;
use std::time::Duration;

/// A value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `boolean`.
    Boolean(bool),
    /// `short`, `int`, `long`, and sizes in bytes and times in milliseconds.
    Number(i64),
    /// `double`.
    Double(f64),
    /// `string`, `class` and `password`.
    Text(String),
    /// `list`.
    List(Vec<String>),
}

impl fmt::Display for Value {
    /// The canonical text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Double(value) if value.abs() >= 1e7 => {
                // Java's form, which Kafka's tools compare with.
                let text = format!("{value:E}");
                let (digits, power) = text.split_once('E').unwrap_or((&text, "0"));
                let point = if digits.contains('.') { "" } else { ".0" };
                write!(f, "{digits}{point}E{power}")
            }
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

impl Value {
    /// The truth, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        if let Self::Number(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is one with a fraction.
    #[must_use]
    pub const fn as_f64(&self) -> Option<f64> {
        if let Self::Double(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[String]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    /// The number as bytes; a negative one is none.
    #[must_use]
    pub fn as_bytes(&self) -> Option<ByteCount> {
        u64::try_from(self.as_i64()?).ok().map(ByteCount)
    }

    /// The number as milliseconds; a negative one is none.
    #[must_use]
    pub fn as_duration(&self) -> Option<Duration> {
        u64::try_from(self.as_i64()?).ok().map(Duration::from_millis)
    }
}

/// Reads a value. Blanks around it and around a list's elements do not count.
pub(crate) fn parse(kind: Kind, text: &str) -> Option<Value> {
    let text = text.trim();
    let within = |low: i64, high: i64| {
        let number = text.parse::<i64>().ok()?;
        (low..=high).contains(&number).then_some(Value::Number(number))
    };
    match kind {
        Kind::Boolean => match text {
            _ if text.eq_ignore_ascii_case("true") => Some(Value::Boolean(true)),
            _ if text.eq_ignore_ascii_case("false") => Some(Value::Boolean(false)),
            _ => None,
        },
        Kind::Short => within(i16::MIN.into(), i16::MAX.into()),
        Kind::Int => within(i32::MIN.into(), i32::MAX.into()),
        Kind::Long => within(i64::MIN, i64::MAX),
        Kind::Double => {
            let number = text.parse::<f64>().ok()?;
            number.is_finite().then_some(Value::Double(number))
        }
        Kind::Text | Kind::Class | Kind::Password => Some(Value::Text(text.to_owned())),
        Kind::List if text.is_empty() => Some(Value::List(Vec::new())),
        Kind::List => {
            Some(Value::List(text.split(',').map(|element| element.trim().to_owned()).collect()))
        }
        Kind::Size => {
            let bytes = text.parse::<ByteCount>().ok()?.get();
            i64::try_from(bytes).ok().map(Value::Number)
        }
        Kind::Duration => parse_millis(text).map(Value::Number),
    }
}

/// Words of time in milliseconds, longer words before those that they end in.
const TIMES: [(&str, i64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn parse_millis(text: &str) -> Option<i64> {
    let (digits, factor) = TIMES
        .iter()
        .find_map(|(word, factor)| Some((text.strip_suffix(word)?, *factor)))
        .unwrap_or((text, 1));
    digits.trim_end().parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(kind: Kind, text: &str) -> Option<String> {
        parse(kind, text).map(|value| value.to_string())
    }

    #[test]
    fn values_have_one_form() {
        for (kind, text, expected) in [
            (Kind::Boolean, " TRUE ", "true"),
            (Kind::Int, "+7", "7"),
            (Kind::Double, "1", "1.0"),
            (Kind::Double, "0.50", "0.5"),
            (Kind::Double, "1.7976931348623157E308", "1.7976931348623157E308"),
            (Kind::Double, "1e7", "1.0E7"),
            (Kind::List, " a , b", "a,b"),
            (Kind::List, "", ""),
            (Kind::Size, "64MiB", "67108864"),
            (Kind::Size, "12", "12"),
            (Kind::Duration, "30s", "30000"),
            (Kind::Duration, "250 ms", "250"),
            (Kind::Duration, "7d", "604800000"),
            (Kind::Duration, "-1", "-1"),
        ] {
            assert_eq!(canonical(kind, text).as_deref(), Some(expected), "{text}");
        }
        for (kind, text) in [
            (Kind::Boolean, "yes"),
            (Kind::Short, "40000"),
            (Kind::Int, "2147483648"),
            (Kind::Long, "1.5"),
            (Kind::Double, "NaN"),
            (Kind::Size, "-1"),
            (Kind::Size, "99999999TiB"),
            (Kind::Duration, "s"),
            (Kind::Duration, "9223372036854775807s"),
        ] {
            assert_eq!(canonical(kind, text), None, "{text}");
        }
    }
}
