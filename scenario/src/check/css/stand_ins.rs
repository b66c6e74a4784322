//! A selector with expressions, before they have values: its literal parts are looked at with words
//! in the places of the expressions. Where no choice of words gives a selector, none will.

use super::query::{Query, Refusal};
use crate::el::Template;

/// A name, a number, the names of pseudo-classes without and with parentheses, an operator.
const STAND_INS: [&str; 5] = [NAME, NUMBER, "first-child", "contains", "="];
/// Told apart in the text of an error.
const NAME: &str = "any-expression";
const NUMBER: &str = "987654";

/// With more expressions there are too many choices to try.
const EXPRESSIONS_MAX: u32 = 4;

/// # Errors
/// What is wrong with it, whatever the values.
pub(super) fn look_at(template: &Template, text: &str) -> Result<(), String> {
    let count = template.expressions();
    let Some(choices) = u32::try_from(count)
        .ok()
        .filter(|count| *count <= EXPRESSIONS_MAX)
        .map(|count| STAND_INS.len().pow(count))
    else {
        return Ok(());
    };
    let mut furthest: Option<Refusal> = None;
    for choice in 0..choices {
        let mut digits = choice;
        let filled = template.filled(|| {
            let word = STAND_INS[digits % STAND_INS.len()];
            digits /= STAND_INS.len();
            word
        });
        match Query::parse(&filled) {
            Ok(_) => return Ok(()),
            Err(refusal) => {
                if furthest.as_ref().is_none_or(|known| refusal.left < known.left) {
                    furthest = Some(refusal);
                }
            }
        }
    }
    let with_expressions = |read: &str| read.replace(NAME, "#{…}").replace(NUMBER, "#{…}");
    furthest.map_or(Ok(()), |refusal| Err(refusal.map_read(with_expressions).of(text)))
}
