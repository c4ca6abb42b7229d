//! The command line of `esker traces`.

use super::{OutputArgs, key_value};
use clap::{Args, Subcommand, ValueEnum};

/// What to do with traces.
#[derive(Debug, Subcommand)]
pub enum TracesVerb {
    /// List the newest traces that have a span of this kind
    #[command(alias = "ls")]
    List(TracesListArgs),
    /// Show a trace
    Get {
        /// Its id
        id: String,
        /// How to print
        #[arg(short, long, value_enum, default_value = "tree")]
        output: TraceFormat,
    },
    /// List the services that have sent spans
    Services {
        /// How far back to look
        #[arg(long, value_name = "AGE", default_value = "1h", value_parser = age)]
        since: u64,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List what a service does
    Operations {
        /// The service
        service: String,
        /// How far back to look
        #[arg(long, value_name = "AGE", default_value = "1h", value_parser = age)]
        since: u64,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Options of `esker traces list`.
#[derive(Debug, Args)]
pub struct TracesListArgs {
    /// Of this service
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// Of this operation
    #[arg(long, value_name = "OPERATION")]
    pub operation: Option<String>,
    /// At least so long, as in 200ms or 1.5s
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    pub min_duration: Option<u64>,
    /// Only failed ones
    #[arg(long)]
    pub error: bool,
    /// With this attribute; may be repeated
    #[arg(long = "attr", value_name = "KEY=VALUE", value_parser = key_value)]
    pub attributes: Vec<(String, String)>,
    /// How far back to look
    #[arg(long, value_name = "AGE", default_value = "1h", value_parser = age)]
    pub since: u64,
    /// At most so many
    #[arg(long, default_value = "20")]
    pub limit: u64,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How a trace is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// For people
    Tree,
    /// A list of spans
    Json,
    /// OTLP's JSON
    Otlp,
}

/// Milliseconds of a time such as `200ms`, `1.5s`, `2m`, `1h`, `3d`.
fn duration_ms(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let of_unit = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        "d" => 86_400e3,
        _ => return Err("write a time with its unit, as in 200ms, 1.5s, 10m, 1h, 3d".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "digits and a dot")]
    let millis = (number * of_unit).round() as u64;
    Ok(millis)
}

/// Seconds of such a time.
fn age(text: &str) -> Result<u64, String> {
    duration_ms(text).map(|millis| millis.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration_ms("200ms"), Ok(200));
        assert_eq!(duration_ms("1.5s"), Ok(1500));
        assert_eq!(age("2m"), Ok(120));
        assert_eq!(age("1ms"), Ok(1));
        for bad in ["", "5", "s", "1.2.3s", "-1s", "1w"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }
}
