//! One question to a name server: over UDP, asked again when nothing comes, over TCP when the
//! answer does not fit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use lictor_config::DnsRecord;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Found;
use crate::watch::fault::{Fault, Stage};

/// Times a question is sent to a server by UDP, where any of them may be lost.
const TRIES: u32 = 3;

/// Links of a chain of aliases that are followed within an answer.
const ALIASES: usize = 16;

/// Asks the servers in turn; the first answer counts, whatever it says. The time until
/// `deadline` is shared out among the servers that are left.
pub(super) async fn ask(
    servers: &[SocketAddr],
    name: &str,
    record: DnsRecord,
    deadline: Instant,
    stage: &mut Stage,
) -> Result<Found, Fault> {
    let kind = record_type(record);
    let asked = question_name(name, record)
        .map_err(|error| Fault::unknown(format!("`{name}` cannot be asked for: {error}")))?;
    let mut silent = None;
    for (tried, server) in servers.iter().enumerate() {
        let begun = stage.enter(format!("the answer of {server} about {name}"));
        let left = u32::try_from(servers.len() - tried).unwrap_or(u32::MAX);
        let until = begun + deadline.saturating_duration_since(begun) / left;
        match ask_one(*server, &asked, kind, until).await {
            Ok(answer) => return read(&answer, &asked, kind, name, *server),
            Err(Trouble::Silent) if left == 1 => return Err(stage.late(deadline - stage.started())),
            Err(Trouble::Silent) => silent = Some(Fault::critical(format!("{server} does not answer"))),
            Err(Trouble::Fault(fault)) if left == 1 => return Err(fault),
            Err(Trouble::Fault(fault)) => silent = Some(fault),
        }
    }
    Err(silent.unwrap_or_else(|| Fault::unknown("there is no name server to ask")))
}

/// A whole answer, from the first server that has one: one that fails, refuses or is silent is passed
/// over. The time until `deadline` is shared out among the servers that are left.
///
/// # Errors
/// In words, when none of them has an answer. That there is no such name is an answer.
pub(crate) async fn message(
    servers: &[SocketAddr],
    name: &Name,
    kind: RecordType,
    deadline: Instant,
) -> Result<Message, String> {
    let mut why = Vec::new();
    for (tried, server) in servers.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(servers.len() - tried).unwrap_or(u32::MAX);
        let until = now + deadline.saturating_duration_since(now) / left;
        why.push(match ask_one(*server, name, kind, until).await {
            Ok(answer) => match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                other => format!("{server} answers {other}"),
            },
            Err(Trouble::Silent) => format!("{server} does not answer"),
            Err(Trouble::Fault(fault)) => fault.message,
        });
    }
    if why.is_empty() { Err("there is no name server to ask".to_owned()) } else { Err(why.join("; ")) }
}

/// Why a server gave no answer.
enum Trouble {
    Silent,
    Fault(Fault),
}

async fn ask_one(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    until: Instant,
) -> Result<Message, Trouble> {
    let failed = |doing: &str, error: &io::Error| {
        Trouble::Fault(Fault::io(format_args!("cannot {doing} {server}"), error))
    };
    let id: u16 = rand::random();
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), kind));
    let bytes = question
        .to_vec()
        .map_err(|error| Trouble::Fault(Fault::unknown(format!("cannot ask for {name}: {error}"))))?;

    let here: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(here).await.map_err(|error| failed("ask", &error))?;
    socket.connect(server).await.map_err(|error| failed("ask", &error))?;
    for tried in 0..TRIES {
        socket.send(&bytes).await.map_err(|error| failed("ask", &error))?;
        let now = Instant::now();
        let wait = until.saturating_duration_since(now) / (TRIES - tried);
        let Ok(answer) = timeout_at(now + wait, receive(&socket, id, &question)).await else { continue };
        let answer = answer.map_err(|error| failed("ask", &error))?;
        if !answer.metadata.truncation {
            return Ok(answer);
        }
        let whole = timeout_at(until, over_tcp(server, &bytes)).await;
        return match whole {
            Err(_late) => Err(Trouble::Silent),
            Ok(Err(error)) => Err(failed("ask over TCP", &error)),
            Ok(Ok(bytes)) => Message::from_vec(&bytes).map_err(|error| {
                Trouble::Fault(Fault::critical(format!("{server} answered with nonsense: {error}")))
            }),
        };
    }
    Err(Trouble::Silent)
}

/// Waits for the answer to our question; anything else that comes is not from our server.
async fn receive(socket: &UdpSocket, id: u16, question: &Message) -> io::Result<Message> {
    let mut buffer = vec![0; 4_096];
    loop {
        let count = socket.recv(&mut buffer).await?;
        let Ok(answer) = Message::from_vec(buffer.get(..count).unwrap_or_default()) else { continue };
        // A server that does not even understand the question may leave it out of its answer.
        let fits = answer.queries.is_empty() || answer.queries == question.queries;
        if answer.metadata.id == id && answer.metadata.message_type == MessageType::Response && fits {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn read(
    answer: &Message,
    asked: &Name,
    kind: RecordType,
    name: &str,
    server: SocketAddr,
) -> Result<Found, Fault> {
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => {
            return Err(Fault::critical(format!("{name} does not exist, says {server} (NXDOMAIN)")));
        }
        ResponseCode::ServFail => {
            return Err(Fault::critical(format!("{server} could not find out about {name} (SERVFAIL)")));
        }
        ResponseCode::Refused => {
            return Err(Fault::critical(format!("{server} refuses to answer about {name} (REFUSED)")));
        }
        other => return Err(Fault::critical(format!("{server} answered about {name}: {other}"))),
    }
    let found = collect(answer, asked, kind);
    if found.answers.is_empty() {
        return Err(Fault::critical(format!("{name} has no {kind} record, says {server}")));
    }
    Ok(found)
}

/// The records of the wanted type for the name, or for what it is an alias of.
fn collect(answer: &Message, asked: &Name, kind: RecordType) -> Found {
    let mut owner = asked;
    for _ in 0..ALIASES {
        let mut found = Found::default();
        for record in answer.answers.iter().filter(|record| record.name == *owner) {
            if record.record_type() == kind {
                found.answers.push(text(&record.data));
                if let RData::SOA(soa) = &record.data {
                    found.serial = Some(soa.serial);
                }
            }
        }
        if !found.answers.is_empty() {
            return found;
        }
        let alias =
            answer.answers.iter().filter(|record| record.name == *owner).find_map(|record| {
                if let RData::CNAME(target) = &record.data { Some(&target.0) } else { None }
            });
        match alias {
            Some(target) => owner = target,
            None => break,
        }
    }
    Found::default()
}

/// A record as the configuration writes it.
fn text(data: &RData) -> String {
    match data {
        RData::TXT(txt) => {
            txt.txt_data.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
        }
        other => other.to_string(),
    }
}

/// The name as it is asked for: absolute, and an address reversed for its names.
fn question_name(name: &str, record: DnsRecord) -> Result<Name, hickory_proto::ProtoError> {
    if record == DnsRecord::Ptr
        && let Ok(address) = name.parse::<IpAddr>()
    {
        return Ok(Name::from(address));
    }
    let mut name = Name::from_utf8(name)?;
    name.set_fqdn(true);
    Ok(name)
}

const fn record_type(record: DnsRecord) -> RecordType {
    match record {
        DnsRecord::A => RecordType::A,
        DnsRecord::Aaaa => RecordType::AAAA,
        DnsRecord::Cname => RecordType::CNAME,
        DnsRecord::Mx => RecordType::MX,
        DnsRecord::Ns => RecordType::NS,
        DnsRecord::Ptr => RecordType::PTR,
        DnsRecord::Srv => RecordType::SRV,
        DnsRecord::Txt => RecordType::TXT,
        DnsRecord::Soa => RecordType::SOA,
    }
}
