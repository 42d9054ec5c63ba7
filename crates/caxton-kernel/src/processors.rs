//! Processors: the first shard keeps their records, so that each name stands for one of them. Calls
//! are no matter of the kernel: they change nothing.

use std::sync::Arc;

use caxton_model::{ErrorCode, GrantedRule, ProcessorSpec, Record};

use crate::{Done, Effect, Kernel, Refusal, Ticket, deploy::shutting_down};

/// The shard that decides about processors.
pub const SHARD_OF_PROCESSORS: u16 = 0;

impl Kernel {
    /// Enters a processor with what it is granted, or another version of one. That keeps its id, and is
    /// granted what the version before was, and `granted` beside it.
    pub(crate) fn deploy_processor(
        &mut self,
        ticket: Ticket,
        mut spec: Arc<ProcessorSpec>,
        granted: Vec<GrantedRule>,
    ) {
        if self.quiesced {
            return self.answer(ticket, Err(shutting_down()));
        }
        let known = self.state.processors.get(spec.name.as_str());
        if let Some(id) = known.map(|known| known.id).filter(|id| *id != spec.id) {
            Arc::make_mut(&mut spec).id = id;
        }
        let replaced = known.is_some();
        let (name, id) = (spec.name.shared(), spec.id);
        let rules = match self.rules_after(id, &name, granted, &[]) {
            Ok(rules) => rules,
            Err(refusal) => return self.answer(ticket, Err(refusal)),
        };
        let record = Record::ProcessorDeployed {
            spec: Arc::clone(&spec),
        };
        self.commit(record, true);
        let spec = Some(spec);
        self.effects.push(Effect::ProcessorChanged { name, spec });
        if !rules.is_empty() {
            self.set_grants(id, rules);
        }
        self.answer(ticket, Ok(Done::Processor { replaced }));
    }

    /// Takes a processor out.
    pub(crate) fn remove_processor(&mut self, ticket: Ticket, name: Arc<str>) {
        if self.quiesced {
            return self.answer(ticket, Err(shutting_down()));
        }
        if !self.state.processors.contains_key(&name) {
            let text = format!("there is no processor `{name}`");
            return self.answer(ticket, Err(Refusal::new(ErrorCode::NotFound, text)));
        }
        let record = Record::ProcessorRemoved {
            name: Arc::clone(&name),
        };
        self.commit(record, true);
        let spec = None;
        self.effects.push(Effect::ProcessorChanged { name, spec });
        self.answer(ticket, Ok(Done::Processor { replaced: false }));
    }
}
