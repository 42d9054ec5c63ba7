//! The guests: each attacks one limit and ends by itself, so that it does no harm where its limit
//! does not hold.

use crate::failure::{Exit, Failure};

macro_rules! guests {
    ($($name:ident $file:literal)*) => {
        $(pub(super) const $name: &str =
            include_str!(concat!("../../../../../guests/wat/", $file, ".wat"));)*
        #[cfg(test)]
        const ALL: &[&str] = &[$($name,)*];
    };
}

guests! {
    ANSWERS "answers"
    FILE_FLOOD "file-flood"
    FILE_GROWTH "file-growth"
    GROW_OFTEN "grow-often"
    GROW_TRAP "grow-trap"
    HOST_CALL_FLOOD "host-call-flood"
    HTTP_FLOOD "http-flood"
    LOG_FLOOD "log-flood"
    LOOP_MESSAGE "loop-message"
    MESSAGE_FLOOD "message-flood"
    PROCESSOR_LOOP "processor-loop"
    PROCESSOR_LOUD "processor-loud"
    QUIET "quiet"
    RECURSION "recursion"
    SLEEP "sleep"
    STATE_FLOOD "state-flood"
    SUBSCRIPTION_FLOOD "subscription-flood"
    TABLE_GROWTH "table-growth"
    TIMER_FLOOD "timer-flood"
}

/// A guest's text as a module.
pub(super) fn module(text: &str) -> Result<Vec<u8>, Failure> {
    wat::parse_str(text).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("a guest of this program does not assemble: {error}"),
            "report this with the output of `caxton --version`",
        )
    })
}

/// The quiet guest with so many bytes that mean nothing.
pub(super) fn padded(bytes: u32) -> Result<Vec<u8>, Failure> {
    let mut module = module(QUIET)?;
    // A custom section: its number, its length in LEB128, a name of three letters, zeros.
    module.push(0);
    let mut left = bytes + 4;
    while left > 0x7f {
        module.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    module.push(left as u8);
    module.extend(b"\x03pad");
    module.resize(module.len() + bytes as usize, 0);
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_is_a_module_that_is_understood() {
        for text in ALL {
            let report = caxton_package::inspect(&module(text).unwrap());
            assert!(report.form.is_some(), "{text}");
        }
        let padded = padded(70_000).unwrap();
        assert!(padded.len() > 70_000);
        assert!(caxton_package::inspect(&padded).form.is_some());
    }
}
