//! `config`: every setting with its default, alone and together, and what the format allows.

use std::io;

use esker_settings::{Setting, broker_settings, group_settings, topic_settings};

use crate::Corpus;

pub(crate) fn write(corpus: &Corpus) -> io::Result<()> {
    let all = || broker_settings().chain(topic_settings()).chain(group_settings());
    for setting in all() {
        corpus.put("config", setting.name, line(setting).as_bytes())?;
    }
    let everything: String = topic_settings().map(line).collect();
    corpus.put("config", "topic", everything.as_bytes())?;
    let forms: [&str; 4] = [
        "# comment\n! comment\n\nlog.retention.hours = 7\nlog.retention.ms : -1\n",
        "log.dirs=/a,\\\n   /b\nnode.id 1\n",
        "key\\ with\\=escapes=\\u0041\\t\\\\\n",
        "compression.type=zstd\r\ncleanup.policy=compact,delete\r\nretention.ms=1000",
    ];
    for (number, form) in forms.iter().enumerate() {
        corpus.put("config", &format!("form-{number}"), form.as_bytes())?;
    }
    Ok(())
}

fn line(setting: &Setting) -> String {
    format!("{}={}\n", setting.name, setting.default.unwrap_or("1"))
}
