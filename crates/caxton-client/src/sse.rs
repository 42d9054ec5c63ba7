//! Server-sent events, taken apart as they come.
//!
//! Source: the HTML standard, "Server-sent events".

/// Bytes of one event. The node's largest holds one message of 1 MiB, escaped.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RawEvent {
    /// Its id, from which a stream goes on.
    pub(crate) id: Option<String>,
    /// Its kind.
    pub(crate) event: Option<String>,
    /// Its data.
    pub(crate) data: String,
}

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: RawEvent,
    started: bool,
    last_id: Option<String>,
}

impl Parser {
    /// Takes some bytes and gives the events that end in them; `None`: an event is too large.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<RawEvent>> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(&mut events),
                b'\r' => {}
                other => self.line.push(*other),
            }
        }
        (self.line.len() + self.event.data.len() <= EVENT_BYTES_MAX).then_some(events)
    }

    /// The last id that was given, also by an event without data.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    fn end_line(&mut self, events: &mut Vec<RawEvent>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if event.id.is_some() {
                self.last_id.clone_from(&event.id);
            }
            if std::mem::take(&mut self.started) {
                events.push(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.event = Some(value.to_owned()),
            "data" => {
                if self.started {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.started = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let text =
            b": hello\n\nid: 1\nevent: sent\ndata: {\"a\":\ndata: 1}\n\nid: 2\r\ndata: x\r\n\r\n";
        let expected = [
            RawEvent {
                id: Some("1".into()),
                event: Some("sent".into()),
                data: "{\"a\":\n1}".into(),
            },
            RawEvent {
                id: Some("2".into()),
                event: None,
                data: "x".into(),
            },
        ];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let events: Vec<_> = text
                .chunks(size)
                .flat_map(|chunk| parser.feed(chunk).unwrap())
                .collect();
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_data_gives_its_id_alone() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(b"id: b-7\n\n: alive\n\n"), Some(Vec::new()));
        assert_eq!(parser.last_id(), Some("b-7"));
        assert_eq!(parser.feed(b"data: x\n\n").unwrap().len(), 1);
        assert_eq!(parser.last_id(), Some("b-7"));
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'x'; EVENT_BYTES_MAX + 1]), None);
    }
}
