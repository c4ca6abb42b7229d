//! Java's `.properties` files, the form of Kafka's `server.properties` and `client.properties`.

/// A line that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PropertiesError {
    /// Number of the line on which the entry begins, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads names and values in the order of the file; of a name that is given twice, Java takes the last.
///
/// # Errors
/// At a damaged `\u` escape, and at an entry without a name.
pub fn parse_properties(text: &str) -> Result<Vec<(String, String)>, PropertiesError> {
    let mut entries = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut entry = line.trim_start().to_owned();
        if entry.is_empty() || entry.starts_with(['#', '!']) {
            continue;
        }
        while entry.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            entry.pop();
            let Some((_, next)) = lines.next() else { break };
            entry.push_str(next.trim_start());
        }
        let wrong = |what| PropertiesError { line: number + 1, what };
        let (name, value) = split(&entry);
        let name = unescape(name).ok_or_else(|| wrong("the name has a damaged \\u escape"))?;
        let value = unescape(value).ok_or_else(|| wrong("the value has a damaged \\u escape"))?;
        if name.is_empty() {
            return Err(wrong("expected NAME=VALUE, found no name"));
        }
        entries.push((name, value));
    }
    Ok(entries)
}

/// Splits at the first `=`, `:` or blank that is not escaped; blanks around it belong to neither side.
fn split(entry: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = entry.find(|c: char| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (entry, "") };
    let (name, rest) = entry.split_at(end);
    let rest = rest.trim_start();
    (name, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits = chars.as_str().get(..4)?;
                plain.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                chars = chars.as_str().get(4..)?.chars();
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_read_as_java_reads_them() {
        let text = "# comment\n! comment\n\n a = 1 \nb:2\nc 3\nlist=x,\\\n   y\n\
                    path=C\\:\\\\d\nspaced\\ name=v\nempty\nu=\\u00e4\ntab=a\\tb\n";
        let entries = parse_properties(text).unwrap();
        let entries: Vec<_> = entries.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [
            ("a", "1 "),
            ("b", "2"),
            ("c", "3"),
            ("list", "x,y"),
            ("path", "C:\\d"),
            ("spaced name", "v"),
            ("empty", ""),
            ("u", "ä"),
            ("tab", "a\tb"),
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn damaged_lines_are_named() {
        let error = parse_properties("a=1\n=2\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: expected NAME=VALUE, found no name");
        assert_eq!(parse_properties("a=\\u12").unwrap_err().line, 1);
        assert_eq!(parse_properties("a=\\").unwrap(), [("a".to_owned(), String::new())]);
    }
}
