//! Guests' own metrics as families of `/metrics`.

use std::collections::{BTreeMap, HashMap};

use caxton_kernel::Listing;
use caxton_node::{GuestMetric, GuestMetrics};

/// What begins the name of each such family.
const PREFIX: &str = "caxton_guest_";

/// The families of these agents as text, each with its type once.
///
/// A name that several agents use for different kinds stays with the one deployed first; the others'
/// kind is added to theirs.
pub(crate) fn text(mut agents: Vec<(Listing, GuestMetrics)>) -> String {
    agents.sort_by_key(|(listing, _)| (listing.spec.deployed_at, listing.spec.id));
    // Each sample's name belongs to one family of one kind.
    let mut samples: HashMap<String, (String, &'static str)> = HashMap::new();
    let mut families: BTreeMap<String, (&'static str, String)> = BTreeMap::new();
    for (listing, metrics) in &agents {
        for (name, metric) in metrics.iter() {
            let plain = format!("{PREFIX}{name}");
            let other = format!("{plain}_{}", metric.kind());
            let Some(family) = [plain, other]
                .into_iter()
                .find(|family| claim(&mut samples, family, metric))
            else {
                continue;
            };
            let (_, lines) = families
                .entry(family.clone())
                .or_insert_with(|| (metric.kind(), String::new()));
            metric.write(&family, listing.spec.name.as_str(), lines);
        }
    }
    let mut text = String::new();
    for (family, (kind, lines)) in families {
        text.push_str(&format!(
            "# HELP {family} Recorded by guests.\n# TYPE {family} {kind}\n{lines}\n"
        ));
    }
    text
}

/// Takes the names of a family's samples, unless one of them belongs to another family.
fn claim(
    samples: &mut HashMap<String, (String, &'static str)>,
    family: &str,
    metric: &GuestMetric,
) -> bool {
    let names: Vec<String> = metric
        .suffixes()
        .iter()
        .map(|suffix| format!("{family}{suffix}"))
        .collect();
    let own = (family.to_owned(), metric.kind());
    if names
        .iter()
        .any(|name| samples.get(name).is_some_and(|of| *of != own))
    {
        return false;
    }
    for name in names {
        samples.insert(name, own.clone());
    }
    true
}
