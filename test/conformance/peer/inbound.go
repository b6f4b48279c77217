// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"slices"
)

// publishLocked processes a message of the client.
func (c *conn) publishLocked(p *Packet) {
	if !c.resolveAliasLocked(p) || !c.withinLimitsLocked(p) {
		return
	}
	if p.QoS == 0 {
		c.s.cfg.App.Arrived(c.s, p)
		return
	}
	if !c.mayUseLocked(p) || !c.mayComeNowLocked(p) {
		return
	}
	held := c.sess.held[p.ID]
	if c.plan.RefuseMessage != nil && c.version == V5 && held == nil {
		if code := c.plan.RefuseMessage(p); code > 0 {
			c.refuseMessageLocked(p, code)
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
		c.acknowledgeLocked(PUBACK, p.ID, 0)
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
		c.pubrecs++
		held.pubrecSent, held.pubrecOrder = true, c.pubrecs
	}
	c.sendLocked(fmt.Sprintf("PUBREC %d", p.ID), encodeAck(c.version, PUBREC, p.ID, 0), nil)
}

// resolveAliasLocked sets the topic of a message that has only an alias.
func (c *conn) resolveAliasLocked(p *Packet) bool {
	switch {
	case p.Alias == 0:
		return true
	case p.Alias > c.plan.TopicAliasMaximum:
		c.violationLocked("the topic alias %d; the Topic Alias Maximum is %d [MQTT-3.1.2-26]", p.Alias, c.plan.TopicAliasMaximum)
		return false
	case p.Topic != "":
		c.aliases[p.Alias] = p.Topic
		return true
	}
	topic, ok := c.aliases[p.Alias]
	if !ok {
		c.violationLocked("the topic alias %d, which was not set on this connection [MQTT-3.3.2-7]", p.Alias)
		return false
	}
	p.Topic = topic
	return true
}

// withinLimitsLocked checks a message against the limits that the server has announced and against the
// client's own configuration.
func (c *conn) withinLimitsLocked(p *Packet) bool {
	l := &c.plan.Limits
	if c.version == V5 && l.LowQoS && p.QoS > l.MaximumQoS {
		c.violationLocked("PUBLISH with QoS %d; the Maximum QoS is %d [MQTT-3.2.2-11]", p.QoS, l.MaximumQoS)
		return false
	}
	if c.version == V5 && l.NoRetain && p.Retain {
		c.violationLocked("PUBLISH with RETAIN; the server does not support retained messages [MQTT-3.2.2-14]")
		return false
	}
	if p.QoS == 0 {
		return true
	}
	if n := len(c.inUse); c.version == V5 && l.ReceiveMaximum > 0 && n >= int(l.ReceiveMaximum) {
		c.violationLocked("%d messages in flight; the Receive Maximum is %d [MQTT-3.3.4-9]", n+1, l.ReceiveMaximum)
		return false
	}
	if n, most := len(c.inUse), c.s.cfg.ClientWindow; most > 0 && n >= most {
		c.violationLocked("%d messages in flight; the client's own window is %d", n+1, most)
		return false
	}
	return true
}

// mayUseLocked checks that no other message uses the packet identifier of a message ([MQTT-2.2.1-3],
// [MQTT-4.3.3-2]).
func (c *conn) mayUseLocked(p *Packet) bool {
	if in := c.inUse[p.ID]; in != nil {
		c.violationLocked("PUBLISH with the packet identifier %d, which on this connection is in use by %s [MQTT-2.2.1-3]", p.ID, in.p)
		return false
	}
	if c.subscribing[p.ID] {
		c.violationLocked("PUBLISH with the packet identifier %d, which is in use by a SUBSCRIBE [MQTT-2.2.1-3]", p.ID)
		return false
	}
	if c.releasing[p.ID] {
		c.violationLocked("PUBLISH with the packet identifier %d, whose PUBREL is unanswered [MQTT-2.2.1-3]", p.ID)
		return false
	}
	if held := c.sess.held[p.ID]; held != nil && !same(held.p, p) {
		c.violationLocked("PUBLISH with the packet identifier %d, with which the session holds the unreleased %s: a server drops the new message as a duplicate [MQTT-4.3.3-2]", p.ID, held.p)
		return false
	}
	if in := c.sess.unacked[p.ID]; in != nil && !same(in.p, p) {
		c.violationLocked("PUBLISH with the packet identifier %d, which is in use by the unacknowledged %s [MQTT-2.2.1-3]", p.ID, in.p)
		return false
	}
	return true
}

// mayComeNowLocked checks DUP, the order of messages that are sent again, and that the client releases
// the identifiers of an earlier process before it publishes QoS 2 messages.
func (c *conn) mayComeNowLocked(p *Packet) bool {
	sess := c.sess
	if p.QoS == 2 && !c.mayPublishQoS2Locked() {
		return false
	}
	known := sess.known(p)
	if !p.Dup {
		if c.firstNew == nil {
			c.firstNew = p
		}
		if in := sess.unacked[p.ID]; in != nil && in == known {
			c.violationLocked("PUBLISH without DUP of the unacknowledged message %s [MQTT-3.3.1-1]", in.p)
			return false
		}
		return true
	}
	switch {
	case !c.present:
		c.violationLocked("PUBLISH with DUP in a new session [MQTT-3.3.1-1]")
		return false
	case c.firstNew != nil && !sess.refused && !c.plan.LowQoS: // QoS 2 messages may be sent again at QoS 1
		c.violationLocked("PUBLISH with DUP after the new message %s [MQTT-4.6.0-1]", c.firstNew)
		return false
	case known != nil && known.order < c.resent && !sess.refused:
		c.violationLocked("PUBLISH with DUP after a message that was first sent later [MQTT-4.6.0-1]")
		return false
	}
	if known != nil {
		c.resent = known.order
	}
	return true
}

// mayPublishQoS2Locked checks that a new process has released the identifiers that earlier processes may
// have used before it publishes QoS 2 messages. A client that may have to release identifiers may publish
// one QoS 2 message earlier, until the server has answered it by PUBREC: the client uses it to detect
// whether the server supports QoS 2. A server that does not support QoS 2 holds nothing to release.
func (c *conn) mayPublishQoS2Locked() bool {
	sess := c.sess
	if (sess.newProcess || sess.releaseDue) && c.releases == 0 && c.pubrecs == 0 && !c.qos2InFlightLocked() {
		return true
	}
	if n := len(sess.stale); n > 0 {
		c.violationLocked("PUBLISH with QoS 2 while the session holds %d identifiers of an earlier process, such as %d: they must be released first", n, anyOf(sess.stale))
		return false
	}
	if n := len(c.releasing); sess.newProcess && !c.s.severalProcesses() && n > 0 {
		c.violationLocked("PUBLISH with QoS 2 while %d PUBRELs of unknown identifiers are unanswered", n)
		return false
	}
	c.sawQoS2, sess.newProcess, sess.releaseDue = true, false, false
	return true
}

func (c *conn) qos2InFlightLocked() bool {
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

// refuseMessageLocked answers a message with a reason code of 0x80 or more.
func (c *conn) refuseMessageLocked(p *Packet, code byte) {
	c.sess.refused = true
	c.s.cfg.App.Refused(c.s, p)
	in := &inbound{p: p}
	c.inUse[p.ID], c.sess.unacked[p.ID] = in, in
	answer := byte(PUBACK)
	if p.QoS == 2 {
		answer = PUBREC
	}
	c.acknowledgeLocked(answer, p.ID, code)
}

// acknowledgeLocked sends the final acknowledgement of a message. The identifier is free when the
// acknowledgement is written.
func (c *conn) acknowledgeLocked(packetType byte, id uint16, code byte) {
	in := c.inUse[id]
	if !c.muted {
		delete(c.sess.unacked, id)
		if in != nil {
			c.sess.acked[id] = in
		}
	}
	name := (&Packet{Type: packetType, ID: id, Code: code}).String()
	c.sendLocked(name, encodeAck(c.version, packetType, id, code), func() {
		c.s.mu.Lock()
		delete(c.inUse, id)
		c.s.mu.Unlock()
	})
}

// releaseLocked answers PUBREL.
func (c *conn) releaseLocked(p *Packet) {
	sess := c.sess
	held := sess.held[p.ID]
	if held == nil {
		c.releaseUnknownLocked(p)
		return
	}
	known := !sess.releaseDue && !sess.stale[p.ID]
	switch {
	case known && !held.pubrecSent:
		c.violationLocked("PUBREL %d before its PUBREC [MQTT-4.3.3-5]", p.ID)
		return
	case known && c.inUse[p.ID] != nil && held.pubrecOrder < c.lastRelease:
		c.violationLocked("PUBREL %d not in the order of the PUBRECs [MQTT-4.6.0-4]", p.ID)
		return
	}
	if known && c.inUse[p.ID] != nil {
		c.lastRelease = held.pubrecOrder
	}
	stale := sess.stale[p.ID]
	delete(sess.held, p.ID)
	delete(sess.stale, p.ID)
	sess.released[p.ID] = true
	if c.s.cfg.DeliverOnRelease {
		c.s.cfg.App.Arrived(c.s, held.p)
	}
	c.pubcompForLocked(p.ID, 0, stale)
}

// severalProcesses reports whether a process may know which packet identifiers an earlier one has used.
func (s *Server) severalProcesses() bool { return s.cfg.Processes != OneProcess }

// releaseUnknownLocked answers a PUBREL of an identifier that the session does not hold. A client that
// has lost its state, or that has not read the PUBCOMP, may send it.
func (c *conn) releaseUnknownLocked(p *Packet) {
	lost := c.present && (c.sess.releaseDue && !c.sawQoS2 || c.s.severalProcesses())
	if !lost && !c.sess.released[p.ID] {
		c.violationLocked("PUBREL %d without a PUBREC [MQTT-4.3.3-5]", p.ID)
		return
	}
	code := byte(0)
	if c.version == V5 {
		code = 0x92
	}
	c.pubcompForLocked(p.ID, code, !c.sess.released[p.ID])
}

// pubcompForLocked sends PUBCOMP. stale is set if the PUBREL must be answered before the client publishes
// QoS 2 messages.
func (c *conn) pubcompForLocked(id uint16, code byte, stale bool) {
	if !c.muted {
		delete(c.sess.unacked, id)
	}
	if stale {
		c.releases++
		c.releasing[id] = true
	}
	c.sendLocked(fmt.Sprintf("PUBCOMP %d", id), encodeAck(c.version, PUBCOMP, id, code), func() {
		c.s.mu.Lock()
		delete(c.inUse, id)
		delete(c.releasing, id)
		c.s.mu.Unlock()
	})
}

// remove removes a delivery from a list. It also reports whether the delivery was the first of the
// list. It returns nil if the list has no delivery with the identifier.
func remove(list *[]*delivery, id uint16) (d *delivery, first bool) {
	i := slices.IndexFunc(*list, func(d *delivery) bool { return d.id == id })
	if i < 0 {
		return nil, false
	}
	d = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return d, i == 0
}
