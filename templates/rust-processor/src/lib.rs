//! Counts the words of a text.

use caxton_sdk::processor;

#[processor]
fn count_words(input: &str) -> String {
    input.split_whitespace().count().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_words() {
        assert_eq!(count_words("one two  three\n"), "3");
        assert_eq!(count_words(""), "0");
    }
}
