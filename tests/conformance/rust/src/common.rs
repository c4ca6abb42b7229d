//! What the driven programs share: the command line, and records as JSON lines with bytes in base64.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::BufRead;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// `PROGRAM BOOTSTRAP VERB TOPIC [WORD...]`
pub(crate) struct Call {
    pub(crate) bootstrap: String,
    pub(crate) verb: String,
    pub(crate) topic: String,
    words: Vec<String>,
}

impl Call {
    pub(crate) fn from_args() -> Result<Self, String> {
        let mut args = std::env::args().skip(1);
        let mut next = || args.next().ok_or("usage: PROGRAM BOOTSTRAP VERB TOPIC [WORD...]");
        let (bootstrap, verb, topic) = (next()?, next()?, next()?);
        Ok(Self { bootstrap, verb, topic, words: args.collect() })
    }

    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    pub(crate) fn word(&self, index: usize) -> Result<&str, String> {
        self.words
            .get(index)
            .map(String::as_str)
            .ok_or_else(|| format!("`{}` needs more words", self.verb))
    }

    pub(crate) fn number(&self, index: usize) -> Result<i64, String> {
        self.word(index)?.parse().map_err(|_| format!("word {index} is no number"))
    }
}

/// A record as the suites write it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, Option<String>)>,
    #[serde(default)]
    pub(crate) offset: i64,
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn decode(text: Option<&String>) -> Result<Option<Vec<u8>>, base64::DecodeError> {
    text.map(|text| BASE64_STANDARD.decode(text)).transpose()
}

pub(crate) fn read_records() -> Result<Vec<Shown>, Box<dyn Error>> {
    std::io::stdin().lock().lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

pub(crate) fn print(value: &impl Serialize) -> Outcome {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
