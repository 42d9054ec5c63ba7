//! Guests that do what chance says.

use std::sync::Arc;

use caxton_kernel::{TurnCtx, TurnInput};
use caxton_model::{
    ErrorCode, Fault, Micros, RowWrite, StartReason, StateWrite, Tables, Timestamp,
};

use crate::rng::Rng;

const ACTS: [&str; 8] = [
    "request",
    "inform",
    "query-ref",
    "cfp",
    "propose",
    "refuse",
    "failure",
    "subscribe",
];

/// A message with a number, in one of a few conversations.
pub(crate) fn message(rng: &mut Rng, to: &str, number: u64, now: Timestamp) -> String {
    let act = if to == "df" {
        rng.pick(&["request", "query-ref", "subscribe", "cancel"])
    } else {
        rng.pick(&ACTS)
    };
    let act = act.copied().unwrap_or("inform");
    let content = if to == "df" {
        let action = rng.pick(&["register", "deregister", "modify", "search"]);
        let service = rng.pick(&["sing", "dance"]).copied().unwrap_or("sing");
        serde_json::json!({
            "n": number,
            "action": action,
            "description": { "services": [{ "name": service }] },
        })
    } else {
        serde_json::json!({ "n": number })
    };
    let mut fields = serde_json::json!({
        "performative": act,
        "receiver": to,
        "content": content,
        "conversation_id": format!("talk-{}", rng.below(20)),
    });
    if let Some(object) = fields.as_object_mut()
        && rng.percent(30)
    {
        let due = now.after(Micros::secs(rng.below(60) as u64));
        object.insert("reply_with".to_owned(), format!("r-{to}-{number}").into());
        object.insert("reply_by".to_owned(), due.0.into());
    }
    fields.to_string()
}

/// An answer to a client's request, whoever was asked.
pub(crate) fn answer(client: &str, reply_with: &str) -> String {
    let fields = serde_json::json!({
        "performative": "inform",
        "receiver": client,
        "in_reply_to": reply_with,
        "content": "an answer of somebody",
    });
    fields.to_string()
}

/// What guests are like in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mood {
    /// Whether they start anything; if not, they answer and are done.
    pub(crate) is_wild: bool,
    /// How many of a hundred inits fail.
    pub(crate) bad_inits: usize,
}

/// What a guest did.
pub(crate) struct Did {
    pub(crate) result: Result<i32, Fault>,
    pub(crate) writes: Vec<StateWrite>,
    pub(crate) rows: Vec<RowWrite>,
}

/// A guest that does what chance says.
pub(crate) fn guest(
    ctx: &mut TurnCtx,
    input: &TurnInput,
    plan: &[String],
    rng: &mut Rng,
    now: Timestamp,
    mood: Mood,
) -> Did {
    if mood.is_wild {
        act(ctx, plan, rng, now);
    }
    if let TurnInput::Message(mail) = input
        && mail.message.performative.asks()
        && rng.percent(60)
    {
        let reply = serde_json::json!({
            "performative": "inform",
            "receiver": &**mail.message.answer_to(),
            "in_reply_to": mail.message.reply_with.as_deref(),
            "content": "an answer",
        });
        let _ = ctx.send_message(now, reply.to_string().as_bytes());
    }
    Did {
        result: result(input, rng, mood),
        writes: if mood.is_wild {
            writes(rng)
        } else {
            Vec::new()
        },
        rows: Vec::new(),
    }
}

fn act(ctx: &mut TurnCtx, plan: &[String], rng: &mut Rng, now: Timestamp) {
    for json in plan {
        let _ = ctx.send_message(now, json.as_bytes());
    }
    if rng.percent(20) {
        let _ = ctx.set_timer(now, Micros::secs(rng.below(9) as u64));
    }
    if rng.percent(5) {
        let _ = ctx.cancel_timer(1 + i32::from(rng.percent(50)));
    }
    if rng.percent(8) {
        let sing = br#"{"services": [{"name": "sing"}], "performatives": ["request", "inform"]}"#;
        let _ = ctx.register_capabilities(if rng.percent(50) { sing } else { b"{}" });
    }
    if rng.percent(5) {
        let json = br#"{"performative": "inform", "content": "to all"}"#;
        let _ = ctx.broadcast(now, b"{}", json);
    }
    if rng.percent(3) {
        let _ = ctx.subscribe(br#"{"performative": "inform"}"#);
    }
}

fn writes(rng: &mut Rng) -> Vec<StateWrite> {
    let mut writes = Vec::new();
    for _ in 0..rng.below(3) {
        let key = [b'k', u8::try_from(rng.below(4)).unwrap_or(0)];
        let value = rng.number().to_le_bytes();
        writes.push(StateWrite {
            key: Arc::from(key.as_slice()),
            value: rng.percent(80).then(|| Arc::from(value.as_slice())),
        });
    }
    writes
}

/// Rows of shared tables that a turn writes: each says its own number, and that of the row which the
/// turn read before.
pub(crate) fn rows(tables: &Tables, rng: &mut Rng, number: u64) -> Vec<RowWrite> {
    let mut name = || {
        let table = rng.pick(&["main/t", "acme/t"]).copied().unwrap_or("main/t");
        (table, format!("r{}", rng.below(3)))
    };
    let (table, key) = name();
    let read = tables.get(table).and_then(|rows| rows.get(&*key));
    let read = read.map_or(0, |value| row_number(value).0);
    let (table, key) = name();
    let value = format!("[{number},{read}]");
    vec![RowWrite {
        table: table.into(),
        key: key.into(),
        value: rng.percent(80).then(|| value.into()),
    }]
}

/// The number of a row, and that of the row that was read for it.
pub(crate) fn row_number(value: &str) -> (u64, u64) {
    serde_json::from_str(value).unwrap_or_default()
}

fn result(input: &TurnInput, rng: &mut Rng, mood: Mood) -> Result<i32, Fault> {
    let trap = || Err(Fault::new(ErrorCode::Trap, "chance said so"));
    let chance = rng.below(100);
    match input {
        TurnInput::Init(StartReason::Deploy) if mood.is_wild && chance < 8 => Ok(7),
        TurnInput::Init(StartReason::Deploy) => Ok(0),
        TurnInput::Init(_) if chance < mood.bad_inits => trap(),
        TurnInput::Init(_) => Ok(0),
        _ if !mood.is_wild => Ok(0),
        _ if chance < 10 => trap(),
        _ if chance < 14 => Ok(1),
        _ => Ok(0),
    }
}
