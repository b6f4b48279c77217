// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"hash/maphash"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// origin is a message as it came, until it is acknowledged to its source.
type origin struct {
	in      *session.Inbound
	session *session.Session
	content uint64 // a hash of what it says
	queued  int    // how many messages made of it are in the queue
}

var seed = maphash.MakeSeed()

func content(m *session.Message) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(m.Topic) // never fails
	_ = h.WriteByte(m.QoS)
	_, _ = h.Write(m.Payload)
	return h.Sum64()
}

// source is the session that messages come by, and what of its server's messages
// is not acknowledged to it.
//
// A server that resumes a session sends again what was not acknowledged, with the
// packet identifier of the first time and the DUP flag ([MQTT-4.4.0-1]). No server
// may use a packet identifier for another message before it is acknowledged. So a
// message with DUP and the identifier of a held one, by a resumed session of the
// same server, is that held one. A message is held until an acknowledgement was
// given to a session that had not ended: one that had ended is closed to writing,
// so that the server cannot have seen it.
//
// Some servers number messages anew (RabbitMQ does), and a URL may stand for
// several servers, of which another resumes a session of its own. So the content
// has to be the same, too. Where it once is not, nothing more of this session is
// taken for held: what comes is forwarded, some of it twice, and nothing is lost.
type source struct {
	session *session.Session
	server  int
	resumed bool               // session goes on where the one before it, of the same server, ended
	held    map[uint16]*origin // by packet identifier
}

// use makes s the session that messages come by.
func (c *source) use(s *session.Session, server int) {
	c.resumed = c.session != nil && server == c.server && s.Resumed()
	if !c.resumed {
		clear(c.held)
	}
	c.session, c.server = s, server
}

// late reports whether a message of session s was overtaken by one that resumes s,
// and by which the server sends the message again.
func (c *source) late(s *session.Session) bool {
	return s != c.session && c.resumed
}

// redelivered returns the held message that in, which came by s, repeats, bound to
// s, or nil where in is new.
func (c *source) redelivered(s *session.Session, in *session.Inbound) *origin {
	o := c.held[in.PacketID]
	if o == nil || !in.Duplicate || s != c.session {
		return nil
	}
	if o.session != s && o.content != content(&in.Message) {
		clear(c.held)
		c.resumed = false
		return nil
	}
	o.in, o.session = in, s
	return o
}

// hold keeps a QoS 1 or 2 message until it is acknowledged. One that comes late is
// not held: its session cannot acknowledge it.
func (c *source) hold(o *origin) {
	if o.in.QoS > 0 && o.session == c.session {
		o.content = content(&o.in.Message)
		c.held[o.in.PacketID] = o
	}
}

// acknowledge acknowledges a message to the session that it came by. Where that
// has ended it stays held, in case the server sends it again.
func (c *source) acknowledge(o *origin) {
	if o.in.QoS == 0 {
		return
	}
	select {
	case <-o.session.Done():
		return
	default:
	}
	if c.held[o.in.PacketID] == o {
		delete(c.held, o.in.PacketID)
	}
	o.in.Ack()
}
