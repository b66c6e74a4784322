//! What a submission must look like, and when two are the same request.

use std::collections::BTreeMap;

use super::{Division, JobSpec};
use crate::ledger::file::{check_content, check_path};
use crate::ledger::limits;
use crate::ledger::outcome::Rejection;

/// Refuses what is out of bounds. Says nothing of files that do not exist.
pub(super) fn check(spec: &JobSpec) -> Result<(), Rejection> {
    check_path(&spec.simulation)?;
    limits::text("the title", &spec.title, limits::TITLE_BYTES_MAX)?;
    limits::count("nodes", usize::try_from(spec.nodes).unwrap_or(usize::MAX), limits::SHARDS_MAX)?;
    check_texts("label", &spec.labels, limits::LABELS_MAX, limits::LABEL_BYTES_MAX)?;
    let (count, bytes) = (limits::PARAMETERS_MAX, limits::PARAMETER_BYTES_MAX);
    check_texts("parameter", &spec.parameters, count, bytes)?;
    check_texts("environment variable", &spec.environment, count, bytes)?;
    check_zones(spec)?;
    limits::count("files", spec.files.len(), limits::JOB_FILES_MAX)?;
    for (path, content) in &spec.files {
        check_path(path)?;
        check_content(content)?;
    }
    if !spec.files.contains_key(&spec.simulation) {
        return Err(Rejection::Invalid(format!(
            "the simulation {} is not among the job's files",
            spec.simulation
        )));
    }
    Ok(())
}

fn check_zones(spec: &JobSpec) -> Result<(), Rejection> {
    limits::count("zones", spec.zone_shares.len(), limits::ZONES_MAX)?;
    for (zone, share) in &spec.zone_shares {
        limits::text("the name of a zone", zone, limits::LABEL_BYTES_MAX)?;
        if zone.is_empty() || !(1..=limits::ZONE_SHARE_MAX).contains(share) {
            let most = limits::ZONE_SHARE_MAX;
            let text =
                format!("the share of zone '{zone}' is {share}; it must be from 1 to {most}");
            return Err(Rejection::Invalid(text));
        }
    }
    if spec.zone_shares.is_empty() {
        return Ok(());
    }
    if spec.nodes > 0 {
        return Err(Rejection::Invalid(format!(
            "shares by zone go to all nodes of the zones: {} nodes cannot be asked for as well",
            spec.nodes
        )));
    }
    if spec.division == Division::Copy {
        return Err(Rejection::Invalid(
            "with division copy each node runs all of it: there is no share by zone".to_owned(),
        ));
    }
    Ok(())
}

fn check_texts(
    what: &str,
    texts: &BTreeMap<String, String>,
    count: usize,
    bytes: usize,
) -> Result<(), Rejection> {
    limits::count(&format!("{what}s"), texts.len(), count)?;
    for (key, value) in texts {
        limits::text(&format!("the name of a {what}"), key, limits::LABEL_BYTES_MAX)?;
        limits::text(&format!("{what} {key}"), value, bytes)?;
        if key.is_empty() {
            return Err(Rejection::Invalid(format!("a {what} has an empty name")));
        }
    }
    Ok(())
}

/// What was asked for, without what the gateway adds on each attempt: the seed, drawn when the user
/// gave none, and the contents that the paths had at that moment.
pub(in crate::ledger) fn asked(spec: &JobSpec) -> JobSpec {
    JobSpec { files: BTreeMap::new(), seed: 0, ..spec.clone() }
}
