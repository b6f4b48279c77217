// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// echoMark is appended to the payload of a message each time that an explainBroker sends it back to its
// publisher.
const echoMark = "~"

// explainPayload is the beginning of the payload of the messages of clients.
const explainPayload = "message on "

// explainBroker is a server with one client, a bridge. It sends messages by the subscriptions of the
// bridge, as the specifications of MQTT require, and matches topics by an implementation of its own. It
// keeps the messages that the bridge publishes.
type explainBroker struct {
	t        testing.TB
	version  byte
	listener *script.Server
	// perSubscription makes the broker of MQTT 5 send a message once for each subscription
	// (MQTT 5 section 3.3.4).
	perSubscription bool
	// withoutIDs makes the broker of MQTT 5 announce that it does not support subscription identifiers.
	withoutIDs bool
	// maxEchoes is the number of times that each message is sent back to its publisher in
	// violation of No Local and the bridge flag. 0 means that the broker respects them.
	maxEchoes int
	// stored are the retained messages of the broker.
	stored []script.Packet
	// budget is the number of messages that are still sent back if maxEchoes is not 0.
	budget int

	mu sync.Mutex
	// conn is nil before the bridge has connected.
	conn *script.Conn
	// bridge is true if the bridge has set the bridge flag of MQTT 3.1.1.
	bridge bool
	subs   []explainSubscription
	lastID uint16
	// maximumPacket is the size in bytes of the largest packet that the bridge of MQTT 5 accepts.
	maximumPacket int
	// unacked has the message in flight to the bridge by packet identifier.
	unacked map[uint16]chan struct{}
	// published are the messages of the bridge, in order.
	published []script.Packet
	// sentBack has the topics and payloads that were sent back if maxEchoes is not 0.
	sentBack map[string]bool
}

type explainSubscription struct {
	v5.SubOptions
	id int
}

func startExplainBroker(t testing.TB, version byte) *explainBroker {
	b := &explainBroker{t: t, version: version, listener: script.Listen(t, version), unacked: map[uint16]chan struct{}{}, sentBack: map[string]bool{}}
	go func() {
		for {
			c, err := b.listener.TryAccept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	return b
}

// serve handles a connection until it ends.
func (b *explainBroker) serve(c *script.Conn) {
	for {
		p, err := c.TryNext()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.handleLocked(c, p)
		b.mu.Unlock()
	}
}

func (b *explainBroker) handleLocked(c *script.Conn, p script.Packet) {
	switch p.Type {
	case v5.CONNECT:
		const bridgeBit = 0x80
		b.conn, b.bridge, b.subs = c, p.Connect.ProtocolVersion&bridgeBit != 0, nil
		if p.Properties != nil && p.Properties.MaximumPacketSize != nil {
			b.maximumPacket = int(*p.Properties.MaximumPacketSize)
		}
		var properties *v5.Properties
		if b.withoutIDs {
			properties = &v5.Properties{SubIDAvailable: new(byte)}
		}
		b.sendLocked(script.Connack(false, properties))
	case v5.SUBSCRIBE:
		id := 0
		if p.Properties != nil && p.Properties.SubscriptionIdentifier != nil {
			id = *p.Properties.SubscriptionIdentifier
		}
		granted := script.Packet{Type: v5.SUBACK, ID: p.ID}
		for _, s := range p.Subscriptions {
			b.subs = append(b.subs, explainSubscription{s, id})
			granted.Codes = append(granted.Codes, s.QoS)
		}
		b.sendLocked(granted)
		for _, s := range b.subs[len(b.subs)-len(p.Subscriptions):] {
			b.sendStoredLocked(s)
		}
	case v5.PINGREQ:
		b.sendLocked(script.Packet{Type: v5.PINGRESP})
	case v5.PUBLISH:
		b.published = append(b.published, p)
		switch p.QoS {
		case 1:
			b.sendLocked(script.Ack(v5.PUBACK, p.ID, 0))
		case 2:
			b.sendLocked(script.Ack(v5.PUBREC, p.ID, 0))
		}
		b.sendBackLocked(p)
	case v5.PUBREL:
		b.sendLocked(script.Ack(v5.PUBCOMP, p.ID, 0))
	case v5.PUBREC:
		b.sendLocked(script.Ack(v5.PUBREL, p.ID, 0))
	case v5.PUBACK, v5.PUBCOMP:
		if done := b.unacked[p.ID]; done != nil {
			close(done)
			delete(b.unacked, p.ID)
		}
	}
}

// sendStoredLocked sends the retained messages for a new subscription.
func (b *explainBroker) sendStoredLocked(s explainSubscription) {
	const doNotSend = 2 // MQTT 5 section 3.8.3.1
	for _, p := range b.stored {
		if s.RetainHandling == doNotSend || !explainMatches(s.Topic, p.Topic) {
			continue
		}
		d := explainDelivery{Packet: p}
		d.Retain, d.QoS = true, min(p.QoS, s.QoS)
		if s.id > 0 {
			d.ids = []int{s.id}
		}
		b.deliverLocked(d)
	}
}

// sendsBack reports whether the broker sends the messages of the bridge back to it.
func (b *explainBroker) sendsBack() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.bridge && b.version != 5
}

// sendBackLocked sends a message of the bridge to the bridge, except notifications.
func (b *explainBroker) sendBackLocked(p script.Packet) {
	if !strings.HasPrefix(p.Payload, explainPayload) {
		return
	}
	p.Payload += echoMark
	if b.maxEchoes == 0 {
		b.routeLocked(p, true)
		return
	}
	key := fmt.Sprintf("%q %q %d %t %v", p.Topic, p.Payload, p.QoS, p.Retain, userPropertiesOf(p))
	if strings.Count(p.Payload, echoMark) > b.maxEchoes || b.sentBack[key] || b.budget == 0 {
		return
	}
	b.sentBack[key] = true
	b.budget--
	b.routeLocked(p, false)
}

// routeLocked sends a message to the bridge by its subscriptions. own is true for a message of the bridge
// itself. It returns the channels that are closed when the bridge has acknowledged the copies.
func (b *explainBroker) routeLocked(p script.Packet, own bool) (acknowledged []chan struct{}) {
	if own && b.bridge {
		return nil
	}
	var matching []explainSubscription
	for _, s := range b.subs {
		if (!own || !s.NoLocal) && explainMatches(s.Topic, p.Topic) {
			matching = append(matching, s)
		}
	}
	if len(matching) == 0 {
		return nil
	}
	copies := [][]explainSubscription{matching}
	if b.perSubscription {
		copies = nil
		for _, s := range matching {
			copies = append(copies, []explainSubscription{s})
		}
	}
	for _, subs := range copies {
		out := explainDelivery{Packet: script.Packet{Type: v5.PUBLISH, Topic: p.Topic, Payload: p.Payload, Properties: p.Properties, Retain: p.Retain && b.bridge}}
		granted := byte(0)
		for _, s := range subs {
			granted = max(granted, s.QoS)
			out.Retain = out.Retain || p.Retain && s.RetainAsPublished
			if s.id > 0 {
				out.ids = append(out.ids, s.id)
			}
		}
		out.QoS = min(p.QoS, granted)
		if done := b.deliverLocked(out); done != nil {
			acknowledged = append(acknowledged, done)
		}
	}
	return acknowledged
}

// explainDelivery is a message to the bridge, with its subscription identifiers.
type explainDelivery struct {
	script.Packet
	ids []int
}

// deliverLocked sends a message to the bridge, under the next packet identifier. It returns a channel
// that is closed when the bridge has acknowledged it, nil for QoS 0.
func (b *explainBroker) deliverLocked(d explainDelivery) chan struct{} {
	if b.maximumPacket > 0 && len(d.encode5()) > b.maximumPacket { // [MQTT-3.1.2-24]
		return nil
	}
	var done chan struct{}
	if d.QoS > 0 {
		b.lastID++
		d.ID, done = b.lastID, make(chan struct{})
		b.unacked[d.ID] = done
	}
	if b.version == 5 {
		_, _ = b.conn.Write(d.encode5()) // the connection may have ended
	} else {
		b.sendLocked(d.Packet)
	}
	return done
}

// encode5 returns the PUBLISH of MQTT 5. The codec of paho encodes only one subscription identifier.
func (d *explainDelivery) encode5() []byte {
	text := func(b []byte, s string) []byte { return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) }
	var properties []byte
	for _, id := range d.ids {
		properties = binary.AppendUvarint(append(properties, v5.PropSubscriptionIdentifier), uint64(id))
	}
	if d.Properties != nil {
		for _, u := range d.Properties.User {
			properties = text(text(append(properties, v5.PropUser), u.Key), u.Value)
		}
	}
	body := text(nil, d.Topic)
	if d.QoS > 0 {
		body = binary.BigEndian.AppendUint16(body, d.ID)
	}
	body = append(binary.AppendUvarint(body, uint64(len(properties))), properties...) // MQTT encodes lengths in the same way
	body = append(body, d.Payload...)
	first := byte(v5.PUBLISH)<<4 | d.QoS<<1
	if d.Retain {
		first |= 1
	}
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func (b *explainBroker) sendLocked(p script.Packet) {
	_, _ = b.conn.Write([]byte(b.conn.Encode(p))) // the connection may have ended
}

// publish publishes a message as another client of the broker.
func (b *explainBroker) publish(topic, payload string, qos byte, retain bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.routeLocked(script.Packet{Topic: topic, Payload: payload, QoS: qos, Retain: retain}, false)
}

// sync waits until the bridge has handled the messages that the broker has sent, and the broker the messages that the
// bridge has sent before: the bridge acknowledges a message after the messages that arrived before it.
// No rule forwards the message that sync sends.
func (b *explainBroker) sync() {
	b.mu.Lock()
	done := b.deliverLocked(explainDelivery{Packet: script.Publish(0, 1, "$explain-sync", "")})
	b.mu.Unlock()
	<-done
}

// setBudget sets the number of messages that are sent back.
func (b *explainBroker) setBudget(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.budget = n
}

// budgetSpent reports whether the broker may have left out messages to send back.
func (b *explainBroker) budgetSpent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.budget == 0
}

// count returns the number of messages of the bridge since the last call of take.
func (b *explainBroker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.published)
}

// take returns the messages of the bridge, and forgets them.
func (b *explainBroker) take() []script.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.published
	b.published = nil
	return out
}

// explainMatches reports whether a filter matches a topic (MQTT 5 section 4.7).
func explainMatches(filter, topic string) bool {
	filter = strings.TrimPrefix(filter, "$exclusive/")
	if strings.HasPrefix(topic, "$") && strings.ContainsAny(filter[:1], "+#") {
		return false
	}
	levels := strings.Split(filter, "/")
	pattern := ""
	for i, level := range levels {
		if i > 0 && level != "#" {
			pattern += "/"
		}
		switch {
		case level == "#" && i == 0:
			pattern += ".*"
		case level == "#":
			pattern += "(/.*)?"
		case level == "+":
			pattern += "[^/]*"
		default:
			pattern += regexp.QuoteMeta(level)
		}
	}
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(topic)
}

// String describes the messages of the bridge for the message of a failed test.
func (b *explainBroker) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("subscriptions %+v, published %.2000v", b.subs, b.published)
}
