//! What several resources share: times and content ids as text, and the checks of names that come
//! in by path. Domain types stay behind; what is here is the wire.

use onrush_raft::types::{ContentId, DIGEST_PREFIX, JobId, ProjectName, UnixMs};

use crate::error::Problem;
use crate::state::ApiState;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::job::Job;
use onrush_raft::ledger::project::Project;
use std::sync::Arc;

/// Longest name of a project.
const PROJECT_CHARS_MAX: usize = 63;
/// Longest path of a file, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 255;
const JOB_PREFIX: &str = "job_";
const ULID_CHARS: usize = 26;
const DIGEST_CHARS: usize = 64;

/// RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn rfc3339(ms: UnixMs) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// `blake3:` and 64 hex digits.
#[must_use]
pub fn digest_text(content: &ContentId) -> String {
    format!("{DIGEST_PREFIX}{content}")
}

/// The inverse of [`digest_text`].
pub(crate) fn parse_digest(pointer: &str, text: &str) -> Result<ContentId, Problem> {
    let hex = text.strip_prefix(DIGEST_PREFIX).unwrap_or(text);
    let is_hex = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex.len() == DIGEST_CHARS && is_hex {
        return Ok(hex.into());
    }
    Err(Problem::field(pointer, "a digest is \"blake3:\" and 64 lower-case hex digits"))
}

/// A job's id as it may come in: anything else never reaches the ledger.
pub(crate) fn job_id(text: &str) -> Result<JobId, Problem> {
    let ulid = text.strip_prefix(JOB_PREFIX).unwrap_or_default();
    if ulid.len() == ULID_CHARS
        && ulid.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    {
        return Ok(text.into());
    }
    let shown: String = text.chars().take(64).filter(|c| !c.is_control()).collect();
    Err(Problem::field(
        "/id",
        format!("{shown:?} is not a job id; one looks like job_01JD3Z6Q0V8G5X2M4N7P9R1S3T"),
    ))
}

/// A new job's id.
pub(crate) fn new_job_id() -> JobId {
    format!("{JOB_PREFIX}{}", ulid::Ulid::new()).into()
}

/// A project's name as it may come in.
pub(crate) fn project_name(pointer: &str, text: &str) -> Result<ProjectName, Problem> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=PROJECT_CHARS_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-');
    if fits {
        return Ok(text.into());
    }
    Err(Problem::field(
        pointer,
        format!(
            "a project's name has 1 to {PROJECT_CHARS_MAX} characters, a-z, 0-9 and -, and does \
             not begin with -"
        ),
    ))
}

/// The project, or why there is none.
pub(crate) fn find_project(ledger: &Ledger, text: &str) -> Result<Arc<Project>, Problem> {
    let name = project_name("/project", text)?;
    let found = ledger.project(&name).map(Arc::clone);
    found.ok_or_else(|| Problem::not_found(format_args!("project {name}")))
}

/// The job, or why there is none.
pub(crate) fn find_job(ledger: &Ledger, text: &str) -> Result<Arc<Job>, Problem> {
    let id = job_id(text)?;
    let found = ledger.job(&id).map(Arc::clone);
    found.ok_or_else(|| Problem::not_found(format_args!("job {id}")))
}

/// A file's path inside a project: what can be stored on any disk under the same name.
pub(crate) fn file_path(pointer: &str, path: &str) -> Result<(), Problem> {
    let refuse = |why: &str| {
        let shown: String = path.chars().take(80).filter(|c| !c.is_control()).collect();
        let rule = "a file's path is relative, with / between its parts, at most 255 bytes, \
                    without . and .., backslashes, colons and control characters";
        Err(Problem::field(pointer, format!("bad file name {shown:?}: {why}; {rule}")))
    };
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return refuse("it is too long");
    }
    if path.starts_with('/') {
        return refuse("it is absolute");
    }
    if let Some(c) = path.chars().find(|c| is_bad_char(*c)) {
        return refuse(&format!("it has the character U+{:04X}", u32::from(c)));
    }
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return refuse(&format!("{part:?} cannot be a part of it"));
        }
        if part.ends_with(['.', ' ']) || part.starts_with(' ') {
            return refuse(&format!("{part:?} begins or ends with a space, or ends with a dot"));
        }
        if is_device(part) {
            return refuse(&format!("{part:?} is a device on some systems"));
        }
    }
    Ok(())
}

/// Control characters, separators of other systems, direction overrides, and combining marks (the
/// same name written in two ways would be two files).
fn is_bad_char(c: char) -> bool {
    c.is_control()
        || matches!(c, '\\' | ':')
        || matches!(c, '\u{0300}'..='\u{036f}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).to_ascii_uppercase();
    let numbered = |name: &str| {
        stem.strip_prefix(name)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// Waits until this node has applied `index`, so that what was written can be read back here.
pub(crate) async fn caught_up(state: &ApiState, index: u64) -> Result<(), Problem> {
    let mut applied = state.backend.applied();
    let waited = tokio::time::timeout(crate::WRITE_TIMEOUT, applied.wait_for(|at| *at >= index));
    if matches!(waited.await, Ok(Ok(_))) {
        return Ok(());
    }
    Err(Problem::new(
        crate::error::Kind::Unavailable,
        format!(
            "carried out at log index {index}, but this node has not caught up yet; read again"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_405_059_120), "2026-11-23T03:37:39.120Z");
        assert!(rfc3339(u64::MAX).starts_with("9999-"));
    }

    #[test]
    fn ids_that_are_none_are_refused() {
        assert!(job_id(&new_job_id().0).is_ok());
        for text in ["", "job_", "../x", "job_%00", "job_01JD3Z", "🦀", &"x".repeat(1 << 20)] {
            let problem = job_id(text).unwrap_err();
            assert!(problem.detail().len() < 400);
        }
    }

    #[test]
    fn project_names_follow_the_rule() {
        for name in ["default", "team-x", "7"] {
            assert!(project_name("/name", name).is_ok(), "{name}");
        }
        for name in ["", "-a", "Team", "a b", "ä", &"x".repeat(64)] {
            assert!(project_name("/name", name).is_err(), "{name}");
        }
    }

    #[test]
    fn bad_file_names_are_refused_with_the_rule() {
        for path in ["shop.js", "resources/users.csv", "a/b/c.d.e", "déjà.csv", "日本.json"] {
            assert!(file_path("/path", path).is_ok(), "{path}");
        }
        let long = "x".repeat(300);
        let bad = [
            "",
            ".",
            "..",
            "../../etc/cron.d/x",
            "/abs",
            "C:\\x",
            "C:x",
            "a\0b",
            "a//b",
            "a/./b",
            "CON",
            "con.txt",
            "x/Com1.log",
            "a/",
            "a ",
            "e\u{301}.csv",
            "x\u{202e}y",
            &long,
        ];
        for path in bad {
            let problem = file_path("/path", path).unwrap_err();
            assert!(problem.detail().contains("a file's path is relative"), "{path:?}");
        }
    }

    #[test]
    fn digests_are_read_with_and_without_their_name() {
        let hex = "ab".repeat(32);
        assert_eq!(parse_digest("?digest", &hex).unwrap().0, hex);
        assert_eq!(parse_digest("?digest", &format!("blake3:{hex}")).unwrap().0, hex);
        assert!(parse_digest("?digest", "blake3:AB").is_err());
    }
}
