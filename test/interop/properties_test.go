// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"reflect"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// client5 is a paho client for MQTT 5.
type client5 struct {
	line     *line
	paho     *paho.Client
	received chan *paho.Publish
}

func (l *line) client5(at traffic.Source) *client5 {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), eventTimeout)
	defer cancel()
	conn, err := at.Dial(ctx)
	must(l.T, err)
	l.Cleanup(func() { _ = conn.Close() })
	c := &client5{line: l, received: make(chan *paho.Publish, receiveBuffer)}
	c.paho = paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) {
				c.received <- p.Packet
				return true, nil
			},
		},
	})
	_, err = c.paho.Connect(ctx, &paho.Connect{ClientID: clientID(), CleanStart: true, KeepAlive: 60})
	must(l.T, err)
	return c
}

func (c *client5) subscribe(filter string) {
	c.line.Helper()
	ctx, cancel := context.WithTimeout(c.line.Context(), eventTimeout)
	defer cancel()
	_, err := c.paho.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 2}}})
	must(c.line.T, err)
}

func (c *client5) publish(p *paho.Publish) {
	c.line.Helper()
	ctx, cancel := context.WithTimeout(c.line.Context(), eventTimeout)
	defer cancel()
	_, err := c.paho.Publish(ctx, p)
	must(c.line.T, err)
}

func (c *client5) next() *paho.Publish {
	c.line.Helper()
	select {
	case p := <-c.received:
		return p
	case <-time.After(eventTimeout):
		c.line.Fatalf("no message within %s", eventTimeout)
		return nil
	}
}

// expiry, in seconds, is much longer than a test.
const expiry = 3600

func propertiesAreForwarded(l *line) {
	l.connect()
	sent := paho.PublishProperties{
		ContentType:     "application/json; charset=ü",
		ResponseTopic:   "answers/here",
		CorrelationData: []byte{0, 0xff, 1},
		PayloadFormat:   ptr.To[byte](1),
		User: paho.UserProperties{
			{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}, {Key: "", Value: ""},
		},
	}
	for _, w := range l.directions() {
		from, to := l.client5(w.from), l.client5(w.to)
		to.subscribe(l.topic(w.name + "/#"))
		for qos := range byte(3) {
			with := sent
			with.MessageExpiry = ptr.To[uint32](expiry)
			for _, properties := range []paho.PublishProperties{with, {}} {
				from.publish(&paho.Publish{
					Topic: l.topic(w.name + "/x"), QoS: qos, Payload: []byte(`{"ü":1}`), Properties: &properties,
				})
				p := to.next()
				if !bytes.Equal(p.Payload, []byte(`{"ü":1}`)) || p.QoS != qos {
					l.Errorf("%s: %q arrived at QoS %d, want QoS %d", w.name, p.Payload, p.QoS, qos)
				}
				checkProperties(l, w, properties, *p.Properties)
			}
		}
	}
}

func checkProperties(l *line, w way, sent, got paho.PublishProperties) {
	l.Helper()
	// Each of the three programs on the path may have held the message for a second.
	const passed = 60
	switch {
	case sent.MessageExpiry == nil && l.peer.addsExpiry:
		got.MessageExpiry = nil
	case sent.MessageExpiry == nil:
	case got.MessageExpiry == nil:
		l.Errorf("%s: the message expiry interval is missing", w.name)
	case *got.MessageExpiry > expiry || *got.MessageExpiry < expiry-passed:
		l.Errorf("%s: the message expires after %d s, sent with %d", w.name, *got.MessageExpiry, expiry)
	default:
		got.MessageExpiry = sent.MessageExpiry
	}
	// Missing user properties may be nil or empty.
	if len(got.User) == 0 {
		got.User = sent.User[:0]
	}
	if !reflect.DeepEqual(got, sent) {
		l.Errorf("%s: properties\n%+v arrived, want\n%+v", w.name, got, sent)
	}
}

func expiryDecreases(l *line) {
	proxy := mqtttest.StartProxy(l.T, l.remote.Address(), 0)
	l.bridge.Spec.Remote.Primary.URL = proxy.URL()
	l.connect()
	from, to := l.client5(l.local.Source()), l.client5(l.remote.Source())
	to.subscribe(l.topic("up/#"))
	proxy.BlackHole(true)
	proxy.Cut()
	published := time.Now()
	from.publish(&paho.Publish{
		Topic: l.topic("up/x"), QoS: 1, Payload: []byte("x"),
		Properties: &paho.PublishProperties{MessageExpiry: ptr.To[uint32](expiry)},
	})
	// The interval has a resolution of one second.
	held := 1500 * time.Millisecond
	<-time.After(time.Until(published.Add(held)))
	proxy.BlackHole(false)
	p := to.next()
	if got := p.Properties.MessageExpiry; got == nil || *got >= expiry {
		l.Errorf("after %s, the message expires in %v s, sent with %d", held, ptr.Deref(got, 0), expiry)
	}
}
