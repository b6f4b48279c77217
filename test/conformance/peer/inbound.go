// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"slices"
)

// publish receives a message of the client.
func (c *conn) publish(p *Packet) {
	if !c.resolveAlias(p) || !c.withinLimits(p) {
		return
	}
	if p.QoS == 0 {
		c.s.cfg.App.Arrived(c.s, p)
		return
	}
	if !c.mayUse(p) || !c.mayComeNow(p) {
		return
	}
	held := c.sess.held[p.ID]
	if c.plan.RefuseMessage != nil && c.version == V5 && held == nil {
		if code := c.plan.RefuseMessage(p); code > 0 {
			c.refuseMessage(p, code)
			return
		}
	}
	in := c.sess.known(p)
	if in == nil || !p.Dup {
		c.sess.order++
		in = &inbound{p: p, order: c.sess.order}
	}
	c.sess.unacked[p.ID], c.inUse[p.ID] = in, in
	delete(c.sess.acked, p.ID)
	if p.QoS == 1 {
		c.s.cfg.App.Arrived(c.s, p)
		c.acknowledge(PUBACK, p.ID, 0)
		return
	}
	if held == nil {
		c.sess.held[p.ID] = in
		held = in
		delete(c.sess.released, p.ID)
		if !c.s.cfg.DeliverOnRelease {
			c.s.cfg.App.Arrived(c.s, p)
		}
	}
	if !c.muted {
		c.recorded++
		held.recorded, held.recOrder = true, c.recorded
	}
	c.send(fmt.Sprintf("PUBREC %d", p.ID), encodeAck(c.version, PUBREC, p.ID, 0), nil)
}

// resolveAlias sets the topic of a message that has only an alias.
func (c *conn) resolveAlias(p *Packet) bool {
	switch {
	case p.Alias == 0:
		return true
	case p.Alias > c.plan.TopicAliasMaximum:
		c.violation("the topic alias %d; the Topic Alias Maximum is %d [MQTT-3.1.2-26]", p.Alias, c.plan.TopicAliasMaximum)
		return false
	case p.Topic != "":
		c.aliases[p.Alias] = p.Topic
		return true
	}
	topic, ok := c.aliases[p.Alias]
	if !ok {
		c.violation("the topic alias %d, which was not set on this connection [MQTT-3.3.2-7]", p.Alias)
		return false
	}
	p.Topic = topic
	return true
}

// withinLimits checks a message against what the server has announced and the client
// was configured with.
func (c *conn) withinLimits(p *Packet) bool {
	l := &c.plan.Limits
	if c.version == V5 && l.LowQoS && p.QoS > l.MaximumQoS {
		c.violation("PUBLISH with QoS %d; the Maximum QoS is %d [MQTT-3.2.2-11]", p.QoS, l.MaximumQoS)
		return false
	}
	if c.version == V5 && l.NoRetain && p.Retain {
		c.violation("PUBLISH with RETAIN; the server has no retained messages [MQTT-3.2.2-14]")
		return false
	}
	if p.QoS == 0 {
		return true
	}
	if n := len(c.inUse); c.version == V5 && l.ReceiveMaximum > 0 && n >= int(l.ReceiveMaximum) {
		c.violation("%d messages in flight; the Receive Maximum is %d [MQTT-3.3.4-9]", n+1, l.ReceiveMaximum)
		return false
	}
	if n, most := len(c.inUse), c.s.cfg.ClientWindow; most > 0 && n >= most {
		c.violation("%d messages in flight; the client's own window is %d", n+1, most)
		return false
	}
	return true
}

// mayUse checks that no other message uses the packet identifier of a message
// ([MQTT-2.2.1-3], [MQTT-4.3.3-2]).
func (c *conn) mayUse(p *Packet) bool {
	if in := c.inUse[p.ID]; in != nil {
		c.violation("PUBLISH under the packet identifier %d, which on this connection is in use by %s [MQTT-2.2.1-3]", p.ID, in.p)
		return false
	}
	if c.subscribing[p.ID] {
		c.violation("PUBLISH under the packet identifier %d, which is in use by a SUBSCRIBE [MQTT-2.2.1-3]", p.ID)
		return false
	}
	if c.releasing[p.ID] {
		c.violation("PUBLISH under the packet identifier %d, whose PUBREL is unanswered [MQTT-2.2.1-3]", p.ID)
		return false
	}
	if held := c.sess.held[p.ID]; held != nil && !same(held.p, p) {
		c.violation("PUBLISH under the packet identifier %d, under which the session holds the unreleased %s: a server drops the new one as a duplicate [MQTT-4.3.3-2]", p.ID, held.p)
		return false
	}
	if in := c.sess.unacked[p.ID]; in != nil && !same(in.p, p) {
		c.violation("PUBLISH under the packet identifier %d, which is in use by the unacknowledged %s [MQTT-2.2.1-3]", p.ID, in.p)
		return false
	}
	return true
}

// mayComeNow checks DUP, the order of messages that come again, and that identifiers of
// an earlier process are released before QoS 2 messages.
func (c *conn) mayComeNow(p *Packet) bool {
	sess := c.sess
	if p.QoS == 2 && !c.mayBeExact() {
		return false
	}
	known := sess.known(p)
	if !p.Dup {
		if c.fresh == nil {
			c.fresh = p
		}
		if in := sess.unacked[p.ID]; in != nil && in == known {
			c.violation("PUBLISH without DUP of the unacknowledged message %s [MQTT-3.3.1-1]", in.p)
			return false
		}
		return true
	}
	switch {
	case !c.present:
		c.violation("PUBLISH with DUP in a new session [MQTT-3.3.1-1]")
		return false
	case c.fresh != nil && !sess.refused && !c.plan.LowQoS: // QoS 2 messages come anew at QoS 1
		c.violation("PUBLISH with DUP behind the new message %s [MQTT-4.6.0-1]", c.fresh)
		return false
	case known != nil && known.order < c.resent && !sess.refused:
		c.violation("PUBLISH with DUP behind a message that was sent after it [MQTT-4.6.0-1]")
		return false
	}
	if known != nil {
		c.resent = known.order
	}
	return true
}

// mayBeExact checks that a new process has released the identifiers that earlier ones may
// have used before it publishes QoS 2 messages. One may come before, by which the client
// sees whether the server has QoS 2 at all: there is nothing to release on one that has
// not.
func (c *conn) mayBeExact() bool {
	sess := c.sess
	if sess.newProcess && c.releases == 0 && !c.exactInFlight() {
		return true
	}
	if n := len(sess.stale); n > 0 {
		c.violation("PUBLISH with QoS 2 while the session holds %d identifiers of an earlier process, such as %d: they have to be released before", n, anyOf(sess.stale))
		return false
	}
	if n := len(c.releasing); sess.newProcess && n > 0 {
		c.violation("PUBLISH with QoS 2 while %d PUBRELs of unknown identifiers are unanswered", n)
		return false
	}
	c.exact, sess.newProcess, sess.releaseDue = true, false, false
	return true
}

func (c *conn) exactInFlight() bool {
	for _, in := range c.inUse {
		if in.p.QoS == 2 {
			return true
		}
	}
	return false
}

// known returns the message that p repeats, if the server has read it.
func (s *session) known(p *Packet) *inbound {
	if in := s.unacked[p.ID]; in != nil && same(in.p, p) {
		return in
	}
	if in := s.acked[p.ID]; in != nil && same(in.p, p) {
		return in
	}
	return nil
}

func anyOf(ids map[uint16]bool) (lowest uint16) {
	for id := range ids {
		if lowest == 0 || id < lowest {
			lowest = id
		}
	}
	return lowest
}

// refuseMessage answers a message with a reason code of 0x80 or more.
func (c *conn) refuseMessage(p *Packet, code byte) {
	c.sess.refused = true
	c.s.cfg.App.Refused(c.s, p)
	in := &inbound{p: p}
	c.inUse[p.ID], c.sess.unacked[p.ID] = in, in
	answer := byte(PUBACK)
	if p.QoS == 2 {
		answer = PUBREC
	}
	c.acknowledge(answer, p.ID, code)
}

// acknowledge sends the last acknowledgement of a message: its identifier is free when
// that is written.
func (c *conn) acknowledge(packetType byte, id uint16, code byte) {
	in := c.inUse[id]
	if !c.muted {
		delete(c.sess.unacked, id)
		if in != nil {
			c.sess.acked[id] = in
		}
	}
	name := (&Packet{Type: packetType, ID: id, Code: code}).String()
	c.send(name, encodeAck(c.version, packetType, id, code), func() {
		c.s.mu.Lock()
		delete(c.inUse, id)
		c.s.mu.Unlock()
	})
}

// release answers PUBREL.
func (c *conn) release(p *Packet) {
	sess := c.sess
	held := sess.held[p.ID]
	if held == nil {
		c.releaseUnknown(p)
		return
	}
	known := !sess.releaseDue && !sess.stale[p.ID]
	switch {
	case known && !held.recorded:
		c.violation("PUBREL %d before its PUBREC [MQTT-4.3.3-5]", p.ID)
		return
	case known && c.inUse[p.ID] != nil && held.recOrder < c.lastRelease:
		c.violation("PUBREL %d not in the order of the PUBRECs [MQTT-4.6.0-4]", p.ID)
		return
	}
	if known && c.inUse[p.ID] != nil {
		c.lastRelease = held.recOrder
	}
	stale := sess.stale[p.ID]
	delete(sess.held, p.ID)
	delete(sess.stale, p.ID)
	sess.released[p.ID] = true
	if c.s.cfg.DeliverOnRelease {
		c.s.cfg.App.Arrived(c.s, held.p)
	}
	c.pubcompFor(p.ID, 0, stale)
}

// releaseUnknown answers a PUBREL of an identifier that the session does not hold. A
// client that has lost its state, or has not read the PUBCOMP, may send it.
func (c *conn) releaseUnknown(p *Packet) {
	lost := c.sess.releaseDue && c.present && !c.exact
	if !lost && !c.sess.released[p.ID] {
		c.violation("PUBREL %d without a PUBREC [MQTT-4.3.3-5]", p.ID)
		return
	}
	code := byte(0)
	if c.version == V5 {
		code = 0x92
	}
	c.pubcompFor(p.ID, code, !c.sess.released[p.ID])
}

// pubcompFor sends PUBCOMP. stale says that the PUBREL is one that has to be answered
// before QoS 2 messages come.
func (c *conn) pubcompFor(id uint16, code byte, stale bool) {
	if !c.muted {
		delete(c.sess.unacked, id)
	}
	if stale {
		c.releases++
		c.releasing[id] = true
	}
	c.send(fmt.Sprintf("PUBCOMP %d", id), encodeAck(c.version, PUBCOMP, id, code), func() {
		c.s.mu.Lock()
		delete(c.inUse, id)
		delete(c.releasing, id)
		c.s.mu.Unlock()
	})
}

// remove takes a delivery out of a list. It reports whether it was the first of it, and
// returns nil if there is none with the identifier.
func remove(list *[]*delivery, id uint16) (d *delivery, first bool) {
	i := slices.IndexFunc(*list, func(d *delivery) bool { return d.id == id })
	if i < 0 {
		return nil, false
	}
	d = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return d, i == 0
}
