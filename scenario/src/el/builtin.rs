//! The functions that need no attribute: times, random numbers, ids. Arguments are literals and are
//! checked when the template is parsed.

use rand::Rng;
use rand::distr::Alphanumeric;

use super::date::Pattern;
use crate::expr::EvalCtx;
use crate::value::Value;

/// Longest text that `randomAlphanumeric` makes.
const ALPHANUMERIC_MAX: usize = 1_000_000;
/// More decimal digits than a double has are of no use.
const DIGITS_MAX: u32 = 17;

#[derive(Debug)]
pub(super) enum Builtin {
    CurrentTimeMillis,
    CurrentDate(Pattern),
    RandomUuid,
    RandomInt { from: i64, to: i64 },
    RandomLong { from: i64, to: i64 },
    RandomAnyLong,
    RandomDouble { from: f64, to: f64, digits: Option<u32> },
    RandomAlphanumeric(usize),
}

impl Builtin {
    /// None where `name` is no function: it is an attribute with an index then.
    ///
    /// # Errors
    /// A function with arguments that it does not take.
    pub(super) fn new(name: &str, arguments: &str) -> Result<Option<Self>, String> {
        let parts: Vec<&str> = if arguments.is_empty() {
            Vec::new()
        } else {
            arguments.split(',').map(str::trim).collect()
        };
        let invalid = || format!("invalid arguments of {name}({arguments})");
        let integer = |text: &str| text.parse::<i64>().map_err(|_| invalid());
        Ok(Some(match (name, &parts[..]) {
            ("currentTimeMillis", []) => Self::CurrentTimeMillis,
            ("currentDate", [_, ..]) => Self::CurrentDate(Pattern::parse(arguments)?),
            ("randomUuid" | "randomSecureUuid", []) => Self::RandomUuid,
            ("randomInt", []) => {
                Self::RandomInt { from: i64::from(i32::MIN), to: i64::from(i32::MAX) + 1 }
            }
            ("randomInt", [from, to]) => {
                let (from, to) = (integer(from)?, integer(to)?);
                if i32::try_from(from).is_err() || i32::try_from(to).is_err() {
                    return Err(format!(
                        "{} and 32 bits are not enough: use randomLong",
                        invalid()
                    ));
                }
                range(name, &from, &to)?;
                Self::RandomInt { from, to }
            }
            ("randomLong", []) => Self::RandomAnyLong,
            ("randomLong", [from, to]) => {
                let (from, to) = (integer(from)?, integer(to)?);
                range(name, &from, &to)?;
                Self::RandomLong { from, to }
            }
            ("randomDouble", [from, to, rest @ ..]) if rest.len() <= 1 => {
                let (from, to) =
                    (double(from).ok_or_else(invalid)?, double(to).ok_or_else(invalid)?);
                range(name, &from, &to)?;
                let digits = match rest {
                    [digits] => {
                        Some(digits.parse().ok().filter(|&d| d <= DIGITS_MAX).ok_or_else(invalid)?)
                    }
                    _ => None,
                };
                Self::RandomDouble { from, to, digits }
            }
            ("randomAlphanumeric", [length]) => Self::RandomAlphanumeric(
                length
                    .parse()
                    .ok()
                    .filter(|length| (1..=ALPHANUMERIC_MAX).contains(length))
                    .ok_or_else(invalid)?,
            ),
            (
                "currentTimeMillis" | "currentDate" | "randomUuid" | "randomSecureUuid"
                | "randomInt" | "randomLong" | "randomDouble" | "randomAlphanumeric",
                _,
            ) => return Err(invalid()),
            _ => return Ok(None),
        }))
    }

    pub(super) fn eval(&self, ctx: &mut EvalCtx<'_>) -> Value {
        match self {
            Self::CurrentTimeMillis => Value::Int(ctx.unix_ms),
            Self::CurrentDate(pattern) => Value::from(pattern.format(ctx.unix_ms)),
            Self::RandomUuid => {
                let uuid = uuid::Builder::from_random_bytes(ctx.rng.random()).into_uuid();
                Value::from(uuid.to_string())
            }
            Self::RandomInt { from, to } | Self::RandomLong { from, to } => {
                Value::Int(ctx.rng.random_range(*from..*to))
            }
            Self::RandomAnyLong => Value::Int(ctx.rng.random()),
            Self::RandomDouble { from, to, digits } => {
                let drawn = ctx.rng.random_range(*from..*to);
                Value::Double(digits.map_or(drawn, |digits| round(drawn, digits)))
            }
            Self::RandomAlphanumeric(length) => {
                let text: String =
                    (0..*length).map(|_| char::from(ctx.rng.sample(Alphanumeric))).collect();
                Value::from(text)
            }
        }
    }
}

/// `-?\d+\.\d+`, as Gatling demands.
fn double(text: &str) -> Option<f64> {
    let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn range<T: PartialOrd + std::fmt::Display>(name: &str, from: &T, to: &T) -> Result<(), String> {
    if from < to {
        return Ok(());
    }
    Err(format!("{name}: lower bound {from} must be below upper bound {to}"))
}

/// By way of the decimal text, so that 2 digits are 2 digits.
fn round(number: f64, digits: u32) -> f64 {
    format!("{number:.*}", digits as usize).parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept() {
        assert_eq!(round(1.005_7, 2).to_string(), "1.01");
        assert_eq!(double("1"), None);
        assert_eq!(double("-1.5"), Some(-1.5));
        assert_eq!(double("1.e5"), None);
    }
}
