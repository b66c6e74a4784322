//! The media type of a file by its name, for the parts of multipart bodies: by Gatling's table, in
//! which case matters. Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

static BY_ENDING: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let lines = include_str!("media_types.txt").lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.flat_map(|line| {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        words.map(move |ending| (ending, kind))
    });
    pairs.collect()
});

pub(super) fn of_file(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.and_then(|it| BY_ENDING.get(it)).unwrap_or(&"application/octet-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_typed_by_their_ending() {
        for (name, kind) in [
            ("a.json", "application/json"),
            ("a.js", "application/javascript"),
            ("a.tar.gz", "application/octet-stream"),
            ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("a.JPEG", "application/octet-stream"),
            ("a.jpeg", "image/jpeg"),
            ("json", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.webp", "image/webp"),
            ("a.sub", "text/vnd.dvb.subtitle"),
        ] {
            assert_eq!(of_file(name), kind, "{name}");
        }
    }
}
