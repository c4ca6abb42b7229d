//! Where a bucket is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a bucket: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///dir` or
/// `memory:`.
///
/// A prefix has no slash at its ends. Everything that Esker writes lies below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketUrl {
    /// A directory, named by its absolute path.
    File(PathBuf),
    /// The memory of this process: gone with it.
    Memory,
    /// S3, or a store that speaks its protocol.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Empty for the whole bucket.
        prefix: String,
    },
    /// Google Cloud Storage.
    Gcs {
        /// The bucket's name.
        bucket: String,
        /// Empty for the whole bucket.
        prefix: String,
    },
    /// Azure Blob Storage.
    Azure {
        /// The container's name.
        container: String,
        /// Empty for the whole container.
        prefix: String,
    },
}

/// A text that is no address of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no bucket url: {problem}; {advice}")]
pub struct UrlError {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What to write instead.
    pub advice: String,
}

const FORMS: &str = "write `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, \
                     `file:///directory` or `memory:`";

impl FromStr for BucketUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let fail = |problem, advice: String| Err(UrlError { url: url.to_owned(), problem, advice });
        if matches!(url, "memory:" | "memory://" | "memory:///") {
            return Ok(Self::Memory);
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return if url.starts_with('/') {
                fail("it has no scheme", format!("for a directory write `file://{url}`"))
            } else {
                fail("it has no scheme", FORMS.to_owned())
            };
        };
        match scheme {
            "file" if !rest.starts_with('/') => {
                fail("the path is not absolute", "write `file:///directory`".to_owned())
            }
            "file" if rest.split('/').any(|part| part == "..") => {
                fail("the path climbs with `..`", "write the path that is meant".to_owned())
            }
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "s3" | "s3a" | "gs" | "az" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if !bucket_name_is_legal(bucket) {
                    return fail(
                        "the name of the bucket is missing or has illegal characters",
                        format!("write `{scheme}://bucket/prefix`"),
                    );
                }
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                if !prefix.is_empty() && !prefix.split('/').all(part_is_legal) {
                    return fail(
                        "a part of the prefix is empty, `.` or `..`, or has characters other than \
                         letters, digits and `-_.=`",
                        format!("write `{scheme}://{bucket}/prefix`"),
                    );
                }
                let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
                Ok(match scheme {
                    "gs" => Self::Gcs { bucket, prefix },
                    "az" => Self::Azure { container: bucket, prefix },
                    _ => Self::S3 { bucket, prefix },
                })
            }
            "http" | "https" => fail(
                "it is the address of a store, not of a bucket",
                format!(
                    "set the endpoint to `{scheme}://…` and the bucket to `s3://bucket/prefix`"
                ),
            ),
            _ => fail("its scheme is unknown", FORMS.to_owned()),
        }
    }
}

fn bucket_name_is_legal(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (3..=222).contains(&name.len()) && name.bytes().all(legal)
}

fn part_is_legal(part: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=');
    !matches!(part, "" | "." | "..") && part.bytes().all(legal)
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, bucket, prefix) = match self {
            Self::File(path) => return write!(f, "file://{}", path.display()),
            Self::Memory => return f.write_str("memory:"),
            Self::S3 { bucket, prefix } => ("s3", bucket, prefix),
            Self::Gcs { bucket, prefix } => ("gs", bucket, prefix),
            Self::Azure { container, prefix } => ("az", container, prefix),
        };
        write!(f, "{scheme}://{bucket}")?;
        if prefix.is_empty() { Ok(()) } else { write!(f, "/{prefix}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        let s3 = |bucket: &str, prefix: &str| BucketUrl::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        for (text, url, printed) in [
            ("s3://logs", s3("logs", ""), "s3://logs"),
            ("s3://logs/", s3("logs", ""), "s3://logs"),
            ("s3a://logs/a/b_1/", s3("logs", "a/b_1"), "s3://logs/a/b_1"),
            ("memory:", BucketUrl::Memory, "memory:"),
            ("file:///var/x", BucketUrl::File("/var/x".into()), "file:///var/x"),
        ] {
            let parsed: BucketUrl = text.parse().unwrap();
            assert_eq!((&parsed, parsed.to_string().as_str()), (&url, printed));
            assert_eq!(printed.parse(), Ok(url));
        }
        assert!(matches!("gs://b-1/p".parse(), Ok(BucketUrl::Gcs { .. })));
        assert!(matches!("az://box".parse(), Ok(BucketUrl::Azure { .. })));
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, advice) in [
            ("/var/lib/x", "`file:///var/lib/x`"),
            ("logs", "`s3://bucket/prefix`"),
            ("file://x", "`file:///directory`"),
            ("file:///a/../b", "path that is meant"),
            ("s3://", "`s3://bucket/prefix`"),
            ("s3://logs//x", "`s3://logs/prefix`"),
            ("s3://logs/../x", "`s3://logs/prefix`"),
            ("gs://a b/x", "`gs://bucket/prefix`"),
            ("http://localhost:9000/logs", "set the endpoint"),
            ("ftp://x", "`memory:`"),
        ] {
            let error = text.parse::<BucketUrl>().unwrap_err().to_string();
            assert!(error.contains(advice) && error.contains(text), "{error}");
        }
    }
}
