//! An extension with one action: `upper` takes `{"text": …}` and gives `{"text": …}` in capitals.

use caxton_sdk::extension;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Text {
    text: String,
}

/// A text in capitals
#[extension]
fn upper(input: Text) -> Result<Text, String> {
    Ok(Text { text: input.text.to_ascii_uppercase() })
}
