// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"time"
)

// acceptLocked answers CONNECT.
func (c *conn) acceptLocked() {
	s, client := c.s, c.connect
	if client.Bridge && s.cfg.RefuseBridgeFlag {
		c.refuseLocked(1)
		return
	}
	if c.plan.Refuse > 0 {
		c.refuseLocked(c.plan.Refuse)
		return
	}
	sess := s.sessions[client.ClientID]
	if sess != nil && sess.conn != nil { // [MQTT-3.1.4-3]
		sess.conn.overtakeLocked()
		sess = s.sessions[client.ClientID] // the session may have ended with its connection
	}
	if sess != nil && (client.CleanStart || c.plan.DropSession || s.expiredLocked(sess)) {
		s.forgetLocked(sess)
		sess = nil
	}
	_, usedOther := s.usedOther.LoadAndDelete(client.ClientID)
	for _, other := range s.group {
		if other != s {
			other.usedOther.Store(client.ClientID, true)
		}
	}
	c.present = sess != nil
	if s.cfg.Processes == NewProcesses {
		s.process++
	}
	if sess == nil {
		sess = newSession(client.ClientID, s.process)
		s.sessions[client.ClientID] = sess
	} else {
		sess.resume(s.process, usedOther || s.cfg.Processes == AnyProcesses)
	}
	c.attachLocked(sess)
	s.cfg.App.Connected(s, client, &c.plan.Limits, c.present)
	c.sendLocked(fmt.Sprintf("CONNACK present=%t %s", c.present, c.limitsLocked()), encodeConnack(c.version, c.present, 0, &c.plan.Limits), nil)
}

func (c *conn) refuseLocked(code byte) {
	c.sendLocked(fmt.Sprintf("CONNACK 0x%02x", code), encodeConnack(c.version, false, code, &c.plan.Limits), nil)
	c.closeLocked(false)
}

// expiredLocked reports whether a session without a connection has ended.
func (s *Server) expiredLocked(sess *session) bool {
	switch {
	case !sess.confirmed && !s.cfg.KeepUnseenSessions:
		return true
	case sess.expiry == noExpiry:
		return false
	}
	return time.Since(sess.ended) > time.Duration(sess.expiry)*time.Second
}

// attachLocked makes c the connection of a session.
func (c *conn) attachLocked(sess *session) {
	c.sess, sess.conn = sess, c
	if c.connect.Version == V311 {
		sess.expiry = noExpiry
		if c.connect.CleanStart {
			sess.expiry = 0
		}
	} else {
		sess.expiry = c.connect.SessionExpiry
		if c.plan.HasSessionExpiry {
			sess.expiry = c.plan.SessionExpiry
		}
	}
	seconds := c.connect.KeepAlive
	if c.version == V5 && c.plan.ServerKeepAlive > 0 {
		seconds = c.plan.ServerKeepAlive
	}
	c.keepAlive = time.Duration(seconds) * time.Second
	c.resending = append(c.resending, sess.flight...)
	if c.plan.LowQoS && c.plan.MaximumQoS < 2 {
		sess.releaseDue = true // a QoS 2 message may be sent again at a lower QoS
	}
}

// detachLocked ends the use of the session by the connection.
func (c *conn) detachLocked() {
	sess := c.sess
	if sess == nil || sess.conn != c {
		return
	}
	sess.conn, sess.ended, sess.previous = nil, time.Now(), c.excerptLocked(shownBefore)
	c.dropQoS0Locked()
	if sess.expiry == 0 {
		c.s.forgetLocked(sess)
	}
}

// dropQoS0Locked drops the queued QoS 0 messages.
func (c *conn) dropQoS0Locked() {
	kept := c.sess.queue[:0]
	for _, d := range c.sess.queue {
		if d.qos > 0 {
			kept = append(kept, d)
			continue
		}
		c.s.cfg.App.SessionDropped(c.s, d.m)
	}
	c.sess.queue = kept
}

// limitsLocked formats the limits of the connection for the history.
func (c *conn) limitsLocked() string {
	if c.version != V5 {
		return ""
	}
	l := &c.plan.Limits
	text := fmt.Sprintf("receiveMaximum=%d maximumPacketSize=%d topicAliasMaximum=%d", l.ReceiveMaximum, l.MaximumPacketSize, l.TopicAliasMaximum)
	if l.LowQoS {
		text += fmt.Sprintf(" maximumQoS=%d", l.MaximumQoS)
	}
	return text
}

// subscribeLocked answers SUBSCRIBE and UNSUBSCRIBE.
func (c *conn) subscribeLocked(p *Packet) {
	if c.subscribing[p.ID] || c.inUse[p.ID] != nil || c.sess.held[p.ID] != nil {
		c.violationLocked("%s with the packet identifier %d, which is in use [MQTT-2.2.1-3]", names[p.Type], p.ID)
		return
	}
	if p.SubscriptionID > 0 && c.plan.NoSubscriptionIDs {
		c.violationLocked("SUBSCRIBE with a Subscription Identifier, which the server does not support [MQTT-3.2.2-3.12]")
		return
	}
	c.subscribing[p.ID] = true
	answer := byte(UNSUBACK)
	var codes []byte
	for _, sub := range p.Subscriptions {
		if p.Type == UNSUBSCRIBE {
			delete(c.sess.subs, sub.Filter)
			codes = append(codes, 0)
			continue
		}
		answer = SUBACK
		if c.plan.LowGrant {
			sub.QoS = min(sub.QoS, c.plan.GrantedQoS)
		}
		if c.plan.LowQoS {
			sub.QoS = min(sub.QoS, c.plan.MaximumQoS)
		}
		c.sess.subs[sub.Filter] = sub
		codes = append(codes, sub.QoS)
	}
	c.sendLocked(fmt.Sprintf("%s %d %v", names[answer], p.ID, codes), encodeCodes(c.version, answer, p.ID, codes), func() {
		c.s.mu.Lock()
		delete(c.subscribing, p.ID)
		c.s.mu.Unlock()
	})
}
