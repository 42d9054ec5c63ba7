//! One attack for each limit, over the node's API, and what must come of it.

use std::time::Instant;

use caxton_client::{AgentConfig, Deployment, EngineProfile};
use caxton_model::{EngineKind, ErrorCode, HostCode, LimitName};
use serde_json::{Value, json};

use super::{
    guests, local, outside,
    row::Found,
    ward::{BEYOND, Turn, Ward, limited, memory, message},
};
use crate::failure::{Exit, Failure};

/// Bytes of the message that must not fit `message_bytes`.
const LONG_MESSAGE_BYTES: usize = 3_000;
/// Bytes of each message that fills a mailbox by its size.
const MAILBOX_MESSAGE_BYTES: usize = 1_000;
/// Names that nobody has, in the message that fills `host_bytes`.
const NOBODIES: u64 = 9;
/// Bytes of each value that fills an agent's state.
const VALUE_BYTES: usize = 1_024;

/// What each limit is set to: low, so that it is reached at once, and below what an operator's
/// ceiling may be.
pub(super) const fn set_to(limit: LimitName) -> u64 {
    match limit {
        LimitName::Memory => 4 << 20,
        LimitName::TableElements => 2_000,
        LimitName::Cpu => 50_000,
        LimitName::Wall | LimitName::Fuel => 100_000,
        LimitName::Stack => 512 << 10,
        LimitName::HostCalls | LimitName::Allocations => 50,
        LimitName::MailboxBytes => 4 << 10,
        LimitName::MessageBytes => 2 << 10,
        LimitName::PayloadBytes => 1 << 10,
        LimitName::StateBytes => 8 << 10,
        LimitName::ModuleBytes | LimitName::HostBytes => 16 << 10,
        LimitName::FileBytes | LimitName::FsBytes => 4 << 10,
        LimitName::HttpBodyBytes => 512,
        LimitName::HttpBytesPerMinute | LimitName::NetBytesPerMinute => 8 << 10,
        LimitName::ConcurrentCalls => 2,
        LimitName::MessagesPerSecond
        | LimitName::Mailbox
        | LimitName::Timers
        | LimitName::StateKeys
        | LimitName::LogLinesPerSecond
        | LimitName::Subscriptions
        | LimitName::FsEntries
        | LimitName::HttpPerMinute => 5,
    }
}

/// Attacks a limit.
pub(super) async fn attack(
    ward: &mut Ward,
    limit: LimitName,
    engine: Option<EngineKind>,
) -> Result<Found, Failure> {
    use LimitName as L;
    match limit {
        L::Memory => fault(ward, limit, guests::GROW_TRAP).await,
        L::TableElements => fault(ward, limit, guests::TABLE_GROWTH).await,
        L::Cpu | L::Fuel => fault(ward, limit, guests::LOOP_MESSAGE).await,
        L::Wall => fault(ward, limit, guests::SLEEP).await,
        L::Stack => fault(ward, limit, guests::RECURSION).await,
        L::HostCalls => fault(ward, limit, guests::HOST_CALL_FLOOD).await,
        L::Allocations => fault(ward, limit, guests::GROW_OFTEN).await,
        L::MessagesPerSecond => message_rate(ward).await,
        L::Mailbox | L::MailboxBytes => mailbox(ward, limit).await,
        L::MessageBytes => message_bytes(ward).await,
        L::Timers => {
            let seen = report(ward, limit, guests::TIMER_FLOOD, limited_to(limit)).await?;
            Ok(seen.judge(
                limit,
                HostCode::QuotaReached,
                seen.turn.detail.counters.timers,
            ))
        }
        L::Subscriptions => {
            let config = limited_to(limit);
            let seen = report(ward, limit, guests::SUBSCRIPTION_FLOOD, config).await?;
            let counted = seen.turn.detail.counters.subscriptions;
            Ok(seen.judge(limit, HostCode::QuotaReached, counted))
        }
        L::HostBytes => host_bytes(ward).await,
        L::StateBytes | L::StateKeys => state(ward, limit).await,
        L::LogLinesPerSecond => log_lines(ward).await,
        L::ModuleBytes => module_bytes(ward).await,
        L::FileBytes | L::FsBytes | L::FsEntries => outside::files(ward, limit).await,
        L::HttpPerMinute | L::HttpBodyBytes | L::HttpBytesPerMinute | L::NetBytesPerMinute => {
            outside::http(ward, limit).await
        }
        L::PayloadBytes | L::ConcurrentCalls => match engine {
            Some(engine) => local::attack(limit, engine).await,
            None => Ok(Found::said(
                "not for agents; a processor can't be called over this node's API",
            )),
        },
    }
}

pub(super) fn limited_to(limit: LimitName) -> AgentConfig {
    limited(limit, set_to(limit))
}

/// One request that must be answered `failure` with the limit's code, and no more used than set.
async fn fault(ward: &mut Ward, limit: LimitName, guest: &str) -> Result<Found, Failure> {
    let mut config = limited_to(limit);
    match limit {
        LimitName::Fuel => config.profile = EngineProfile::Metered,
        // It is the same for all guests, so nobody may ask for it.
        LimitName::Stack => config = memory(),
        _ => {}
    }
    let placed = ward
        .place(limit.as_str(), guests::module(guest)?, config)
        .await?;
    let turn = ward.turn(&placed.agent, "request").await?;
    let peak = turn.peak(limit);
    let most = match peak {
        0 => String::new(),
        peak => format!(", at most {} used", limit.show(peak)),
    };
    let Some(code) = turn.failure_code(&ward.client).await? else {
        return Ok(Found::judged(false, format!("the guest went on{most}")));
    };
    // Counters and clocks are read after the fact; what is held must never be above.
    let bounded = match limit {
        LimitName::Memory | LimitName::TableElements | LimitName::Fuel => peak <= set_to(limit),
        _ => true,
    };
    let expected = limit.code().as_str();
    Ok(if code == expected {
        Found::judged(bounded, format!("{code}{most}"))
    } else {
        Found::judged(false, format!("{code} instead of {expected}{most}"))
    })
}

/// What a guest says it saw.
pub(super) struct Report {
    pub(super) turn: Turn,
    /// How often the host's function worked.
    pub(super) count: u64,
    /// The first code below 0 that it answered, else 0.
    pub(super) code: i32,
    /// Time around all of it.
    pub(super) secs: f64,
}

impl Report {
    /// As often as set, then the code; and the node counts no more.
    fn judge(&self, limit: LimitName, code: HostCode, counted: u64) -> Found {
        self.judge_within(set_to(limit), set_to(limit), code, counted <= set_to(limit))
    }
    pub(super) fn judge_within(
        &self,
        least: u64,
        most: u64,
        code: HostCode,
        counted: bool,
    ) -> Found {
        let held = self.code == code.as_i32() && (least..=most).contains(&self.count) && counted;
        let text = match self.code {
            0 => format!("{} times, and no end", self.count),
            code => format!("{} times, then the guest got code {code}", self.count),
        };
        Found::judged(held, text)
    }
}

/// One message, and the guest's report of it.
async fn report(
    ward: &mut Ward,
    limit: LimitName,
    guest: &str,
    config: AgentConfig,
) -> Result<Report, Failure> {
    report_as(ward, limit.as_str(), guest, config).await
}

/// The same, under a name of its own.
async fn report_as(
    ward: &mut Ward,
    name: &str,
    guest: &str,
    config: AgentConfig,
) -> Result<Report, Failure> {
    let begun = Instant::now();
    let placed = ward.place(name, guests::module(guest)?, config).await?;
    report_of(ward, &placed, begun).await
}

/// The report of a guest that was deployed already.
pub(super) async fn report_of(
    ward: &mut Ward,
    placed: &Deployment,
    begun: Instant,
) -> Result<Report, Failure> {
    let turn = ward.turn(&placed.agent, "inform").await?;
    let secs = begun.elapsed().as_secs_f64();
    let bytes = ward.client.agent_state_value(&placed.name, "report").await;
    let bytes = match bytes {
        Err(error) if error.code() == Some(ErrorCode::NotFound) => {
            let fault = turn.detail.last_fault.as_ref();
            let fault = fault.map_or("it did not fault", |fault| fault.code.as_str());
            return Err(unread(&format!("the guest left no report: {fault}")));
        }
        bytes => bytes?,
    };
    let number = |at: usize| {
        let word = bytes.get(at..at + 4)?;
        word.try_into().ok().map(i32::from_le_bytes)
    };
    let (Some(count), Some(code)) = (number(0), number(4)) else {
        return Err(unread("the guest's report is no report"));
    };
    Ok(Report {
        turn,
        count: u64::from(count.cast_unsigned()),
        code,
        secs,
    })
}

fn unread(what: &str) -> Failure {
    Failure::new(Exit::Failed, what, "look at the node's log")
}

/// Settings of the flooder: the message that it sends, as long as asked.
fn flooder(mut config: AgentConfig, receiver: &str, bytes: usize) -> AgentConfig {
    let text = |content: &str| {
        json!({ "performative": "inform", "receiver": receiver, "content": content }).to_string()
    };
    let pad = "x".repeat(bytes.saturating_sub(text("").len()));
    config.config.insert("message".to_owned(), text(&pad));
    config
}

async fn message_rate(ward: &mut Ward) -> Result<Found, Failure> {
    let limit = LimitName::MessagesPerSecond;
    let config = flooder(limited_to(limit), &ward.sink.clone(), 0);
    let seen = report(ward, limit, guests::MESSAGE_FLOOD, config).await?;
    // What a rate allows grows with the time, however slow the machine is.
    let most = set_to(limit) + rate_allows(limit, seen.secs);
    let counted = seen.turn.detail.counters.messages_sent <= most;
    Ok(seen.judge_within(set_to(limit), most, HostCode::RateLimited, counted))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "some seconds of a small rate"
)]
fn rate_allows(limit: LimitName, secs: f64) -> u64 {
    (set_to(limit) as f64 * secs).ceil() as u64
}

/// Another agent's mailbox is filled in one turn, so that its owner takes nothing out meanwhile.
async fn mailbox(ward: &mut Ward, limit: LimitName) -> Result<Found, Failure> {
    let module = guests::module(guests::QUIET)?;
    let owner = ward
        .place(&format!("{limit}-owner"), module, limited_to(limit))
        .await?;
    let bytes = match limit {
        LimitName::MailboxBytes => MAILBOX_MESSAGE_BYTES,
        _ => 0,
    };
    let config = flooder(memory(), &owner.name, bytes);
    let seen = report(ward, limit, guests::MESSAGE_FLOOD, config).await?;
    let (least, most) = match limit {
        LimitName::MailboxBytes => (1, set_to(limit) / MAILBOX_MESSAGE_BYTES as u64),
        _ => (set_to(limit), set_to(limit)),
    };
    Ok(seen.judge_within(least, most, HostCode::QueueFull, true))
}

/// Refused both ways: from outside, and from the guest.
async fn message_bytes(ward: &mut Ward) -> Result<Found, Failure> {
    let limit = LimitName::MessageBytes;
    let config = flooder(limited_to(limit), &ward.sink.clone(), LONG_MESSAGE_BYTES);
    let seen = report(ward, limit, guests::MESSAGE_FLOOD, config).await?;
    let out = seen.judge_within(0, 0, HostCode::TooLarge, true);
    let sender = ward.sender("asker");
    let content = Value::String("x".repeat(LONG_MESSAGE_BYTES));
    let message = message(&sender, &seen.turn.detail.agent.name, "inform", content);
    let code = match ward.client.send_message(message).await {
        Ok(_) => None,
        Err(error) => Some(error.code().ok_or(error)?),
    };
    let into = code.map_or("accepted", ErrorCode::as_str);
    Ok(Found::judged(
        out.held == Some(true) && code == Some(limit.code()),
        format!("in: {into}; out: {}", out.reached),
    ))
}

/// A guest without a grant writes to another namespace, by each way to name who is there, and by a
/// name that nobody bears.
pub(super) async fn namespaces(ward: &mut Ward) -> Result<Found, Failure> {
    let module = guests::module(guests::QUIET)?;
    let there = ward.place_beyond("sink", module).await?;
    let mut to = vec![("nobody", HostCode::Denied, format!("{BEYOND}/nobody"))];
    if let Some(there) = &there {
        to.push(("name", HostCode::Denied, there.name.clone()));
        // An id says nothing of its namespace: it is answered as one that nobody has.
        to.push(("id", HostCode::NotFound, there.agent.id.clone()));
    }
    let (mut held, mut texts) = (true, Vec::new());
    for (what, code, to) in to {
        let config = flooder(limited_to(LimitName::MessagesPerSecond), &to, 0);
        let name = format!("to-{what}");
        let seen = report_as(ward, &name, guests::MESSAGE_FLOOD, config).await?;
        held &= seen.count == 0 && seen.code == code.as_i32();
        texts.push(format!("by {what} {} sent, code {}", seen.count, seen.code));
    }
    let beyond = match &there {
        Some(there) => ward.client.agent(&there.name).await?.counters.turns,
        None => 0,
    };
    // Its own init was a turn.
    held &= beyond <= 1;
    Ok(Found::judged(held, texts.join("; ")))
}

/// One message for the sink and some names that nobody has, again and again: each name is a dead
/// letter, and the sender's oldest must go.
async fn host_bytes(ward: &mut Ward) -> Result<Found, Failure> {
    let limit = LimitName::HostBytes;
    let nobody = (1..=NOBODIES).map(|n| format!("doctor-nobody-{n}"));
    let receiver: Vec<String> = [ward.sink.clone()].into_iter().chain(nobody).collect();
    let message = json!({ "performative": "inform", "receiver": receiver, "content": 1 });
    let mut config = limited_to(limit);
    config
        .config
        .insert("message".to_owned(), message.to_string());
    let seen = report(ward, limit, guests::MESSAGE_FLOOD, config).await?;
    let peak = seen.turn.peak(limit);
    let text = format!(
        "{} dead letters, of which the newest are kept; at most {} used",
        seen.count * NOBODIES,
        limit.show(peak)
    );
    let held = seen.count > 0 && peak > 0 && peak <= set_to(limit);
    Ok(Found::judged(held, text))
}

async fn state(ward: &mut Ward, limit: LimitName) -> Result<Found, Failure> {
    let mut config = limited_to(limit);
    let value = match limit {
        LimitName::StateBytes => "x".repeat(VALUE_BYTES),
        _ => "x".to_owned(),
    };
    config.config.insert("value".to_owned(), value);
    let seen = report(ward, limit, guests::STATE_FLOOD, config).await?;
    let counters = seen.turn.detail.counters;
    let (least, most, counted) = match limit {
        LimitName::StateBytes => {
            let most = set_to(limit) / VALUE_BYTES as u64;
            (1, most, counters.state_bytes)
        }
        // The guest's report has the first of them.
        _ => (set_to(limit) - 1, set_to(limit) - 1, counters.state_keys),
    };
    let counted = counted <= set_to(limit);
    Ok(seen.judge_within(least, most, HostCode::QuotaReached, counted))
}

/// Lines over the rate are dropped, which is no fault: the kept ones are counted.
async fn log_lines(ward: &mut Ward) -> Result<Found, Failure> {
    let limit = LimitName::LogLinesPerSecond;
    let begun = Instant::now();
    let module = guests::module(guests::LOG_FLOOD)?;
    let placed = ward
        .place(limit.as_str(), module, limited_to(limit))
        .await?;
    let turn = ward.turn(&placed.agent, "inform").await?;
    let lines = ward
        .client
        .agent_logs(&placed.name, None, 1_000)
        .await?
        .len() as u64;
    // One more: the line that says how many were dropped.
    let most = set_to(limit) + rate_allows(limit, begun.elapsed().as_secs_f64()) + 1;
    let shown = turn.detail.limits.iter();
    let mut shown = shown.filter(|row| row.name == limit.as_str());
    let noted = shown.any(|row| row.last_breach.is_some());
    let text = match noted {
        true => "the others dropped and noted",
        false => "and nothing noted",
    };
    Ok(Found::judged(
        noted && lines <= most,
        format!("{lines} of 900 lines kept, {text}"),
    ))
}

/// A module above the limit, which must be refused before it is compiled.
async fn module_bytes(ward: &mut Ward) -> Result<Found, Failure> {
    let limit = LimitName::ModuleBytes;
    let module = guests::padded(u32::try_from(2 * set_to(limit)).unwrap_or(0))?;
    let size = limit.show(module.len() as u64);
    let placed = ward.place(limit.as_str(), module, limited_to(limit)).await;
    match placed {
        Ok(_) => Ok(Found::judged(false, format!("a module of {size} deployed"))),
        Err(error) if error.code() == Some(limit.code()) => Ok(Found::judged(
            true,
            format!("{} for a module of {size}", limit.code()),
        )),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use caxton_client::api::AskedValue;
    use caxton_model::Kind;

    use super::*;

    #[test]
    fn no_limit_is_set_above_its_default() {
        for limit in LimitName::ALL {
            let default = match limit {
                LimitName::ConcurrentCalls => Kind::Processor,
                _ => Kind::Agent,
            };
            assert!(set_to(*limit) <= limit.default_for(default), "{limit}");
        }
    }

    #[test]
    fn the_flooders_message_is_as_long_as_asked() {
        let config = flooder(AgentConfig::default(), "doctor/sink", 1_000);
        assert_eq!(config.config["message"].len(), 1_000);
        let AskedValue::Number(value) = limited_to(LimitName::Timers).limits["timers"] else {
            panic!("a limit is asked for as a number");
        };
        assert_eq!(value, 5);
    }
}
