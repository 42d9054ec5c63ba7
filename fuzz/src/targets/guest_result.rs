//! What a guest returns: descriptors, what a processor says of itself, C strings.

use caxton_model::{Capabilities, Performative, RawJson};
use caxton_package::{CStringFault, ProcessorInfo, c_string};

pub fn check(bytes: &[u8]) {
    check_descriptor(bytes);
    check_info(bytes);
    check_c_string(bytes);
}

fn check_descriptor(bytes: &[u8]) {
    let Ok(read) = Capabilities::from_json(bytes) else {
        return;
    };
    assert!(read.services.len() <= 1_000);
    assert!(read.services.iter().all(|service| !service.name.is_empty()));
    let json = serde_json::to_vec(&read).expect("a descriptor is JSON");
    assert_eq!(
        Capabilities::from_json(&json).expect("and read again"),
        read
    );
    let accepts = read.accepts(Performative::Request);
    let named = read.performatives.contains(&Performative::Request);
    assert_eq!(accepts, named || read.performatives.is_empty());
    for service in &read.services {
        let schema = &service.input_schema;
        assert_eq!(
            &RawJson::parse(schema.as_str()).expect("it is JSON"),
            schema
        );
    }
}

fn check_info(bytes: &[u8]) {
    // The first NUL divides what the two functions returned.
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (info, formats) = (parts.next(), parts.next());
    let Ok(read) = ProcessorInfo::read(info, formats) else {
        return;
    };
    let json = serde_json::to_vec(&read).expect("it is JSON");
    let formats = serde_json::to_vec(&read.formats).expect("they are JSON");
    assert_eq!(ProcessorInfo::read(Some(&json), Some(&formats)), Ok(read));
}

fn check_c_string(bytes: &[u8]) {
    let Some((head, memory)) = bytes.split_at_checked(3) else {
        return;
    };
    let (at, most) = (
        u32::from(head[0]) << 2 | u32::from(head[1]) & 3,
        head[2].into(),
    );
    let start = at as usize;
    let length = memory
        .get(start..)
        .map(|rest| rest.iter().position(|byte| *byte == 0));
    let expected = match length {
        None => Err(CStringFault::Outside),
        Some(Some(length)) if length as u64 <= most => Ok(&memory[start..start + length]),
        Some(None) if (memory.len() - start) as u64 <= most + 1 => Err(CStringFault::Unterminated),
        Some(_) => Err(CStringFault::TooLong),
    };
    assert_eq!(c_string(memory, at, most), expected);
}
