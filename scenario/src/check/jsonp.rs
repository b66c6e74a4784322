//! The JSON inside a JSONP answer: `callback({…});`. One pattern, as Gatling has it.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use crate::java_regex::Regex;

/// A name with members, then the argument on one line, then at most a semicolon and blanks.
static JSONP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\w+(?:\["\w+"\]|\.\w+)*\((.*)\);?\s*$"#).expect("the pattern is a constant")
});

/// # Errors
/// The text of the check's failure.
pub(super) fn inner(text: &str) -> Result<&str, String> {
    let mut json = None;
    let _first = JSONP.captures(text, |captures| {
        json = captures.get(1);
        ControlFlow::Break(())
    })?;
    json.ok_or_else(|| "Regex could not extract JSON object from JSONP response".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each asked of Gatling 3.16.0.
    #[test]
    fn only_the_plain_form_is_taken() {
        assert_eq!(inner("cb({\"a\":1});"), Ok("{\"a\":1}"));
        assert_eq!(inner("a.b[\"c\"]({\"a\":1})\n\n"), Ok("{\"a\":1}"));
        for other in
            ["cb ( {} );", "cb({\n});", " cb({});", "$cb({});", "cb({}); // x", "{\"a\":1}", ""]
        {
            assert!(inner(other).is_err(), "{other}");
        }
    }
}
