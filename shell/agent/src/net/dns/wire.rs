//! Questions from and answers to the wire.

use gantry_net::dns::{Answer, Data, Record as ZoneRecord, TTL_SECONDS, Type};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Transport;

/// Answers over UDP are kept to what passes any network in one piece.
const MAX_UDP_ANSWER: usize = 1232;
/// What every client takes over UDP.
const MIN_UDP_ANSWER: usize = 512;
/// Length of a header, the least that can be answered.
const HEADER: usize = 12;
/// Times of the zone for other servers, which there are none of.
const REFRESH: i32 = 7200;
const RETRY: i32 = 1800;
const EXPIRE: i32 = 86_400;

/// One question.
pub(in crate::net) struct Question {
    /// As it came.
    pub bytes: Vec<u8>,
    /// How it came.
    pub transport: Transport,
    /// The name in lower case, without its last dot.
    pub name: String,
    message: Message,
    query: Query,
}

impl Question {
    /// Reads a question; else what is to be said to it, if anything.
    pub fn parse(bytes: &[u8], transport: Transport) -> Result<Self, Option<Vec<u8>>> {
        let refuse = |code| {
            let id = u16::from_be_bytes([bytes[0], bytes[1]]);
            Message::error_msg(id, OpCode::Query, code).to_vec().ok()
        };
        if bytes.len() < HEADER || bytes[2] & 0x80 != 0 {
            return Err(None);
        }
        let Ok(message) = Message::from_vec(bytes) else { return Err(refuse(ResponseCode::FormErr)) };
        if message.metadata.op_code != OpCode::Query || message.metadata.message_type != MessageType::Query {
            return Err(refuse(ResponseCode::NotImp));
        }
        let [query] = message.queries.as_slice() else { return Err(refuse(ResponseCode::FormErr)) };
        let query = query.clone();
        let name = query.name().to_lowercase().to_ascii().trim_end_matches('.').to_owned();
        Ok(Question { bytes: bytes.to_vec(), transport, name, message, query })
    }

    pub fn record_type(&self) -> RecordType {
        self.query.query_type()
    }

    pub fn kind(&self) -> Type {
        match self.query.query_type() {
            RecordType::A => Type::A,
            RecordType::SRV => Type::Srv,
            RecordType::PTR => Type::Ptr,
            RecordType::TXT => Type::Txt,
            RecordType::CNAME => Type::Cname,
            RecordType::NS => Type::Ns,
            RecordType::SOA => Type::Soa,
            RecordType::ANY => Type::Any,
            _ => Type::Other,
        }
    }

    fn response(&self, code: ResponseCode) -> Message {
        let mut response = Message::response(self.message.metadata.id, OpCode::Query);
        response.metadata.recursion_desired = self.message.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.response_code = code;
        response.add_query(self.query.clone());
        if self.message.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(u16::try_from(MAX_UDP_ANSWER).unwrap_or(u16::MAX));
            response.set_edns(edns);
        }
        response
    }

    /// An answer that only says no.
    pub fn failure(&self, code: ResponseCode) -> Option<Vec<u8>> {
        self.encode(self.response(code))
    }

    /// The zone's answer; `authority` goes with every "no".
    pub fn answer(&self, answer: &Answer, authority: &ZoneRecord) -> Message {
        let mut response = self.response(if answer.exists { ResponseCode::NoError } else { ResponseCode::NXDomain });
        response.metadata.authoritative = true;
        response.add_answers(answer.records.iter().filter_map(|record| self.record(record)));
        response.add_additionals(answer.additional.iter().filter_map(|record| self.record(record)));
        if answer.records.is_empty() {
            response.add_authorities(self.record(authority));
        }
        response
    }

    /// A record for the wire. The name that was asked for is given back letter by letter as it was written.
    fn record(&self, record: &ZoneRecord) -> Option<Record> {
        let name = if record.name == self.name { self.query.name().clone() } else { full(&record.name)? };
        let data = match &record.data {
            Data::A(ip) => RData::A(A(*ip)),
            Data::Srv(weight, port, target) => RData::SRV(SRV::new(0, *weight, *port, full(target)?)),
            Data::Ptr(target) => RData::PTR(PTR(full(target)?)),
            Data::Cname(target) => RData::CNAME(CNAME(full(target)?)),
            Data::Ns(target) => RData::NS(NS(full(target)?)),
            Data::Txt(text) => RData::TXT(TXT::new(vec![(*text).to_owned()])),
            Data::Soa(server, mailbox, serial) => {
                let (server, mailbox) = (full(server)?, full(mailbox)?);
                RData::SOA(SOA::new(server, mailbox, *serial, REFRESH, RETRY, EXPIRE, TTL_SECONDS))
            }
        };
        Some(Record::from_rdata(name, TTL_SECONDS, data))
    }

    /// The bytes of an answer. One that is too long for its transport loses its additions first, then answers from
    /// the end, and says so.
    pub fn encode(&self, mut message: Message) -> Option<Vec<u8>> {
        let limit = match self.transport {
            Transport::Tcp => usize::from(u16::MAX),
            Transport::Udp => usize::from(self.message.max_payload()).clamp(MIN_UDP_ANSWER, MAX_UDP_ANSWER),
        };
        let bytes = message.to_vec().ok()?;
        if bytes.len() <= limit {
            return Some(bytes);
        }
        message.additionals.clear();
        let answers = std::mem::take(&mut message.answers);
        let mut with = |count: usize| {
            message.metadata.truncation = count < answers.len();
            message.answers = answers[..count].to_vec();
            message.to_vec().ok().filter(|bytes| bytes.len() <= limit)
        };
        let (mut fits, mut too_many) = (0, answers.len() + 1);
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            if with(middle).is_some() { fits = middle } else { too_many = middle }
        }
        with(fits)
    }
}

/// A full name from its text without the last dot.
pub(super) fn full(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}
