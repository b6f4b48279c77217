// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const dup = 8

func join(packets ...[]byte) []byte { return slices.Concat(packets...) }

// Each input violates one rule, and the server reports it.
func TestPeer_BrokenRule_IsReported(t *testing.T) {
	t.Parallel()
	c3, c5 := connect(V311, true), connect(V5, true)
	alias := func(n byte) []byte {
		return frame(PUBLISH<<4, append([]byte("\x00\x00\x03"), propTopicAlias, 0, n))
	}
	for _, tc := range []struct {
		name   string
		plan   Plan
		input  []byte
		expect string
	}{
		{"no CONNECT", Plan{}, publish(V311, 0, 0, 0, ""), "not CONNECT"},
		{"two CONNECTs", Plan{}, join(c3, c3), "second CONNECT"},
		{"reserved flags", Plan{}, join(c3, []byte{PINGREQ<<4 | 1, 0}), "flags 0001"},
		{"flags of PUBREL", Plan{}, join(c3, []byte{PUBREL << 4, 2, 0, 1}), "flags 0000"},
		{"a long remaining length", Plan{}, join(c3, []byte{PINGREQ << 4, 128, 0}), "shortest"},
		{"a packet that is too short", Plan{}, join(c3, []byte{PUBACK << 4, 1, 0}), "too short"},
		{"a packet that is too long", Plan{}, join(c3, []byte{PUBACK << 4, 3, 0, 1, 0}), "after its end"},
		{"QoS 3", Plan{}, join(c3, []byte{PUBLISH<<4 | 6, 5, 0, 1, 't', 0, 1}), "QoS 3"},
		{"DUP at QoS 0", Plan{}, join(c3, publish(V311, 0, dup, 0, "")), "DUP at QoS 0"},
		{"a topic with a wildcard", Plan{}, join(c3, frame(PUBLISH<<4, []byte("\x00\x02t+"))), "wildcards"},
		{"a topic that is not UTF-8", Plan{}, join(c3, frame(PUBLISH<<4, []byte("\x00\x01\xff"))), "UTF-8"},
		{"a topic with U+0000", Plan{}, join(c3, frame(PUBLISH<<4, []byte("\x00\x01\x00"))), "U+0000"},
		{"identifier 0", Plan{}, join(c3, publish(V311, 1, 0, 0, "")), "identifier 0"},
		{"an identifier in use", Plan{}, join(c3, publish(V311, 2, 0, 1, "a"), publish(V311, 2, 0, 1, "b")), "in use by PUBLISH 1"},
		{"an identifier in use by the same message", Plan{}, join(c3, publish(V311, 2, 0, 1, "a"), publish(V311, 2, dup, 1, "a")), "in use by PUBLISH 1"},
		{"DUP in a new session", Plan{}, join(c3, publish(V311, 1, dup, 1, "a")), "DUP in a new session"},
		{"PUBREL without PUBREC", Plan{}, join(c3, ack(PUBREL, 1)), "without a PUBREC"},
		{"PUBREL twice", Plan{}, join(c3, publish(V311, 2, 0, 2, ""), publish(V311, 2, 0, 1, ""), ack(PUBREL, 1), ack(PUBREL, 2)), "order of the PUBRECs"},
		{"PUBACK for nothing", Plan{}, join(c3, ack(PUBACK, 1)), "no message"},
		{"PUBREC for nothing", Plan{}, join(c3, ack(PUBREC, 1)), "no message"},
		{"PUBCOMP for nothing", Plan{}, join(c3, ack(PUBCOMP, 1)), "no PUBREL"},
		{"a packet after DISCONNECT", Plan{}, join(c3, []byte{DISCONNECT << 4, 0, PINGREQ << 4, 0}), "after DISCONNECT"},
		{"SUBSCRIBE with an identifier in use", Plan{}, join(c3, publish(V311, 2, 0, 99, ""), subscribe(V311)), "in use"},
		{"SUBSCRIBE with a filter x#", Plan{}, join(c3, frame(SUBSCRIBE<<4|2, []byte("\x00\x01\x00\x02x#\x00"))), "topic filter"},
		{"a packet of servers", Plan{}, join(c3, []byte{PINGRESP << 4, 0}), "a client must not send"},
		{"the receive maximum", Plan{Limits: Limits{ReceiveMaximum: 1}}, join(c5, publish(V5, 2, 0, 1, ""), publish(V5, 2, 0, 2, "")), "Receive Maximum is 1"},
		{"the maximum packet size", Plan{Limits: Limits{MaximumPacketSize: 20}}, join(c5, publish(V5, 0, 0, 0, strings.Repeat("x", 20))), "Maximum Packet Size is 20"},
		{"the maximum QoS", Plan{Limits: Limits{LowQoS: true, MaximumQoS: 1}}, join(c5, publish(V5, 2, 0, 1, "")), "Maximum QoS is 1"},
		{"RETAIN", Plan{Limits: Limits{NoRetain: true}}, join(c5, publish(V5, 0, 1, 0, "")), "RETAIN"},
		{"an alias above the maximum", Plan{Limits: Limits{TopicAliasMaximum: 1}}, join(c5, alias(2)), "Topic Alias Maximum is 1"},
		{"an alias that is not known", Plan{Limits: Limits{TopicAliasMaximum: 1}}, join(c5, alias(1)), "not set"},
		{"a property twice", Plan{}, join(c5, frame(PUBLISH<<4, append([]byte("\x00\x01t\x04"), propPayloadFormat, 0, propPayloadFormat, 0))), "twice"},
		{"a property of another packet", Plan{}, join(c5, frame(PUBLISH<<4, append([]byte("\x00\x01t\x03"), propReceiveMaximum, 0, 1))), "property 0x21"},
		{"a payload format of 2", Plan{}, join(c5, frame(PUBLISH<<4, append([]byte("\x00\x01t\x02"), propPayloadFormat, 2))), "value 2"},
		{"a reason code of servers", Plan{}, join(c5, []byte{DISCONNECT << 4, 1, 0x8B}), "0x8b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, r := start(t, tc.plan, nil)
			dial(t, s, V311).send(tc.input)
			r.want(t, tc.expect)
		})
	}
}

// A QoS 2 message reaches the application once, at PUBLISH or at PUBREL, however often it is
// repeated.
func TestPeer_RepeatedQoS2Message_ArrivesOnce(t *testing.T) {
	t.Parallel()
	for _, onRelease := range []bool{false, true} {
		t.Run(fmt.Sprintf("deliver on release %t", onRelease), func(t *testing.T) {
			s, r := start(t, Plan{}, func(c *Config) { c.DeliverOnRelease = onRelease })
			c := dial(t, s, V311)
			c.send(connect(V311, false), publish(V311, 2, 0, 7, "m"))
			c.want("CONNACK present=false", "PUBREC 7")
			if got := len(r.all()); got != map[bool]int{false: 1, true: 0}[onRelease] {
				t.Errorf("%d messages have arrived before PUBREL", got)
			}
			s.CutAll(true)
			for range 2 {
				c = dial(t, s, V311)
				c.send(connect(V311, false), publish(V311, 2, dup, 7, "m"))
				c.want("CONNACK present=true", "PUBREC 7")
			}
			c.send(ack(PUBREL, 7))
			c.want("PUBCOMP 7")
			c = dial(t, s, V311)
			c.send(connect(V311, false), ack(PUBREL, 7)) // the PUBCOMP may have been lost
			c.want("CONNACK present=true", "PUBCOMP 7")
			if got := r.all(); !slices.Equal(got, []string{"arrived m"}) {
				t.Errorf("%v", got)
			}
			r.none(t)
		})
	}
}

// A client that has used another server since does not know whether the server has read its
// messages. It may release their identifiers, also after a QoS 2 message that shows whether the
// server supports QoS 2.
func TestPeer_ClientHasUsedAnotherServer_MayReleaseUnknownIdentifiers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before []byte // between the trial and the PUBREL of the unknown identifier
		expect string // the violation
	}{
		"after a trial":           {nil, ""},
		"after a further message": {publish(V311, 2, 0, 8, "n"), "without a PUBREC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := start(t, Plan{}, nil)
			c := dial(t, s, V311)
			c.send(connect(V311, false), publish(V311, 1, 0, 9, "l"))
			c.want("CONNACK present=false", "PUBACK 9")
			s.CutAll(true)
			s.usedOther.Store("c", true)
			c = dial(t, s, V311)
			c.send(connect(V311, false), publish(V311, 2, 0, 7, "m"))
			c.want("CONNACK present=true", "PUBREC 7")
			c.send(tc.before, ack(PUBREL, 7), ack(PUBREL, 3))
			if tc.expect != "" {
				r.want(t, tc.expect)
				return
			}
			c.want("PUBCOMP 7", "PUBCOMP 3")
			r.none(t)
		})
	}
}

// want waits for a violation whose text contains part.
func (r *recorder) want(t *testing.T, part string) {
	t.Helper()
	select {
	case text := <-r.violations:
		if !strings.Contains(text, part) {
			t.Errorf("%s, want %s", text, part)
		}
	case <-time.After(patience):
		t.Errorf("no violation is reported, want %s", part)
	}
}

func (r *recorder) none(t *testing.T) {
	t.Helper()
	select {
	case v := <-r.violations:
		t.Error(v)
	default:
	}
}

// A resumed session sends unacknowledged messages again, in order, with DUP or as PUBREL, and
// before new messages.
func TestPeer_ResumedSession_SendsAgainInOrder(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{V311, V5} {
		s, r := start(t, Plan{Limits: Limits{Window: 3}}, nil)
		c := dial(t, s, version)
		c.send(connect(version, false), subscribe(version))
		c.next()
		c.want("SUBACK 99")
		for i, qos := range []byte{1, 2, 2, 1} {
			s.Publish(&Message{Topic: "d", Payload: fmt.Sprintf("m%d", i), QoS: qos})
		}
		c.want("PUBLISH 1 qos1 dup=false m0", "PUBLISH 2 qos2 dup=false m1", "PUBLISH 3 qos2 dup=false m2")
		c.send(ack(PUBREC, 2))
		c.want("PUBREL 2")
		s.CutAll(true)
		c = dial(t, s, version)
		c.send(connect(version, false))
		c.next()
		c.want("PUBLISH 1 qos1 dup=true m0", "PUBREL 2", "PUBLISH 3 qos2 dup=true m2")
		c.send(ack(PUBACK, 1))
		c.want("PUBLISH 4 qos1 dup=false m3")
		c.send(ack(PUBREC, 3), ack(PUBACK, 4), ack(PUBCOMP, 2), ack(PUBCOMP, 3))
		c.want("PUBREL 3")
		if got := r.all(); !slices.Equal(got[:2], []string{"taken m1", "taken m0"}) {
			t.Errorf("%v", got)
		}
		r.none(t)
	}
}

// A client must send PUBACKs in the order of the messages.
func TestPeer_AcknowledgementsOutOfOrder_AreReported(t *testing.T) {
	t.Parallel()
	s, r := start(t, Plan{}, nil)
	c := dial(t, s, V311)
	c.send(connect(V311, false), subscribe(V311))
	c.want("CONNACK present=false", "SUBACK 99")
	s.Publish(&Message{Topic: "d", Payload: "a", QoS: 1})
	s.Publish(&Message{Topic: "d", Payload: "b", QoS: 1})
	c.want("PUBLISH 1 qos1 dup=false a", "PUBLISH 2 qos1 dup=false b")
	c.send(ack(PUBACK, 2))
	r.want(t, "MQTT-4.6.0-2")
}

// A process that has lost its state may release identifiers that it does not know, and must do so
// before it publishes.
func TestPeer_NewProcess_ReleasesBeforeItPublishes(t *testing.T) {
	t.Parallel()
	s, r := start(t, Plan{}, nil)
	s.Preload("c", Packet{ID: 5, Topic: "t", Payload: "earlier"})
	c := dial(t, s, V311)
	c.send(connect(V311, false), ack(PUBREL, 4), ack(PUBREL, 5))
	c.want("CONNACK present=true", "PUBCOMP 4", "PUBCOMP 5")
	c.send(publish(V311, 2, 0, 5, "m"))
	c.want("PUBREC 5")
	r.none(t)
	s.Preload("c", Packet{ID: 5, Topic: "t", Payload: "earlier"})
	c = dial(t, s, V311)
	c.send(connect(V311, false), publish(V311, 2, 0, 6, "m")) // tests whether the server supports QoS 2
	c.want("CONNACK present=true", "PUBREC 6")
	r.none(t)
	c.send(publish(V311, 2, 0, 7, "m"))
	r.want(t, "earlier process")
}

// Each kind of cut loses the packet, the answer, or neither.
func TestPeer_Cut_HappensAtItsInstant(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cut     Cut
		arrives bool
		answer  string
	}{
		{Cut{When: BeforeReading}, false, "EOF"},
		{Cut{When: BeforeAnswer}, true, "EOF"},
		{Cut{When: AfterAnswer}, true, "PUBACK 1"},
		{Cut{When: InPacket, Bytes: 3}, true, "unexpected EOF"},
	} {
		t.Run(tc.cut.String(), func(t *testing.T) {
			t.Parallel()
			s, r := start(t, Plan{Cut: func(p *Packet, fromClient bool) *Cut {
				if p.Type == PUBLISH && fromClient != (tc.cut.When == InPacket) || p.Type == PUBACK {
					return &tc.cut
				}
				return nil
			}}, nil)
			c := dial(t, s, V311)
			c.send(connect(V311, false), publish(V311, 1, 0, 1, "m"))
			c.want("CONNACK present=false")
			if got := c.next(); got != tc.answer {
				t.Errorf("the answer is %s, want %s", got, tc.answer)
			}
			if got := len(r.all()) == 1; got != tc.arrives {
				t.Errorf("the message has arrived: %t", got)
			}
			if s.Cuts() != 1 {
				t.Errorf("%d cuts", s.Cuts())
			}
		})
	}
}
