//! Processors and extensions through their exports, natively.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test program")]

mod text {
    use std::ffi::{CStr, CString};

    #[caxton_sdk::processor]
    fn shout(input: &str) -> Result<String, String> {
        match input {
            "" => Err("nothing to shout".to_owned()),
            "nul" => Ok("a\0b".to_owned()),
            _ => Ok(input.to_uppercase()),
        }
    }

    /// As the host does it: input by `allocate`, output freed with its length and its NUL.
    fn call(input: &[u8]) -> Option<String> {
        let input = CString::new(input).unwrap();
        let out = process(input.as_ptr().cast());
        if out.is_null() {
            return None;
        }
        // SAFETY: the processor's result is a C string until it is deallocated.
        #[allow(unsafe_code, reason = "reads as the host does")]
        let text = unsafe { CStr::from_ptr(out.cast()) }
            .to_str()
            .unwrap()
            .to_owned();
        deallocate(out, text.len() + 1);
        Some(text)
    }

    #[test]
    fn a_text_processor_answers_or_says_why_not() {
        assert_eq!(call("grüß".as_bytes()).as_deref(), Some("GRÜSS"));
        for (input, why) in [
            (&b""[..], "nothing to shout"),
            (b"\xff", "the input is not UTF-8"),
            (b"nul", "the result holds a NUL, which ends a C string"),
        ] {
            assert_eq!(call(input), None);
            assert_eq!(caxton_sdk::testing::take_log(), [why]);
        }
        assert!(process(std::ptr::null()).is_null());
        let at = allocate(10);
        deallocate(at, 10);
    }

    #[test]
    fn it_says_who_it_is() {
        // SAFETY: it is a static C string.
        #[allow(unsafe_code, reason = "reads as the host does")]
        let info = unsafe { CStr::from_ptr(get_module_info().cast()) }
            .to_str()
            .unwrap();
        let info: serde_json::Value = serde_json::from_str(info).unwrap();
        assert_eq!(
            (&info["name"], &info["output_freed_by"]),
            (&"caxton-sdk".into(), &"host".into())
        );
    }
}

mod bytes {
    #[caxton_sdk::processor]
    fn reverse(input: &[u8]) -> Vec<u8> {
        input.iter().rev().copied().collect()
    }

    #[test]
    fn a_processor_of_bytes_writes_its_length() {
        let (input, mut length) = ([1_u8, 0, 3], 0_u32);
        let out = process(input.as_ptr(), input.len(), &raw mut length);
        assert_eq!(length, 3);
        // SAFETY: the processor says that three bytes are there.
        #[allow(unsafe_code, reason = "reads as the host does")]
        let bytes = unsafe { std::slice::from_raw_parts(out, 3) }.to_vec();
        assert_eq!(bytes, [3, 0, 1]);
        deallocate(out, 3);
    }
}

mod extension {
    use caxton_sdk::testing;
    use serde_json::{Value, json};

    /// Adds
    /// two numbers
    #[caxton_sdk::extension]
    fn add_up((a, b): (i32, i32)) -> Result<i32, String> {
        a.checked_add(b).ok_or_else(|| "too large".to_owned())
    }

    fn call(json: &Value) -> (i32, Value) {
        let text = json.to_string();
        (
            extension_call(text.as_ptr(), text.len()),
            testing::take_response().unwrap(),
        )
    }

    #[test]
    fn a_function_is_an_action() {
        assert_eq!(
            call(&json!({"action": "add-up", "input": [1, 2]})),
            (0, json!(3))
        );
        let (code, answer) = call(&json!({"action": "add-up", "input": [i32::MAX, 1]}));
        assert_eq!((code, answer), (1, json!({"error": "too large"})));
        let (code, answer) = call(&json!({"action": "add-up", "input": "x"}));
        assert!(code == 1 && answer["error"].as_str().unwrap().starts_with("the input: "));
        assert_eq!(
            call(&json!({"action": "sub"})).1["error"],
            "no action `sub`"
        );
        assert_eq!(call(&json!({})).1["error"], "`action` is missing");
    }

    #[test]
    fn it_describes_itself() {
        let mut room = vec![0_u8; 4_096];
        let length = usize::try_from(extension_describe(room.as_mut_ptr(), room.len())).unwrap();
        let info: caxton_sdk::ExtensionInfo = serde_json::from_slice(&room[..length]).unwrap();
        assert_eq!(info.actions[0].name, "add-up");
        assert_eq!(info.actions[0].description, "Adds two numbers");
    }
}
