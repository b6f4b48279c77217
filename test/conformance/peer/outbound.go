// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"slices"
)

// pump sends what the client has room for: first what was in flight when the connection
// began, then what waits.
func (c *conn) pump() {
	if c.closed || c.muted || c.sess.conn != c {
		return
	}
	for len(c.resending) > 0 && c.room() && !c.closed {
		d := c.resending[0]
		c.resending = c.resending[1:]
		c.sendAgain(d)
	}
	for len(c.resending) == 0 && len(c.sess.queue) > 0 && !c.closed {
		d := c.sess.queue[0]
		if d.qos > 0 && !c.room() {
			return
		}
		c.sess.queue = c.sess.queue[1:]
		c.deliver(d)
	}
}

// room reports whether the client accepts another QoS 1 or 2 message.
func (c *conn) room() bool {
	most := int(c.connect.ReceiveMaximum)
	if c.plan.Window > 0 {
		most = min(most, c.plan.Window)
	}
	return c.outbound < most
}

// deliver sends a message for the first time.
func (c *conn) deliver(d *delivery) {
	if d.qos > 0 {
		d.id = c.sess.freeID(c.s.cfg.LowestID)
	}
	p := &Packet{Type: PUBLISH, ID: d.id, QoS: d.qos, Retain: d.retain, Topic: d.m.Topic, Payload: d.m.Payload}
	data := encodePublish(c.version, p, d.ids)
	if most := c.connect.MaximumPacket; most > 0 && len(data) > int(most) { // [MQTT-3.1.2-25]
		c.s.cfg.App.Forgotten(c.s, d.m)
		return
	}
	c.s.cfg.App.Sent(c.s, d.m)
	if d.qos > 0 {
		c.sess.flight = append(c.sess.flight, d)
	}
	c.write(d, p, data)
}

// sendAgain sends what is in flight in a resumed session [MQTT-4.4.0-1].
func (c *conn) sendAgain(d *delivery) {
	if d.released {
		c.outbound++
		c.completed = append(c.completed, d)
		c.send(fmt.Sprintf("PUBREL %d", d.id), encodeAck(c.version, PUBREL, d.id, 0), nil)
		return
	}
	p := &Packet{Type: PUBLISH, ID: d.id, QoS: d.qos, Dup: true, Retain: d.retain, Topic: d.m.Topic, Payload: d.m.Payload}
	c.write(d, p, encodePublish(c.version, p, d.ids))
}

func (c *conn) write(d *delivery, p *Packet, data []byte) {
	p.Size = len(data)
	if d.qos > 0 {
		c.outbound++
	}
	switch d.qos {
	case 1:
		c.published = append(c.published, d)
	case 2:
		c.exactly = append(c.exactly, d)
	}
	c.sendPacket(p, p.String(), data, nil)
}

// puback takes the acknowledgement of a QoS 1 message.
func (c *conn) puback(p *Packet) {
	if d := c.taken(p, &c.published, "MQTT-4.6.0-2"); d != nil {
		c.landed(d)
	}
}

// pubrec takes the first acknowledgement of a QoS 2 message.
func (c *conn) pubrec(p *Packet) {
	d := c.taken(p, &c.exactly, "MQTT-4.6.0-3")
	if d == nil {
		return
	}
	d.released = true
	c.completed = append(c.completed, d)
	c.send(fmt.Sprintf("PUBREL %d", p.ID), encodeAck(c.version, PUBREL, p.ID, 0), nil)
}

// taken removes the message that a PUBACK or PUBREC is for from the sent ones. It returns
// nil after a violation. order is the statement that demands acknowledgements in the order
// of the messages.
func (c *conn) taken(p *Packet, sent *[]*delivery, order string) *delivery {
	d, first := remove(sent, p.ID)
	switch {
	case d == nil:
		c.violation("%s %d for no message of this connection", names[p.Type], p.ID)
		return nil
	case !first && !c.s.cfg.AnyAckOrder:
		c.violation("%s %d before that of message %d, which was sent before it [%s]", names[p.Type], p.ID, (*sent)[0].id, order)
		return nil
	case p.Code >= 0x80:
		c.violation("%s refuses a message by 0x%02x", names[p.Type], p.Code)
		return nil
	}
	c.s.cfg.App.Taken(c.s, d.m)
	return d
}

// pubcomp takes the last acknowledgement of a QoS 2 message.
func (c *conn) pubcomp(p *Packet) {
	d, _ := remove(&c.completed, p.ID)
	if d == nil {
		c.violation("PUBCOMP %d for no PUBREL of this connection", p.ID)
		return
	}
	c.landed(d)
}

// landed ends a delivery.
func (c *conn) landed(d *delivery) {
	c.outbound--
	if i := slices.Index(c.sess.flight, d); i >= 0 {
		c.sess.flight = slices.Delete(c.sess.flight, i, i+1)
	}
}
