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

// App is the application layer behind servers. Its methods are called with the lock of
// the server held, and must not call the server.
type App interface {
	// Arrived is called for a message that a client has published.
	Arrived(s *Server, p *Packet)
	// Refused is called for a message that the server refuses by a reason code.
	Refused(s *Server, p *Packet)
	// Sent is called when a message is written to a client for the first time.
	Sent(s *Server, m *Message)
	// Taken is called when a client has taken a message over, by PUBACK or PUBREC.
	Taken(s *Server, m *Message)
	// Forgotten is called for a message that the server drops: with a session, of QoS 0
	// with a connection, or because the client does not accept its size.
	Forgotten(s *Server, m *Message)
	// Connected is called when a client's CONNECT is accepted, in a session that the
	// server has kept if present is true.
	Connected(s *Server, c *Connect, l *Limits, present bool)
}

// Config is how a server behaves on all connections.
type Config struct {
	Name    string
	Address string // host:port
	// DeliverOnRelease delivers QoS 2 messages when they are released, which is method A
	// of MQTT 3.1.1 (figure 4.3). Otherwise they are delivered when they are published,
	// which is method B.
	DeliverOnRelease bool
	// LowestID gives a message the lowest free packet identifier. Otherwise identifiers
	// ascend.
	LowestID bool
	// RefuseBridgeBit refuses connections that set the bridge bit, as a server does that
	// knows only MQTT 3.1.1.
	RefuseBridgeBit bool
	// ClientWindow is how many QoS 1 and 2 messages a client may have in flight by its
	// own configuration. 0: as many as the protocol allows.
	ClientWindow int
	// AnyAckOrder allows PUBACKs and PUBRECs in any order, against section 4.6.
	AnyAckOrder bool
	// KeepUnseenSessions keeps a session that was created by a connection of which the
	// client has not seen the CONNACK. Such a client cannot know whether the session
	// that it resumes next is a new one.
	KeepUnseenSessions bool
	App                App
	// Plan returns the plan of a client's nth connection, counted from 1. Nil: the zero
	// plan.
	Plan func(n int, c *Connect) Plan
	// Report is called with each violation. It must not call the server.
	Report func(Violation)
}

// Violation is a rule that a client has broken.
type Violation struct {
	Server, Text string
	History      []string // of the connection, and of the one before it
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s\n    %s", v.Server, v.Text, strings.Join(v.History, "\n    "))
}

// Server is an MQTT server.
type Server struct {
	cfg   Config
	cuts  atomic.Int64
	left  sync.Map  // the clients that may have used another server since their last connection here
	group []*Server // servers of which clients use one at a time

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	sessions map[string]*session
	counts   map[string]int // connections of each client
	process  int            // counts the clients' processes
	accepted atomic.Int64
	idle     sync.Cond // a connection has ended
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, conns: map[*conn]struct{}{}, sessions: map[string]*session{}, counts: map[string]int{}}
	s.idle.L = &s.mu
	return s
}

// Group says of which servers a client uses one at a time: one that comes to another
// server may drop what was in flight to the one before.
func Group(servers ...*Server) {
	for _, s := range servers {
		s.group = servers
	}
}

// Name is the configured name.
func (s *Server) Name() string { return s.cfg.Name }

// URL is where the server listens.
func (s *Server) URL() string { return "mqtt://" + s.cfg.Address }

// Cuts is how many connections the server has ended by itself.
func (s *Server) Cuts() int { return int(s.cuts.Load()) }

// Connections is how many connections of a client were accepted or refused so far.
func (s *Server) Connections(client string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[client]
}

// Start listens.
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
			c.note("the server ends the connection")
			c.close(reset)
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
		s.forget(sess)
	}
}

// ProcessEnded is called when the clients' process has ended, before it is started
// again. It waits until the server has read everything from that process.
func (s *Server) ProcessEnded() {
	s.mu.Lock()
	listening := s.listener != nil
	s.mu.Unlock()
	if listening {
		// The server accepts connections in order, so that all of the process are accepted
		// when this one is.
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

// Preload creates a session as an earlier process has left it: with subscriptions, and
// with QoS 2 messages that were published and not released.
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
		sess.held[p.ID] = &inbound{p: p, order: sess.order, recorded: true}
	}
	s.process++
}

// Held returns how many QoS 2 messages a client's session holds unreleased.
func (s *Server) Held(client string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[client]; sess != nil {
		return len(sess.held)
	}
	return 0
}

// Publish gives a message to all subscribers. It reports whether there is one that is
// connected, or has a session that keeps the message.
func (s *Server) Publish(m *Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := false
	for _, sess := range s.sessions {
		qos, retain, ids, ok := sess.match(m.Topic)
		qos = min(qos, m.QoS)
		if !ok || sess.conn == nil && qos == 0 {
			continue
		}
		taken = true
		sess.queue = append(sess.queue, &delivery{m: m, qos: qos, retain: m.Retain && retain, ids: ids})
		if sess.conn != nil {
			sess.conn.pump()
		}
	}
	return taken
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

// HistoryLocked is History for an [App], whose methods are called with the server's lock
// held.
func (s *Server) HistoryLocked(client string) []string {
	sess := s.sessions[client]
	if sess == nil {
		return nil
	}
	if sess.conn != nil {
		return sess.conn.recent()
	}
	return sess.previous
}

// forget drops a session that has no connection.
func (s *Server) forget(sess *session) {
	for _, d := range append(sess.flight, sess.queue...) {
		s.cfg.App.Forgotten(s, d.m)
	}
	sess.gone = true
	if s.sessions[sess.client] == sess {
		delete(s.sessions, sess.client)
	}
}
