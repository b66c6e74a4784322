//! Which of the matches a check is about: `find(i)`, `findAll()`, `findRandom(…)`, `count()`.

use std::ops::ControlFlow;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::{Arity, Extractor, Failure, Kind, Prepared, Texts};
use crate::value::Value;

/// As it reads in error texts.
pub(super) fn name(arity: Arity) -> String {
    match arity {
        Arity::Find { index: 0 } => ".find".to_owned(),
        Arity::Find { index } => format!(".find({index})"),
        Arity::FindAll => ".findAll".to_owned(),
        Arity::FindRandom { count: None, .. } => ".findRandom".to_owned(),
        Arity::FindRandom { count: Some(count), fail_if_less } => {
            format!(".findRandom({count}, {fail_if_less})")
        }
        Arity::Count => ".count.transform".to_owned(),
    }
}

pub(super) fn kind(arity: Arity, one: Kind) -> Kind {
    match arity {
        Arity::Find { .. } | Arity::FindRandom { count: None, .. } => one,
        Arity::FindAll | Arity::FindRandom { count: Some(_), .. } => Kind::Any,
        Arity::Count => Kind::Int,
    }
}

pub(super) fn find(
    extractor: &dyn Extractor,
    arity: Arity,
    response: &Prepared<'_>,
    texts: &Texts<'_>,
    rng: &mut SmallRng,
) -> Result<Option<Value>, Failure> {
    match arity {
        Arity::Find { index } => {
            let (mut left, mut found) = (index, None);
            extractor.visit(response, texts, &mut |value| {
                if left == 0 {
                    found = Some(value);
                    return ControlFlow::Break(());
                }
                left -= 1;
                ControlFlow::Continue(())
            })?;
            Ok(found)
        }
        Arity::Count => {
            let count = extractor.count(response, texts)?;
            Ok((count > 0 || !extractor.none_is_not_zero()).then_some(Value::Int(count)))
        }
        Arity::FindAll => {
            let all = all(extractor, response, texts)?;
            Ok((!all.is_empty()).then(|| Value::list(all)))
        }
        Arity::FindRandom { count: None, .. } => {
            let mut all = all(extractor, response, texts)?;
            Ok(if all.is_empty() {
                None
            } else {
                let index = rng.random_range(0..all.len());
                Some(all.swap_remove(index))
            })
        }
        Arity::FindRandom { count: Some(count), fail_if_less } => {
            let mut all = all(extractor, response, texts)?;
            if fail_if_less && all.len() < count as usize {
                return Err(Failure::Extraction(format!("Failed to collect {count} matches")));
            }
            all.shuffle(rng);
            all.truncate(count as usize);
            Ok((!all.is_empty()).then(|| Value::list(all)))
        }
    }
}

fn all(
    extractor: &dyn Extractor,
    response: &Prepared<'_>,
    texts: &Texts<'_>,
) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    extractor.visit(response, texts, &mut |value| {
        all.push(value);
        ControlFlow::Continue(())
    })?;
    Ok(all)
}
