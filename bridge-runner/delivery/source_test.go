// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// The servers here do what the real ones of the other tests do not: number messages
// anew, and hold back acknowledgements at will.

// connect opens a session to a server of which serve is the other end, after a
// CONNACK that says whether the session is resumed.
func connect(t *testing.T, resumed bool, serve func(net.Conn)) *session.Session {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
		ack.SessionPresent = resumed
		if _, err := packets.ReadPacket(c); err == nil && ack.Write(c) == nil {
			serve(c)
		}
	}()
	s, err := session.Open(t.Context(), session.Config{
		HostPort: listener.Addr().String(), ClientID: "x",
		KeepAlive: time.Minute, PingTimeout: time.Minute, AckTimeout: time.Minute, Window: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// sourceServer is a server that publishes.
type sourceServer struct {
	t *testing.T
	net.Conn
}

func (c sourceServer) publish(id uint16, duplicate bool, topic, payload string) {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.Qos, p.MessageID, p.Dup, p.TopicName, p.Payload = 1, id, duplicate, topic, []byte(payload)
	if err := p.Write(c); err != nil {
		c.t.Error(err)
	}
}

// acknowledged reads the identifiers of the next n PUBACKs.
func (c sourceServer) acknowledged(n int) []uint16 {
	var ids []uint16
	for len(ids) < n {
		p, err := packets.ReadPacket(c)
		if err != nil {
			c.t.Errorf("after %v: %v", ids, err)
			return ids
		}
		if ack, ok := p.(*packets.PubackPacket); ok {
			ids = append(ids, ack.MessageID)
		}
	}
	return ids
}

// receive is a server that takes messages and acknowledges them once it is let.
func receive(t *testing.T, arrived chan<- string, let <-chan struct{}) *session.Session {
	t.Helper()
	s := connect(t, false, func(c net.Conn) {
		for {
			p, err := packets.ReadPacket(c)
			if err != nil {
				return
			}
			m, ok := p.(*packets.PublishPacket)
			if !ok {
				continue
			}
			arrived <- string(m.Payload)
			<-let
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = m.MessageID
			if ack.Write(c) != nil {
				return
			}
		}
	})
	s.Receive(func(*session.Inbound) {})
	return s
}

func (p *Pipe) from(s *session.Session) {
	p.Opened(s, 0)
	s.Receive(func(in *session.Inbound) { p.Receive(s, in) })
}

func TestAMessageThatTwoRulesForwardIsAcknowledgedOnceAndInItsTurn(t *testing.T) {
	p := New(rules(t,
		v1alpha1.Rule{Filter: "a/#", Topic: "first", Exclude: []string{"a/x"}},
		v1alpha1.Rule{Filter: "a/#", Topic: "second", Exclude: []string{"a/x"}},
	), 10, &counts{dropped: map[string]int{}})
	arrived, let := make(chan string, 10), make(chan struct{})
	p.Up(receive(t, arrived, let))
	got := make(chan []uint16, 1)
	p.from(connect(t, false, func(c net.Conn) {
		server := sourceServer{t, c}
		for id, topic := range []string{"a/1", "a/2", "a/x", "a/3"} {
			server.publish(uint16(id+1), false, topic, topic)
		}
		got <- server.acknowledged(4)
		// Were one acknowledged twice, it would come before the next.
		server.publish(9, false, "a/x", "")
		got <- server.acknowledged(1)
		_, _ = io.Copy(io.Discard, c)
	}))
	close(let)
	if ids := <-got; !slices.Equal(ids, []uint16{1, 2, 3, 4}) {
		t.Errorf("acknowledged %v", ids)
	}
	if ids := <-got; !slices.Equal(ids, []uint16{9}) {
		t.Errorf("then acknowledged %v", ids)
	}
}

func TestAServerThatNumbersMessagesAnewLosesNone(t *testing.T) {
	p := New(rules(t, v1alpha1.Rule{Filter: "t"}), 10, &counts{dropped: map[string]int{}})
	arrived, let := make(chan string, 20), make(chan struct{}, 20)
	p.Up(receive(t, arrived, let))
	let <- struct{}{}
	let <- struct{}{}
	first := connect(t, true, func(c net.Conn) {
		server := sourceServer{t, c}
		for id, payload := range []string{"1", "2", "3"} {
			server.publish(uint16(id+1), false, "t", payload)
		}
		server.acknowledged(2)
	})
	p.from(first)
	<-first.Done() // the third is held, and three more are lost with the connection
	got := make(chan []uint16, 1)
	p.from(connect(t, true, func(c net.Conn) {
		server := sourceServer{t, c}
		for id, payload := range []string{"3", "4", "5", "6"} {
			server.publish(uint16(id+1), true, "t", payload)
		}
		got <- server.acknowledged(4)
		_, _ = io.Copy(io.Discard, c)
	}))
	close(let)
	if ids := <-got; !slices.Equal(ids, []uint16{1, 2, 3, 4}) {
		t.Errorf("acknowledged %v", ids)
	}
	var payloads []string
	for len(arrived) > 0 {
		payloads = append(payloads, <-arrived)
	}
	if want := []string{"1", "2", "3", "3", "4", "5", "6"}; !slices.Equal(payloads, want) {
		t.Errorf("arrived: %v, want %v", payloads, want)
	}
}

func TestWhatAServerSendsAgainWhileItIsHeldIsForwardedOnce(t *testing.T) {
	p := New(rules(t, v1alpha1.Rule{Filter: "t"}), 10, &counts{dropped: map[string]int{}})
	arrived, let := make(chan string, 20), make(chan struct{})
	p.Up(receive(t, arrived, let))
	first := connect(t, true, func(c net.Conn) {
		sourceServer{t, c}.publish(7, false, "t", "x")
		<-arrived // it is on its way
	})
	p.from(first)
	<-first.Done()
	got := make(chan []uint16, 1)
	p.from(connect(t, true, func(c net.Conn) {
		server := sourceServer{t, c}
		server.publish(7, true, "t", "x")
		server.publish(8, false, "t", "y")
		got <- server.acknowledged(2)
		_, _ = io.Copy(io.Discard, c)
	}))
	close(let)
	if ids := <-got; !slices.Equal(ids, []uint16{7, 8}) {
		t.Errorf("acknowledged %v", ids)
	}
	if payload := <-arrived; payload != "y" {
		t.Errorf("%q arrived after the first message, want y", payload)
	}
}
