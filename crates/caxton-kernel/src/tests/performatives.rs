//! All 22 performatives of FIPA: who may send them, what the conversation becomes, what the host answers.
//!
//! One script for each row: a client sends the performative to an agent that answers in kind; to
//! the same agent, which faults; to an agent that has registered another performative; and to
//! `df`. Last, the time passes within which the first message was to be answered.

use std::fmt::Write as _;

use caxton_model::Performative;

use super::script::transcript;

/// What the host does about a message that fails: its agent faults, or has not registered it.
#[derive(Clone, Copy, PartialEq)]
enum Failed {
    /// It tells the sender, and keeps what was not understood as a dead letter.
    Told,
    /// Nothing: the message is itself a report of a failure. It is delivered whatever the agent
    /// has registered.
    Silent,
}

/// What `df` does.
enum Df {
    /// It refuses the act.
    Unsupported,
    /// It says that there is no such subscription.
    NoSubscription,
    /// It searches, and says what it found.
    Found,
    /// It agrees to a subscription, then says what it found.
    Subscribed,
    /// Nothing.
    Silent,
}

/// What happens when `reply_by` is over, where a message in kind is all that came back.
enum Late {
    /// The sender is told that no answer came.
    Timeout,
    /// Nothing: no answer was due, or what came back is one.
    Nothing,
}

struct Row {
    performative: &'static str,
    /// The only performative that the agent `picky` has registered.
    registered: &'static str,
    failed: Failed,
    df: Df,
    late: Late,
}

const fn row(
    performative: &'static str,
    registered: &'static str,
    failed: Failed,
    df: Df,
    late: Late,
) -> Row {
    Row {
        performative,
        registered,
        failed,
        df,
        late,
    }
}

/// In the order of the specification.
#[rustfmt::skip]
const ROWS: [Row; 22] = [
    //  sent               `picky` takes  if it fails     `df`                when the time is over
    row("accept-proposal",  "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("agree",            "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("cancel",           "inform",  Failed::Told,   Df::NoSubscription, Late::Nothing),
    row("cfp",              "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("confirm",          "inform",  Failed::Told,   Df::Unsupported,    Late::Nothing),
    row("disconfirm",       "inform",  Failed::Told,   Df::Unsupported,    Late::Nothing),
    row("failure",          "inform",  Failed::Silent, Df::Silent,         Late::Nothing),
    row("inform",           "request", Failed::Told,   Df::Unsupported,    Late::Nothing),
    row("inform-if",        "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("inform-ref",       "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("not-understood",   "inform",  Failed::Silent, Df::Silent,         Late::Nothing),
    row("propagate",        "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("propose",          "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("proxy",            "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("query-if",         "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("query-ref",        "inform",  Failed::Told,   Df::Found,          Late::Timeout),
    row("refuse",           "inform",  Failed::Told,   Df::Unsupported,    Late::Nothing),
    row("reject-proposal",  "inform",  Failed::Told,   Df::Unsupported,    Late::Nothing),
    row("request",          "inform",  Failed::Told,   Df::Found,          Late::Timeout),
    row("request-when",     "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("request-whenever", "inform",  Failed::Told,   Df::Unsupported,    Late::Timeout),
    row("subscribe",        "inform",  Failed::Told,   Df::Subscribed,     Late::Timeout),
];

/// A transcript that is expected: each line of the script, and below it what it leads to.
#[derive(Default)]
struct Expected {
    script: String,
    transcript: String,
    /// How many records the journal holds.
    records: u64,
}

impl Expected {
    fn line(&mut self, line: &str) {
        writeln!(self.script, "{line}").unwrap();
        writeln!(self.transcript, "{line}").unwrap();
    }
    fn says(&mut self, what: &str) {
        writeln!(self.transcript, "  {what}").unwrap();
    }
    fn journal(&mut self, record: &str) {
        let number = self.records;
        self.records += 1;
        self.says(&format!("journal 0-{number} {record}"));
    }
    /// A client's message becomes a record, and the client is answered.
    ///
    /// Returns its conversation: the one that the line names, or one named after the record.
    fn posted(&mut self, line: &str, to: u64, answer: u64, named: Option<&str>) -> String {
        let (number, performative) = (self.records, line.split(' ').nth(4).unwrap());
        let own = format!("c-0-{number}");
        let conversation = named.unwrap_or(&own).to_owned();
        self.line(line);
        self.journal(&format!("posted [{performative} agent:{to}]"));
        self.says(&format!(
            "answer {answer}: posted m-0-{number}-0 conv={conversation} to 1 durable"
        ));
        conversation
    }
}

/// An agent that answers in kind, an agent that has registered one performative.
fn set_up(row: &Row, expected: &mut Expected) {
    expected.records = 4;
    expected.line("deploy a");
    expected.line("deploy picky init=hold");
    expected.says("run picky 1 init Deploy");
    expected.line(&format!(
        "turn picky ok register {{\"performatives\": [\"{}\"]}}",
        row.registered
    ));
    expected.journal("deployed");
    expected.journal("instance-started");
    expected.journal("turn 1 returned 0");
    expected.says("event picky is Running: deployed");
    expected.says("answer 2: Running");
    expected.says("host answered register=0");
}

/// The agent answers in kind.
fn answered(row: &Row, expected: &mut Expected) {
    let p = row.performative;
    let line = format!("post c -> a {p} conversation_id=talk reply_by=9s {{\"about\": \"it\"}}");
    expected.posted(&line, 10, 3, Some("talk"));
    expected.says(&format!(
        "run a 2 message c -> a {p} {{\"about\": \"it\"}} conv=talk"
    ));
    // In capitals, as other platforms write it.
    expected.line(&format!(
        "turn a ok send {{\"performative\": \"{}\", \"receiver\": \"c\", \"conversation_id\": \"talk\"}}",
        p.to_uppercase().replace('-', "_")
    ));
    expected.journal(&format!("turn 2 returned 0 [{p} client:c]"));
    expected.says(&format!("mail for c: a -> c {p} null conv=talk"));
    expected.says("host answered send=0");
}

/// The agent faults.
fn faulted(row: &Row, expected: &mut Expected) {
    let p = row.performative;
    let conversation = expected.posted(&format!("post c -> a {p}"), 10, 4, None);
    expected.says(&format!(
        "run a 3 message c -> a {p} null conv={conversation}"
    ));
    expected.line("turn a trap");
    expected.says("event a faulted: trap: the guest met its trap");
    match row.failed {
        Failed::Told => {
            expected.journal("turn 3 fault trap [failure client:c]");
            expected.says(&format!(
                "mail for c: a -> c failure {{\"error\":\"the guest met its trap\",\"code\":\"trap\",\"agent\":\"a\"}} conv={conversation} re={conversation}"
            ));
        }
        Failed::Silent => expected.journal("turn 3 fault trap"),
    }
}

/// The agent has not registered it.
fn unregistered(row: &Row, expected: &mut Expected) {
    let p = row.performative;
    let conversation = expected.posted(&format!("post c -> picky {p}"), 11, 5, None);
    if row.failed == Failed::Silent {
        expected.says(&format!(
            "run picky 2 message c -> picky {p} null conv={conversation}"
        ));
        return;
    }
    let error = format!("`picky` has not registered `{p}`");
    expected.journal(&format!(
        "refused [{p} dead:not-understood] [not-understood client:c]"
    ));
    expected.says(&format!(
        "event dead letter for picky: not-understood: {error}"
    ));
    expected.says(&format!(
        "mail for c: picky -> c not-understood {{\"error\":\"{error}\",\"code\":\"not-understood\",\"agent\":\"picky\"}} conv={conversation} re={conversation}"
    ));
}

/// `df` answers.
fn asked_df(row: &Row, expected: &mut Expected) {
    let p = row.performative;
    let line = format!("post c -> df {p} {{\"action\": \"search\"}}");
    let conversation = expected.posted(&line, 2, 6, None);
    let found = r#"inform {"result":[{"name":"picky","id":"a-000000000000000b","services":[],"protocols":[],"ontologies":[],"languages":[]}]}"#;
    let (record, mails) = match row.df {
        Df::Unsupported => (
            "directory [not-understood client:c]",
            vec![format!(
                "not-understood {{\"error\":\"`df` answers request, query-ref, subscribe and cancel, not `{p}`\",\"code\":\"unsupported-act\",\"agent\":\"df\"}}"
            )],
        ),
        Df::NoSubscription => (
            "directory [failure client:c]",
            vec![
                r#"failure {"error":"no subscription of yours in this conversation","code":"not-found","agent":"df"}"#
                    .to_owned(),
            ],
        ),
        Df::Found => ("directory [inform client:c]", vec![found.to_owned()]),
        Df::Subscribed => (
            "directory [agree client:c] [inform client:c]",
            vec![r#"agree {"subscribed":null}"#.to_owned(), found.to_owned()],
        ),
        Df::Silent => ("directory", Vec::new()),
    };
    expected.journal(record);
    for mail in mails {
        expected.says(&format!(
            "mail for c: df -> c {mail} conv={conversation} re={conversation}"
        ));
    }
}

/// The time is over within which the first message was to be answered.
fn late(row: &Row, expected: &mut Expected) {
    let p = row.performative;
    expected.line("tick 9s");
    let failure = match row.late {
        Late::Timeout => {
            expected.journal("host-sent [failure client:c]");
            expected.says(
                r#"mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7"#,
            );
            " a:failure"
        }
        Late::Nothing => "",
    };
    expected.line("show conversation talk");
    expected.says(&format!("c:{p} a:{p}{failure}"));
}

#[test]
fn each_performative_is_sent_answered_and_refused_as_the_table_says() {
    let mut wrong = String::new();
    for row in &ROWS {
        let mut expected = Expected::default();
        for part in [set_up, answered, faulted, unregistered, asked_df, late] {
            part(row, &mut expected);
        }
        let transcript = transcript(1, &expected.script);
        if transcript != expected.transcript {
            let (performative, expected) = (row.performative, expected.transcript);
            writeln!(
                wrong,
                "{performative}: expected\n{expected}\n{performative}: got\n{transcript}"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_table_has_a_row_for_each_performative() {
    assert_eq!(
        ROWS.map(|row| row.performative),
        Performative::ALL.map(Performative::as_str)
    );
}
