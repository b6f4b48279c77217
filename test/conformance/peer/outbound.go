// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"slices"
)

// pumpLocked sends messages within the client's window: first the messages that were in flight when the
// connection began, then the queued messages.
func (c *conn) pumpLocked() {
	if c.closed || c.muted || c.sess.conn != c {
		return
	}
	for len(c.resending) > 0 && c.roomLocked() && !c.closed {
		d := c.resending[0]
		c.resending = c.resending[1:]
		c.sendAgainLocked(d)
	}
	for len(c.resending) == 0 && len(c.sess.queue) > 0 && !c.closed {
		d := c.sess.queue[0]
		if d.qos > 0 && !c.roomLocked() {
			return
		}
		c.sess.queue = c.sess.queue[1:]
		c.deliverLocked(d)
	}
}

// roomLocked reports whether the client accepts another QoS 1 or 2 message.
func (c *conn) roomLocked() bool {
	limit := int(c.connect.ReceiveMaximum)
	if c.plan.Window > 0 {
		limit = min(limit, c.plan.Window)
	}
	return c.inFlight < limit
}

// deliverLocked sends a message for the first time.
func (c *conn) deliverLocked(d *delivery) {
	if d.qos > 0 {
		d.id = c.sess.freeID(c.s.cfg.LowestID)
	}
	p := &Packet{Type: PUBLISH, ID: d.id, QoS: d.qos, Retain: d.retain, Topic: d.m.Topic, Payload: d.m.Payload}
	data := encodePublish(c.version, p, d.ids)
	if limit := c.connect.MaximumPacket; limit > 0 && len(data) > int(limit) { // [MQTT-3.1.2-25]
		c.s.cfg.App.SessionDropped(c.s, d.m)
		return
	}
	c.s.cfg.App.Sent(c.s, d.m)
	if d.qos > 0 {
		c.sess.flight = append(c.sess.flight, d)
	}
	c.writeLocked(d, p, data)
}

// sendAgainLocked sends a message that is in flight in a resumed session [MQTT-4.4.0-1].
func (c *conn) sendAgainLocked(d *delivery) {
	if d.released {
		c.inFlight++
		c.awaitingPubcomp = append(c.awaitingPubcomp, d)
		c.sendLocked(fmt.Sprintf("PUBREL %d", d.id), encodeAck(c.version, PUBREL, d.id, 0), nil)
		return
	}
	p := &Packet{Type: PUBLISH, ID: d.id, QoS: d.qos, Dup: true, Retain: d.retain, Topic: d.m.Topic, Payload: d.m.Payload}
	c.writeLocked(d, p, encodePublish(c.version, p, d.ids))
}

func (c *conn) writeLocked(d *delivery, p *Packet, data []byte) {
	p.Size = len(data)
	if d.qos > 0 {
		c.inFlight++
	}
	switch d.qos {
	case 1:
		c.awaitingPuback = append(c.awaitingPuback, d)
	case 2:
		c.awaitingPubrec = append(c.awaitingPubrec, d)
	}
	c.sendPacketLocked(p, p.String(), data, nil)
}

// pubackLocked processes the acknowledgement of a QoS 1 message.
func (c *conn) pubackLocked(p *Packet) {
	if d := c.takeUnackedLocked(p, &c.awaitingPuback, "MQTT-4.6.0-2"); d != nil {
		c.completeLocked(d)
	}
}

// pubrecLocked processes the first acknowledgement of a QoS 2 message.
func (c *conn) pubrecLocked(p *Packet) {
	d := c.takeUnackedLocked(p, &c.awaitingPubrec, "MQTT-4.6.0-3")
	if d == nil {
		return
	}
	d.released = true
	c.awaitingPubcomp = append(c.awaitingPubcomp, d)
	c.sendLocked(fmt.Sprintf("PUBREL %d", p.ID), encodeAck(c.version, PUBREL, p.ID, 0), nil)
}

// takeUnackedLocked removes the message that a PUBACK or PUBREC acknowledges from the sent messages. It
// returns nil after a violation. order is the statement that requires acknowledgements in the order
// of the messages.
func (c *conn) takeUnackedLocked(p *Packet, sent *[]*delivery, order string) *delivery {
	d, first := remove(sent, p.ID)
	switch {
	case d == nil:
		c.violationLocked("%s %d, but no message of this connection has this identifier", names[p.Type], p.ID)
		return nil
	case !first && !c.s.cfg.AnyAckOrder:
		c.violationLocked("%s %d before the acknowledgement of message %d, which was sent earlier [%s]", names[p.Type], p.ID, (*sent)[0].id, order)
		return nil
	case p.Code >= 0x80:
		c.violationLocked("%s refuses a message with 0x%02x", names[p.Type], p.Code)
		return nil
	}
	c.s.cfg.App.Acknowledged(c.s, d.m)
	return d
}

// pubcompLocked processes the final acknowledgement of a QoS 2 message.
func (c *conn) pubcompLocked(p *Packet) {
	d, _ := remove(&c.awaitingPubcomp, p.ID)
	if d == nil {
		c.violationLocked("PUBCOMP %d, but no PUBREL of this connection has this identifier", p.ID)
		return
	}
	c.completeLocked(d)
}

// completeLocked ends a delivery.
func (c *conn) completeLocked(d *delivery) {
	c.inFlight--
	if i := slices.Index(c.sess.flight, d); i >= 0 {
		c.sess.flight = slices.Delete(c.sess.flight, i, i+1)
	}
}
