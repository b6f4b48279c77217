// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// rounds is the number of random cases of a test. The cases are the same in each run.
const rounds = 500

// source generates random fields.
type source struct{ *rand.Rand }

// random calls f for each case, with a different source.
func random(t *testing.T, f func(t *testing.T, s source)) {
	t.Helper()
	for i := range uint64(rounds) {
		f(t, source{rand.New(rand.NewPCG(1, i))})
		if t.Failed() {
			t.Fatalf("in case %d", i)
		}
	}
}

func (s source) bool() bool { return s.IntN(2) == 0 }

// length returns a length in bytes. It is mostly short, and sometimes near a length whose
// encoding has one more byte.
func (s source) length() int {
	switch s.IntN(40) {
	case 0:
		return 100 + s.IntN(60)
	case 1:
		return 16200 + s.IntN(300)
	case 2:
		return 65535
	}
	return s.IntN(12)
}

// text returns UTF-8 text that is short enough to be encoded.
func (s source) text() string {
	// Characters of one to four bytes, including those next to forbidden characters.
	letters := []rune("ab/ $\x01\x7f\u0080é\u07ff\u0800\ud7ff\ue000\ufeff\uffff\U00010000\U0010ffff")
	var b strings.Builder
	for n := s.length(); b.Len() < n; {
		letter := string(letters[s.IntN(len(letters))])
		if b.Len()+len(letter) > n {
			letter = "x"
		}
		b.WriteString(letter)
	}
	return b.String()
}

func (s source) topic() string { return "t" + s.short() }

// short returns text of at most 65,000 bytes, so that the test can add more.
func (s source) short() string {
	text := s.text()
	return strings.ToValidUTF8(text[:min(len(text), 65000)], "")
}

func (s source) bytes() string {
	b := make([]byte, s.length())
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return string(b)
}

func (s source) id() uint16 { return uint16(1 + s.IntN(65535)) }

// maybe returns 0 in half of all cases.
func (s source) maybe() uint32 {
	if s.bool() {
		return 0
	}
	return s.Uint32()
}

func (s source) publish(v Version) Publish {
	p := Publish{Topic: s.topic(), Payload: s.bytes(), QoS: byte(s.IntN(3)), Retain: s.bool()}
	if p.QoS > 0 {
		p.ID = s.id()
		p.Dup = s.bool()
	}
	if v != V5 {
		return p
	}
	if p.TopicAlias = uint16(s.maybe()); p.TopicAlias > 0 && s.bool() {
		p.Topic = ""
	}
	if s.bool() {
		q := &Properties{
			PayloadUTF8: utf8.ValidString(p.Payload) && s.bool(), Expires: true, Expiry: s.maybe(),
			ContentType: s.text(), ResponseTopic: s.topic(), CorrelationData: s.bytes(),
		}
		for range s.IntN(4) {
			q.User = q.User.With(UserProperty{Name: s.text(), Value: s.text()})
		}
		p.Properties = q
	}
	return p
}

func (s source) connect(v Version) Connect {
	c := Connect{Version: v, ClientID: s.text(), CleanStart: s.bool(), KeepAlive: uint16(s.maybe())}
	if s.bool() {
		c.Username, c.Password = s.text(), s.bytes()
	}
	if v != V5 && c.Username == "" {
		c.Password = "" // [MQTT-3.1.2-22]
	}
	if s.bool() {
		c.Will = &Will{Topic: s.topic(), Payload: s.bytes(), QoS: byte(s.IntN(3)), Retain: s.bool()}
	}
	if v != V5 {
		c.BridgeFlag = s.bool()
		return c
	}
	if c.Will != nil {
		c.Will.Delay = s.maybe()
	}
	c.SessionExpiry = s.maybe()
	c.ReceiveMaximum = uint16(s.maybe())
	c.MaximumPacketSize = s.maybe()
	c.TopicAliasMaximum = uint16(s.maybe())
	return c
}

func (s source) subscribe(v Version) Subscribe {
	sub := Subscribe{ID: s.id()}
	if v == V5 {
		sub.SubscriptionID = s.maybe() & maxVarint
	}
	for i := range 1 + s.IntN(4) {
		one := Subscription{Filter: fmt.Sprintf("%s/%d/+/#", s.short(), i), QoS: byte(s.IntN(3))}
		if v == V5 {
			one.NoLocal, one.RetainAsPublished, one.RetainHandling = s.bool(), s.bool(), byte(s.IntN(3))
		}
		sub.Subscriptions = append(sub.Subscriptions, one)
	}
	return sub
}

func (s source) filters() []string {
	all := make([]string, 1+s.IntN(4))
	for i := range all {
		all[i] = "f" + s.short()
	}
	return all
}

// one returns one of the codes.
func (s source) one(codes ...byte) byte { return codes[s.IntN(len(codes))] }

func (s source) codes(all ...byte) []byte {
	codes := make([]byte, 1+s.IntN(5))
	for i := range codes {
		codes[i] = s.one(all...)
	}
	return codes
}

func (s source) ack(v Version) Ack {
	a := Ack{Type: PUBACK + Type(s.IntN(4)), ID: s.id()}
	if v == V5 {
		a.Code = s.one(0, 0x80, 0x92, 0xff)
		if a.Type == PUBACK || a.Type == PUBREC {
			a.Code = s.one(0, 0x10, 0x80, 0x97)
		}
		if s.bool() {
			a.Reason = s.text()
		}
	}
	return a
}

func (s source) connack() Connack {
	c := Connack{
		Code: s.one(0, 0, 0x80, 0x87, 0x9d), SessionExpiry: s.Uint32(), HasSessionExpiry: true,
		ReceiveMaximum: s.id(), MaximumQoS: byte(s.IntN(2)), RetainAvailable: s.bool(),
		MaximumPacketSize: 1 + s.Uint32()>>1, AssignedClientID: s.text(), TopicAliasMaximum: uint16(s.maybe()),
		Reason: s.text(), WildcardAvailable: s.bool(), SubscriptionIDsAvailable: s.bool(), SharedAvailable: s.bool(),
		ServerKeepAlive: uint16(s.maybe()), HasServerKeepAlive: true, ServerReference: s.text(),
	}
	c.SessionPresent = c.Code == 0 && s.bool()
	return c
}
