//! `sitemap(path)`: the addresses of a site (<https://www.sitemaps.org/protocol.html>).

use std::io::Read;

use roxmltree::{Document, Node, ParsingOptions};

use super::files::{invalid, unreadable};
use super::rows::Rows;
use crate::shard::Problem;
use crate::value::{Value, ValueMap};

/// Bytes of a sitemap; the protocol's own limit is 50 MB.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

pub(super) fn read(input: Box<dyn Read>, path: &str) -> Result<Rows, Problem> {
    let mut text = String::new();
    let read = input.take(DOCUMENT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| unreadable(path, &error.to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    let wrong = |message: String| invalid(path, format!("{path} is not a sitemap: {message}"));
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text, options).map_err(|error| wrong(error.to_string()))?;
    let urlset = document.root_element();
    if urlset.tag_name().name() != "urlset" {
        return Err(wrong("its root must be <urlset>".to_owned()));
    }
    let mut records = Vec::new();
    for url in elements(urlset).filter(|it| it.tag_name().name() == "url") {
        let record: ValueMap = elements(url)
            .map(|field| (field.tag_name().name().into(), Value::from(text_of(field).trim())))
            .collect();
        if !record.keys().any(|name| &**name == "loc") {
            return Err(wrong(format!("<url> number {} has no <loc>", records.len() + 1)));
        }
        records.push(record);
    }
    Ok(Rows::records(records.into_iter()))
}

fn elements<'a>(of: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    of.children().filter(Node::is_element)
}

fn text_of(element: Node<'_, '_>) -> String {
    element.children().filter(Node::is_text).filter_map(|child| child.text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Rows, Problem> {
        super::read(Box::new(text.as_bytes()), "map.xml")
    }

    #[test]
    fn a_record_for_each_url_of_its_children() {
        let rows = read(
            "<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">
            <url><loc> http://a/1?x&amp;y </loc><lastmod>2020</lastmod></url>
            <url><loc>http://a/2</loc></url></urlset>",
        )
        .unwrap();
        assert_eq!(rows.len(), 2);
        let record: Vec<_> =
            rows.record(0).map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(record, ["loc=http://a/1?x&y", "lastmod=2020"]);
        assert_eq!(rows.record(1).count(), 1);
    }

    #[test]
    fn what_is_no_sitemap_says_why() {
        for (text, why) in [
            ("<urlset><url><lastmod>1</lastmod></url></urlset>", "<url> number 1 has no <loc>"),
            ("<sitemapindex/>", "its root must be <urlset>"),
        ] {
            let problem = read(text).err().unwrap();
            assert_eq!(problem.message, format!("map.xml is not a sitemap: {why}"));
        }
        assert!(read("<urlset>").is_err());
    }
}
