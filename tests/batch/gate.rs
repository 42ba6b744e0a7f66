//! A gate before the simulator: it knows the calls of the Batch API, and stops at one of them for somebody to die there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A call of the Batch API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Upload,
    Create,
    List,
    Retrieve,
    DownloadOutput,
    DownloadErrors,
    DeleteFile,
    Cancel,
}

/// When the caller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeTheServerActs,
    BeforeTheAnswer,
    AfterTheAnswer,
}

/// The one call at which the caller dies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) call: Call,
    /// The first is 0.
    pub(crate) nth: usize,
    pub(crate) moment: Moment,
}

#[derive(Debug)]
struct State {
    server: String,
    death: Mutex<Option<Death>>,
    /// The files that batches named as those of their errors.
    error_files: Mutex<Vec<String>>,
    /// Whether the next creation happens twice, and its answer is lost.
    doubles: Mutex<bool>,
    reached: Sender<()>,
}

/// Listens on loopback for as long as the test's process lives.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) base_url: String,
    /// Told when the call is reached.
    pub(crate) reached: Receiver<()>,
}

impl Gate {
    /// Stands before a server, of which the base URL is given.
    pub(crate) fn before(base_url: &str, death: Death, doubles: bool) -> Self {
        let server = base_url
            .trim_start_matches("http://")
            .trim_end_matches("/v1")
            .to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (send, reached) = channel();
        let state = Arc::new(State {
            server,
            death: Mutex::new(Some(death)),
            error_files: Mutex::default(),
            doubles: Mutex::new(doubles),
            reached: send,
        });
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                let (state, caller) = (Arc::clone(&state), caller.unwrap());
                // A caller that was killed answers no more.
                std::thread::spawn(move || state.pass(caller).ok());
            }
        });
        Self { base_url, reached }
    }
}

impl State {
    fn pass(&self, mut caller: TcpStream) -> std::io::Result<()> {
        let request = request_from(&mut caller)?;
        let call = self.call(&request);
        let moment = call.and_then(|call| self.dies_at(call));
        if moment == Some(Moment::BeforeTheServerActs) {
            self.die();
            return Ok(());
        }
        let answer = self.ask(&request)?;
        if call == Some(Call::Create) && std::mem::take(&mut *self.doubles.lock().unwrap()) {
            self.ask(&request)?;
            return caller.shutdown(Shutdown::Both);
        }
        self.note_error_file(&answer);
        if moment == Some(Moment::BeforeTheAnswer) {
            self.die();
            return Ok(());
        }
        caller.write_all(&answer)?;
        caller.shutdown(Shutdown::Both)?;
        if moment == Some(Moment::AfterTheAnswer) {
            std::thread::sleep(Duration::from_millis(1));
            self.die();
        }
        Ok(())
    }

    /// Says that the caller has to die now, and holds its connection until long after that.
    fn die(&self) {
        // Nobody listens once the test is over.
        let _ = self.reached.send(());
        std::thread::sleep(Duration::from_secs(30));
    }

    fn ask(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(&self.server)?;
        server.write_all(request)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn dies_at(&self, call: Call) -> Option<Moment> {
        let mut death = self.death.lock().unwrap();
        match &mut *death {
            Some(planned) if planned.call == call && planned.nth > 0 => planned.nth -= 1,
            Some(planned) if planned.call == call => return death.take().map(|death| death.moment),
            _ => {}
        }
        None
    }

    fn call(&self, request: &[u8]) -> Option<Call> {
        let head = String::from_utf8_lossy(&request[..request.len().min(1_024)]).into_owned();
        let mut words = head.split([' ', '?']);
        let (method, path) = (words.next()?, words.next()?.trim_start_matches("/v1/"));
        match (method, &path.split('/').collect::<Vec<_>>()[..]) {
            ("POST", ["files"]) => Some(Call::Upload),
            ("POST", ["batches"]) => Some(Call::Create),
            ("GET", ["batches"]) => Some(Call::List),
            ("GET", ["batches", _]) => Some(Call::Retrieve),
            ("POST", ["batches", _, "cancel"]) => Some(Call::Cancel),
            ("DELETE", ["files", _]) => Some(Call::DeleteFile),
            ("GET", ["files", id, "content"]) => {
                let of_errors = self.error_files.lock().unwrap().iter().any(|file| file == id);
                Some(if of_errors {
                    Call::DownloadErrors
                } else {
                    Call::DownloadOutput
                })
            }
            _ => None,
        }
    }

    fn note_error_file(&self, answer: &[u8]) {
        let text = String::from_utf8_lossy(answer);
        let after = text.split("\"error_file_id\":\"").skip(1);
        let ids = after.filter_map(|id| id.split('"').next().map(str::to_owned));
        self.error_files.lock().unwrap().extend(ids);
    }
}

/// Reads one request to its end, and asks for its connection to be closed after the answer.
fn request_from(caller: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
            && is_whole(&bytes[..head], &bytes[head + 4..])
        {
            let line = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
            bytes.splice(line..line, *b"\r\nconnection: close");
            return Ok(bytes);
        }
        let read = caller.read(&mut piece)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
    }
}

fn is_whole(head: &[u8], body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
