//! Pages of lists whose entries are named by the message they carry.

use caxton_api::Page;
use caxton_model::MessageKey;

/// The page of `all` that begins behind the entry `cursor` names.
///
/// The order is that of arrival, so a cursor is a place in the list, not a number to compare with.
/// A list loses its entries from the front: where the entry is gone, the page begins at the front.
pub(crate) fn page_behind<T, V>(
    all: &[T],
    cursor: Option<MessageKey>,
    limit: usize,
    key: impl Fn(&T) -> MessageKey,
    view: impl Fn(&T) -> V,
) -> Page<V> {
    let begin = cursor
        .and_then(|cursor| all.iter().position(|entry| key(entry) == cursor))
        .map_or(0, |at| at + 1);
    let rest = all.get(begin..).unwrap_or_default();
    let shown = rest.get(..limit).unwrap_or(rest);
    let last = shown.last().filter(|_| rest.len() > shown.len());
    Page {
        items: shown.iter().map(view).collect(),
        next_cursor: last.map(|last| key(last).to_string()),
    }
}
