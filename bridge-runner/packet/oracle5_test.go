// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"io"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// paho5Wire encodes a packet of MQTT 5 with the codec of Paho.
func paho5Wire(t *testing.T, p io.WriterTo) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := p.WriteTo(&b); err != nil {
		t.Fatalf("paho cannot encode %v: %v", p, err)
	}
	return b.Bytes()
}

// readPaho5 decodes the output of our codec with the codec of Paho.
func readPaho5[P packets.Packet](t *testing.T, wire []byte) P {
	t.Helper()
	r := bytes.NewReader(wire)
	cp, err := packets.ReadPacket(r)
	if err != nil {
		t.Fatalf("paho cannot decode %.40x: %v", wire, err)
	}
	p, ok := cp.Content.(P)
	if !ok || r.Len() > 0 {
		t.Fatalf("paho reads %.40x as %T with %d bytes left", wire, cp.Content, r.Len())
	}
	return p
}

// present returns a pointer to n, or nil if is is false. Paho represents optional
// properties so.
func present[N any](n N, is bool) *N {
	if !is {
		return nil
	}
	return &n
}

// orZero returns *n, or 0 if n is nil.
func orZero[N any](n *N) (zero N) {
	if n == nil {
		return zero
	}
	return *n
}

func bit(b bool) *byte {
	var n byte
	if b {
		n = 1
	}
	return &n
}

func toPaho(p *Publish) *packets.Publish {
	theirs := &packets.Publish{
		Topic: p.Topic, Payload: []byte(p.Payload), PacketID: p.ID, QoS: p.QoS, Retain: p.Retain, Duplicate: p.Dup,
		Properties: &packets.Properties{TopicAlias: present(p.TopicAlias, p.TopicAlias > 0)},
	}
	if q := p.Properties; q != nil {
		theirs.Properties.PayloadFormat = bit(q.PayloadUTF8)
		theirs.Properties.MessageExpiry = present(q.Expiry, q.Expires)
		theirs.Properties.ContentType = q.ContentType
		theirs.Properties.ResponseTopic = q.ResponseTopic
		theirs.Properties.CorrelationData = []byte(q.CorrelationData)
		for name, value := range q.User.All() {
			theirs.Properties.User = append(theirs.Properties.User, packets.User{Key: name, Value: value})
		}
	}
	return theirs
}

func fromPaho(theirs *packets.Publish) Publish {
	p := Publish{
		Topic: theirs.Topic, Payload: string(theirs.Payload), ID: theirs.PacketID, QoS: theirs.QoS, Retain: theirs.Retain,
		Dup: theirs.Duplicate, TopicAlias: orZero(theirs.Properties.TopicAlias),
	}
	if id := theirs.Properties.SubscriptionIdentifier; id != nil {
		p.Subscriptions = []uint32{uint32(*id)}
	}
	q := &Properties{
		PayloadUTF8: orZero(theirs.Properties.PayloadFormat) == 1,
		Expires:     theirs.Properties.MessageExpiry != nil, Expiry: orZero(theirs.Properties.MessageExpiry),
		ContentType: theirs.Properties.ContentType, ResponseTopic: theirs.Properties.ResponseTopic,
		CorrelationData: string(theirs.Properties.CorrelationData),
	}
	for _, u := range theirs.Properties.User {
		q.User = q.User.With(UserProperty{u.Key, u.Value})
	}
	if q.PayloadUTF8 || q.Expires || q.ContentType != "" || q.ResponseTopic != "" || q.CorrelationData != "" || q.User != "" {
		p.Properties = q
	}
	return p
}

func TestPublish_5_IsExchangedWithPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		p := s.publish(V5)
		wire := AppendPublish(nil, V5, &p)
		same(t, fromPaho(readPaho5[*packets.Publish](t, wire)), p)
		same(t, SizePublish(V5, &p), len(wire))

		theirs := toPaho(&p)
		if id := s.maybe() & maxVarint; id > 0 {
			theirs.Properties.SubscriptionIdentifier = present(int(id), true)
			p.Subscriptions = []uint32{id}
			same(t, string(AppendPublish(nil, V5, &p)), string(wire)) // clients do not send them
		}
		same(t, decoded[Publish](t, V5, paho5Wire(t, theirs)), p)
	})
}

func TestAck_5_IsExchangedWithPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		a := s.ack(V5)
		properties := &packets.Properties{ReasonString: a.Reason, User: []packets.User{{Key: s.text(), Value: s.text()}}}
		if a.Reason == "" && s.bool() {
			properties.User = nil
		}
		var (
			theirs io.WriterTo
			id     uint16
			code   byte
			got    *packets.Properties
			wire   = AppendAck(nil, V5, a)
		)
		switch a.Type {
		case PUBACK:
			theirs = &packets.Puback{PacketID: a.ID, ReasonCode: a.Code, Properties: properties}
			read := readPaho5[*packets.Puback](t, wire)
			id, code, got = read.PacketID, read.ReasonCode, read.Properties
		case PUBREC:
			theirs = &packets.Pubrec{PacketID: a.ID, ReasonCode: a.Code, Properties: properties}
			read := readPaho5[*packets.Pubrec](t, wire)
			id, code, got = read.PacketID, read.ReasonCode, read.Properties
		case PUBREL:
			theirs = &packets.Pubrel{PacketID: a.ID, ReasonCode: a.Code, Properties: properties}
			read := readPaho5[*packets.Pubrel](t, wire)
			id, code, got = read.PacketID, read.ReasonCode, read.Properties
		default:
			theirs = &packets.Pubcomp{PacketID: a.ID, ReasonCode: a.Code, Properties: properties}
			read := readPaho5[*packets.Pubcomp](t, wire)
			id, code, got = read.PacketID, read.ReasonCode, read.Properties
		}
		same(t, Ack{Type: a.Type, ID: id, Code: code, Reason: got.ReasonString}, a)
		same(t, decoded[Ack](t, V5, paho5Wire(t, theirs)), a)
	})
}

func TestConnect_5_IsReadByPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		c := s.connect(V5)
		got := readPaho5[*packets.Connect](t, AppendConnect(nil, &c))
		if got.ProtocolName != "MQTT" || got.UsernameFlag != (c.Username != "") || got.PasswordFlag != (c.Password != "") {
			t.Errorf("%+v", got)
		}
		back := Connect{
			Version: Version(got.ProtocolVersion), ClientID: got.ClientID, CleanStart: got.CleanStart, KeepAlive: got.KeepAlive,
			Username: got.Username, Password: string(got.Password),
			SessionExpiry: orZero(got.Properties.SessionExpiryInterval), ReceiveMaximum: orZero(got.Properties.ReceiveMaximum),
			MaximumPacketSize: orZero(got.Properties.MaximumPacketSize), TopicAliasMaximum: orZero(got.Properties.TopicAliasMaximum),
		}
		if got.WillFlag {
			back.Will = &Will{
				Topic: got.WillTopic, Payload: string(got.WillMessage), QoS: got.WillQOS, Retain: got.WillRetain,
				Delay: orZero(got.WillProperties.WillDelayInterval),
			}
		}
		same(t, back, c)
	})
}

func TestConnack_5_IsReadFromPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		c := s.connack()
		same(t, decoded[Connack](t, V5, paho5Wire(t, &packets.Connack{
			ReasonCode: c.Code, SessionPresent: c.SessionPresent,
			Properties: &packets.Properties{
				SessionExpiryInterval: &c.SessionExpiry, ReceiveMaximum: &c.ReceiveMaximum, MaximumQOS: &c.MaximumQoS,
				RetainAvailable: bit(c.RetainAvailable), MaximumPacketSize: &c.MaximumPacketSize,
				AssignedClientID: c.AssignedClientID, TopicAliasMaximum: &c.TopicAliasMaximum, ReasonString: c.Reason,
				WildcardSubAvailable: bit(c.WildcardAvailable), SubIDAvailable: bit(c.SubscriptionIDsAvailable),
				SharedSubAvailable: bit(c.SharedAvailable), ServerKeepAlive: &c.ServerKeepAlive, ServerReference: c.ServerReference,
				AuthMethod: s.text(), AuthData: []byte(s.bytes()), ResponseInfo: s.text(),
				User: []packets.User{{Key: s.text(), Value: s.text()}, {Key: s.text(), Value: s.text()}},
			},
		})), c)
	})
	same(t, decoded[Connack](t, V5, paho5Wire(t, &packets.Connack{Properties: &packets.Properties{}})), Connack{
		ReceiveMaximum: 65535, MaximumQoS: 2, RetainAvailable: true,
		WildcardAvailable: true, SubscriptionIDsAvailable: true, SharedAvailable: true,
	})
}

func TestSubscriptions_5_AreExchangedWithPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		sub := s.subscribe(V5)
		got := readPaho5[*packets.Subscribe](t, AppendSubscribe(nil, V5, &sub))
		back := Subscribe{ID: got.PacketID, SubscriptionID: uint32(orZero(got.Properties.SubscriptionIdentifier))}
		for _, o := range got.Subscriptions {
			back.Subscriptions = append(back.Subscriptions, Subscription{
				Filter: o.Topic, QoS: o.QoS, NoLocal: o.NoLocal, RetainAsPublished: o.RetainAsPublished, RetainHandling: o.RetainHandling,
			})
		}
		same(t, back, sub)

		id, filters := s.id(), s.filters()
		un := readPaho5[*packets.Unsubscribe](t, AppendUnsubscribe(nil, V5, id, filters))
		same(t, un.PacketID, id)
		same(t, un.Topics, filters)

		answer := Suback{ID: s.id(), Codes: s.codes(0, 1, 2, 0x80, 0x87, 0xa2), Reason: s.text()}
		properties := &packets.Properties{ReasonString: answer.Reason, User: []packets.User{{Key: s.text(), Value: s.text()}}}
		suback := &packets.Suback{PacketID: answer.ID, Reasons: answer.Codes, Properties: properties}
		same(t, decoded[Suback](t, V5, paho5Wire(t, suback)), answer)
	})
}

func TestDisconnect_5_IsExchangedWithPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		d := Disconnect{Code: s.one(0x04, 0x80, 0x82, 0x93), SessionExpiry: s.maybe(), HasSessionExpiry: true, Reason: s.text()}
		got := readPaho5[*packets.Disconnect](t, AppendDisconnect(nil, V5, d))
		same(t, Disconnect{
			Code: got.ReasonCode, SessionExpiry: orZero(got.Properties.SessionExpiryInterval),
			HasSessionExpiry: got.Properties.SessionExpiryInterval != nil, Reason: got.Properties.ReasonString,
		}, d)

		d = Disconnect{Code: s.one(0, 0x8b, 0x8e, 0x9c), Reason: s.text(), ServerReference: s.text()}
		same(t, decoded[Disconnect](t, V5, paho5Wire(t, &packets.Disconnect{
			ReasonCode: d.Code, Properties: &packets.Properties{
				ReasonString: d.Reason, ServerReference: d.ServerReference, User: []packets.User{{Key: s.text(), Value: s.text()}},
			},
		})), d)
	})
}

// connackFromPaho converts a CONNACK of Paho and fills in the defaults of section 3.2.2.3.
func connackFromPaho(theirs *packets.Connack) Connack {
	q := theirs.Properties
	or := func(n *byte, otherwise byte) byte {
		if n == nil {
			return otherwise
		}
		return *n
	}
	c := Connack{
		SessionPresent: theirs.SessionPresent, Code: theirs.ReasonCode,
		SessionExpiry: orZero(q.SessionExpiryInterval), HasSessionExpiry: q.SessionExpiryInterval != nil,
		ReceiveMaximum: 65535, MaximumQoS: or(q.MaximumQOS, 2), RetainAvailable: or(q.RetainAvailable, 1) == 1,
		MaximumPacketSize: orZero(q.MaximumPacketSize), AssignedClientID: q.AssignedClientID,
		TopicAliasMaximum: orZero(q.TopicAliasMaximum), Reason: q.ReasonString,
		WildcardAvailable:        or(q.WildcardSubAvailable, 1) == 1,
		SubscriptionIDsAvailable: or(q.SubIDAvailable, 1) == 1,
		SharedAvailable:          or(q.SharedSubAvailable, 1) == 1,
		ServerKeepAlive:          orZero(q.ServerKeepAlive), HasServerKeepAlive: q.ServerKeepAlive != nil,
		ServerReference: q.ServerReference,
	}
	if q.ReceiveMaximum != nil {
		c.ReceiveMaximum = *q.ReceiveMaximum
	}
	return c
}
