// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Message is an application message that a server sends to its subscribers.
type Message struct {
	Topic, Payload string
	QoS            byte
	Retain         bool
}

// App is the application layer behind servers. The server calls its methods with its lock held;
// they must not call the server, except [Server.HistoryLocked] and [Server.Name].
type App interface {
	// Arrived is called for a message that a client has published.
	Arrived(s *Server, p *Packet)
	// Refused is called for a message that the server refuses by a reason code.
	Refused(s *Server, p *Packet)
	// Sent is called when a message is written to a client for the first time.
	Sent(s *Server, m *Message)
	// Acknowledged is called when a client has acknowledged a message with PUBACK or PUBREC.
	Acknowledged(s *Server, m *Message)
	// SessionDropped is called for a message that the server drops: with its session, with its
	// connection if it has QoS 0, or because it is too large for the client.
	SessionDropped(s *Server, m *Message)
	// Connected is called when a client's CONNECT is accepted. present is true if the server
	// resumes the session.
	Connected(s *Server, c *Connect, l *Limits, present bool)
}

// Config is the behaviour of a server on all connections.
type Config struct {
	Name    string
	Address string // host:port
	// DeliverOnRelease delivers QoS 2 messages at PUBREL, which is method A of MQTT 3.1.1 (figure
	// 4.3). Otherwise they are delivered at PUBLISH, which is method B.
	DeliverOnRelease bool
	// LowestID gives each message the lowest free packet identifier. Otherwise identifiers ascend.
	LowestID bool
	// RefuseBridgeFlag refuses connections that set the bridge flag, like a server that supports only
	// standard MQTT 3.1.1.
	RefuseBridgeFlag bool
	// ClientWindow is the largest number of QoS 1 and 2 messages that a client may have in flight
	// by its own configuration. 0 means the protocol's limit.
	ClientWindow int
	// AnyAckOrder permits PUBACKs and PUBRECs in any order, contrary to section 4.6.
	AnyAckOrder bool
	// KeepUnseenSessions keeps a session even if the client has not received the CONNACK of the
	// connection that created it. The client cannot distinguish whether a session that it resumes
	// later is this one.
	KeepUnseenSessions bool
	// Processes are the processes of the client.
	Processes Processes
	App       App
	// Plan returns the plan of a client's nth connection; n starts at 1. If Plan is nil,
	// connections have the zero plan.
	Plan func(n int, c *Connect) Plan
	// Record is called for each packet of a client that has sent CONNECT, in the order in which the
	// server reads them, with the server's lock held. If it is set, a connection whose session was
	// taken over ends in one direction only, and Record is also called for the packets that the client
	// still sends. The server does not process these.
	Record func(Record)

	// Report is called for each violation. It must not call the server.
	Report func(Violation)
}

// Processes are the processes that connect with one client identifier.
type Processes int

const (
	// OneProcess makes all connections until [Server.ProcessEnded].
	OneProcess Processes = iota
	// NewProcesses make one connection each. A process may know the packet identifiers that the earlier
	// process has used: it may release others while it publishes QoS 2 messages.
	NewProcesses
	// AnyProcesses make any number of connections each. A connection may be of a process that does not
	// know the state of the previous connection, and may release identifiers as with NewProcesses.
	AnyProcesses
)

// Violation is a rule that a client has violated.
type Violation struct {
	Server, Text string
	History      []string // of the connection and of the previous one
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s\n    %s", v.Server, v.Text, strings.Join(v.History, "\n    "))
}

// Record is a packet that a client has sent.
type Record struct {
	At time.Time
	// Connected is the time of the CONNECT of the connection.
	Connected time.Time
	Connect   *Connect
	Packet    *Packet
	// Overtaken is true if the session of the connection was taken over before.
	Overtaken bool
}

// Server is an MQTT server.
type Server struct {
	cfg       Config
	cuts      atomic.Int64
	usedOther sync.Map  // clients that may have used another server of the group since their last connection
	group     []*Server // servers that a client uses one at a time

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	sessions map[string]*session
	counts   map[string]int // connections of each client
	process  int            // number of the current client process
	accepted atomic.Int64
	idle     sync.Cond // signals that a connection has ended
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, conns: map[*conn]struct{}{}, sessions: map[string]*session{}, counts: map[string]int{}}
	s.idle.L = &s.mu
	return s
}

// Group sets the servers that a client uses one at a time. A client that connects to another server
// may drop the messages in flight to the previous one.
func Group(servers ...*Server) {
	for _, s := range servers {
		s.group = servers
	}
}

// Name returns the configured name.
func (s *Server) Name() string { return s.cfg.Name }

// URL returns the URL of the listener.
func (s *Server) URL() string { return "mqtt://" + s.cfg.Address }

// Cuts returns the number of connections that the server itself has ended.
func (s *Server) Cuts() int { return int(s.cuts.Load()) }

// Connections returns the number of connections of a client, accepted or refused, so far.
func (s *Server) Connections(client string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[client]
}

// Start listens and accepts connections.
func (s *Server) Start() error {
	listener, err := net.Listen("tcp", s.cfg.Address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	go s.accept(listener)
	return nil
}

func (s *Server) accept(listener net.Listener) {
	for {
		tcp, err := listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		c := newConn(s, tcp.(*net.TCPConn))
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.accepted.Add(1)
		go c.run()
	}
}

// Stop ends all connections and refuses new ones until Start. It keeps the sessions.
func (s *Server) Stop(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	s.cutAllLocked(reset)
}

// CutAll ends all connections.
func (s *Server) CutAll(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutAllLocked(reset)
}

func (s *Server) cutAllLocked(reset bool) {
	for c := range s.conns {
		if !c.closed {
			c.noteLocked("the server ends the connection")
			c.closeLocked(reset)
			s.cuts.Add(1)
		}
	}
}

// Forget drops all sessions. It ends the connections first.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutAllLocked(false)
	for _, sess := range s.sessions {
		s.forgetLocked(sess)
	}
}

// ProcessEnded must be called after the clients' process has ended and before it is started again.
// It waits until the server has read all data of that process.
func (s *Server) ProcessEnded() {
	s.mu.Lock()
	listening := s.listener != nil
	s.mu.Unlock()
	if listening {
		// The server accepts connections in order. When it has accepted this one, it has accepted
		// all connections of the process.
		before := s.accepted.Load()
		if tcp, err := net.Dial("tcp", s.cfg.Address); err == nil {
			for s.accepted.Load() == before {
				time.Sleep(time.Millisecond)
			}
			_ = tcp.Close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		s.idle.Wait()
	}
	s.process++
}

// Preload creates a session of an earlier process, with QoS 2 messages that were published and not
// released.
func (s *Server) Preload(client string, held ...Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := newSession(client, s.process)
	sess.expiry, sess.confirmed = noExpiry, true
	s.sessions[client] = sess
	for i := range held {
		p := &held[i]
		p.Type, p.QoS = PUBLISH, 2
		sess.order++
		sess.held[p.ID] = &inbound{p: p, order: sess.order, pubrecSent: true}
	}
	s.process++
}

// Held returns the number of unreleased QoS 2 messages in a client's session.
func (s *Server) Held(client string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[client]; sess != nil {
		return len(sess.held)
	}
	return 0
}

// Publish passes a message to all subscribers. It returns false if no subscriber is connected or
// has a session that keeps the message.
func (s *Server) Publish(m *Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := false
	for _, sess := range s.sessions {
		qos, retain, ids, ok := sess.match(m.Topic)
		qos = min(qos, m.QoS)
		if !ok || sess.conn == nil && qos == 0 {
			continue
		}
		accepted = true
		sess.queue = append(sess.queue, &delivery{m: m, qos: qos, retain: m.Retain && retain, ids: ids})
		if sess.conn != nil {
			sess.conn.pumpLocked()
		}
	}
	return accepted
}

// Subscribed reports whether a client has a session with subscriptions.
func (s *Server) Subscribed(client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[client]
	return sess != nil && len(sess.subs) > 0
}

// Connected reports whether a client is connected.
func (s *Server) Connected(client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[client]
	return sess != nil && sess.conn != nil
}

// History returns the latest packets of a client's connections.
func (s *Server) History(client string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.HistoryLocked(client)
}

// HistoryLocked is History for an [App], whose methods are called with the server's lock held.
func (s *Server) HistoryLocked(client string) []string {
	sess := s.sessions[client]
	if sess == nil {
		return nil
	}
	if sess.conn != nil {
		return sess.conn.recentLocked()
	}
	return sess.previous
}

// forgetLocked drops a session that has no connection.
func (s *Server) forgetLocked(sess *session) {
	for _, d := range append(sess.flight, sess.queue...) {
		s.cfg.App.SessionDropped(s, d.m)
	}
	if s.sessions[sess.client] == sess {
		delete(s.sessions, sess.client)
	}
}
