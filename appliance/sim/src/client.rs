//! A client machine and its scripted applications, one per session.

use crate::host::{Buffers, Host};
use crate::plan::{Plan, Step};
use crate::truth::Truth;
use core::net::SocketAddr;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use tapcopy_engine::Time;

/// A client machine.
pub struct Client {
    host: Host,
    applications: Vec<Application>,
}

struct Application {
    session: usize,
    handle: SocketHandle,
    step: usize,
    /// Bytes written of the current step.
    written: usize,
    /// The pause ends.
    resumes_at: Option<Time>,
    /// The next read of a slow reader.
    reads_at: Option<Time>,
    said: Vec<u8>,
    over: bool,
}

impl Client {
    /// A machine without applications.
    pub fn new(host: Host) -> Self {
        Self { host, applications: Vec::new() }
    }

    /// The machine itself.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// Begins a session.
    pub fn start(&mut self, plan: &Plan, session: usize, origin: SocketAddr) {
        let port = plan.sessions[session].client.port();
        self.forget(plan, port);
        let buffers = Buffers { receive: plan.sessions[session].receive_buffer, ..Buffers::default() };
        let handle = self.host.connect(port, origin, buffers);
        self.applications.push(Application {
            session,
            handle,
            step: 0,
            written: 0,
            resumes_at: None,
            reads_at: None,
            said: plan.server_stream(&plan.sessions[session]),
            over: false,
        });
    }

    /// A port that is taken again is free at once: what is left of its last session is forgotten.
    fn forget(&mut self, plan: &Plan, port: u16) {
        let host = &mut self.host;
        self.applications.retain(|application| {
            let stays = plan.sessions[application.session].client.port() != port;
            if !stays {
                host.remove(application.handle);
            }
            stays
        });
    }

    /// Lets stack and applications work; the packets are in [`Host::take_sent`]. Gives the sessions that ended now.
    pub fn poll(&mut self, plan: &Plan, truth: &mut Truth, now: Time) -> Vec<usize> {
        self.host.poll(now);
        let mut ended = Vec::new();
        for application in &mut self.applications {
            if application.poll(&mut self.host, plan, truth, now) {
                ended.push(application.session);
            }
        }
        self.host.poll(now);
        ended
    }

    /// When the machine wants to be polled.
    pub fn poll_at(&mut self, now: Time) -> Option<Time> {
        let host = self.host.poll_at(now);
        let timers = self.applications.iter().flat_map(|application| [application.resumes_at, application.reads_at]);
        timers.flatten().chain(host).min()
    }
}

impl Application {
    /// True once, when the session is over for the client.
    fn poll(&mut self, host: &mut Host, plan: &Plan, truth: &mut Truth, now: Time) -> bool {
        self.read(host, plan, truth, now);
        while self.advance(host, plan, truth, now) {
            self.step += 1;
        }
        let finished = self.step == plan.sessions[self.session].steps.len();
        let state = host.socket(self.handle).state();
        let gone = matches!(state, State::Closed | State::TimeWait);
        if gone && !finished {
            truth.sessions[self.session].broken = true;
            self.resumes_at = None;
        }
        if finished {
            truth.sessions[self.session].done = true;
        }
        let abandoned = finished && !self.closes(plan);
        let over = gone || abandoned;
        over && !core::mem::replace(&mut self.over, over)
    }

    fn closes(&self, plan: &Plan) -> bool {
        plan.sessions[self.session].steps.iter().any(|step| matches!(step, Step::Close | Step::Reset))
    }

    /// Performs the current step; true when it is done.
    fn advance(&mut self, host: &mut Host, plan: &Plan, truth: &Truth, now: Time) -> bool {
        let Some(step) = plan.sessions[self.session].steps.get(self.step) else { return false };
        let socket = host.socket(self.handle);
        match step {
            Step::Write(request, range) => {
                let bytes = &plan.requests[*request].bytes[range.clone()];
                self.written += socket.send_slice(&bytes[self.written..]).unwrap_or(0);
                let done = self.written == bytes.len();
                if done {
                    self.written = 0;
                }
                done
            }
            Step::Await(bytes) => truth.sessions[self.session].read >= *bytes,
            Step::Pause(time) => {
                let resumes_at = *self.resumes_at.get_or_insert(now + *time);
                if now >= resumes_at {
                    self.resumes_at = None;
                }
                now >= resumes_at
            }
            Step::Close => {
                socket.close();
                true
            }
            Step::Reset => {
                socket.abort();
                true
            }
            Step::AwaitClose => !socket.may_recv() && socket.recv_queue() == 0 && socket.state() != State::SynSent,
        }
    }

    fn read(&mut self, host: &mut Host, plan: &Plan, truth: &mut Truth, now: Time) {
        let pace = plan.sessions[self.session].reads;
        if self.reads_at.is_some_and(|at| now < at) {
            return;
        }
        self.reads_at = None;
        let mut room = pace.map_or(usize::MAX, |(bytes, _)| bytes);
        let socket = host.socket(self.handle);
        let read = &mut truth.sessions[self.session].read;
        while room > 0 && socket.can_recv() {
            let said = &self.said;
            let result = socket.recv(|bytes| {
                let len = bytes.len().min(room);
                (len, (len, said.get(*read..*read + len) == Some(&bytes[..len])))
            });
            let Ok((len, expected)) = result else { break };
            *read += len;
            room -= len;
            if !expected {
                let details = format!("the client of session {} read other bytes than its origin says", self.session);
                return truth.violate("the simulator itself is right", details);
            }
        }
        if let Some((_, pause)) = pace.filter(|_| host.socket(self.handle).can_recv()) {
            self.reads_at = Some(now + pause);
        }
    }
}
