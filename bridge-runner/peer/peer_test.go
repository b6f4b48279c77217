// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"encoding/binary"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConn_Established_EachEndReceivesHelloAndKnowledge(t *testing.T) {
	p := newPair(t, nil)
	known := &Knowledge{Bridge: "default/plant", Ready: true, Sides: map[string]SideKnowledge{
		"remote": {Active: "b", Servers: map[string]ServerKnowledge{
			"a": {FailedSince: Since{time.Now().Add(-time.Minute)}, Problem: "connection refused"},
			"b": {},
		}},
	}}
	p.b.SetKnowledge(known)
	a, b := p.connect(t)
	if got, want := a.Peer(), (Hello{Version: Version, Identity: "b", Group: group, State: State{Role: "b's role", Term: Term{Lease: 7}}}); got != want {
		t.Errorf("a received the Hello %+v, want %+v", got, want)
	}
	if got := b.Peer().Identity; got != "a" {
		t.Errorf("b received the identity %q", got)
	}
	if a.Fingerprint() != p.fingerB || b.Fingerprint() != p.fingerA || !a.Dialled() || b.Dialled() || a.Address() != p.address {
		t.Error("the ends differ from the endpoints")
	}
	got, ok := await(t, p.fromA.received, "the knowledge").(*Knowledge)
	if !ok || !got.Ready || got.Sides["remote"].Active != "b" {
		t.Fatalf("received %+v", got)
	}
	failed := got.Sides["remote"].Servers["a"]
	if age := time.Since(failed.FailedSince.Time); age < time.Minute || age > time.Minute+testTimeout || failed.Problem != "connection refused" {
		t.Errorf("the failed server: %s ago: %+v", age, failed)
	}
	if healthy := got.Sides["remote"].Servers["b"]; healthy != (ServerKnowledge{}) {
		t.Errorf("the healthy server: %+v", healthy)
	}
}

func TestConn_Messages_ArriveInOrder(t *testing.T) {
	p := newPair(t, nil)
	a, b := p.connect(t)
	sent := []Message{
		&Query{ID: 1}, &Answer{ID: 1, State: State{Role: "Active", Term: Term{Lease: 8}, Warm: true, Successor: "b"}, Rival: "c", RivalTerm: Term{Lease: 9}},
		&AskHandOver{}, &HandOver{Term{8, 9}}, &Knowledge{Bridge: "x"},
	}
	for _, m := range sent {
		if !a.Send(m) || !b.Send(m) {
			t.Fatalf("%s is not sent", m.kind())
		}
	}
	for _, m := range sent {
		for name, events := range map[string]*recorder{"a": p.fromA, "b": p.fromB} {
			if got := await(t, events.received, m.kind()); !reflect.DeepEqual(got, m) {
				t.Errorf("%s received %s %+v, want %+v", name, got.kind(), got, m)
			}
		}
	}
}

func TestEndpoint_StateChanged_IsSentAtOnceAndRepeated(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Interval, c.Silence = time.Hour, 2*time.Hour })
	p.connect(t)
	await(t, p.fromB.beats, "the first heartbeat") // with the state of the Hello
	want := State{Role: "Active", Term: Term{8, 2}, Warm: true, Successor: "b"}
	p.a.SetState(want)
	if got := await(t, p.fromB.beats, "the changed state"); got != want {
		t.Errorf("received %+v, want %+v", got, want)
	}
	q := newPair(t, nil)
	q.connect(t)
	for range 5 {
		await(t, q.fromA.beats, "a heartbeat")
	}
}

func TestQueue_NewerState_ReplacesTheOlderAndKeepsTheOrder(t *testing.T) {
	beat := func(term uint64) Message { return &Heartbeat{State{Term: Term{Lease: term}}} }
	know := func(bridge string, ready bool) Message { return &Knowledge{Bridge: bridge, Ready: ready} }
	var q queue
	q.changed.L = &q.mu
	for _, m := range []Message{beat(1), know("x", false), know("y", false), &HandOver{Term{Lease: 1}}, know("x", true), beat(2)} {
		q.push(m)
	}
	got, _ := q.take()
	want := []Message{know("y", false), &HandOver{Term{Lease: 1}}, know("x", true), beat(2)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the queue has %d messages, want %d in the order of their last change", len(got), len(want))
	}
	for range maxQueue {
		q.push(&Query{})
	}
	if q.push(&Query{}) {
		t.Error("a full queue accepts a message")
	}
	if !q.push(beat(3)) {
		t.Error("a full queue refuses a heartbeat")
	}
	q.last(&goodbye{})
	if q.push(beat(4)) {
		t.Error("the queue accepts a message after the last one")
	}
}

// raw returns a frame with this JSON.
func raw(json string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(json))), json...)
}

const rawHello = `{"kind":"Hello","body":{"version":9,"identity":"a","group":"` + group + `","role":"Standby","later":{"x":1}}}`

func TestConn_LaterVersion_UnknownKindsAndFieldsAreIgnored(t *testing.T) {
	p := newPair(t, nil)
	c := p.rawClient(t)
	for _, json := range []string{rawHello, `{"kind":"Novelty","body":[1]}`, `{"kind":"Query","body":{"id":5,"depth":3},"trace":"x"}`} {
		if _, err := c.Write(raw(json)); err != nil {
			t.Fatal(err)
		}
	}
	if got := await(t, p.fromB.connected, "the connection").Peer(); got.Version != 9 || got.Role != "Standby" {
		t.Errorf("the Hello: %+v", got)
	}
	if got, ok := await(t, p.fromB.received, "the query").(*Query); !ok || got.ID != 5 {
		t.Errorf("received %+v", got)
	}
}

func TestConn_ProtocolError_EndsTheConnection(t *testing.T) {
	for name, data := range map[string][]byte{
		"too long":     binary.BigEndian.AppendUint32(nil, maxFrame+1),
		"no JSON":      raw(`{"kind":`),
		"other type":   raw(`{"kind":"Query","body":{"id":"five"}}`),
		"no body":      raw(`{"kind":"Query"}`),
		"second Hello": raw(rawHello),
		"empty":        raw(""),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil)
			c := p.rawClient(t)
			if _, err := c.Write(append(raw(rawHello), data...)); err != nil {
				t.Fatal(err)
			}
			await(t, p.fromB.connected, "the connection")
			p.fromB.wantEnding(t, Faulty)
		})
	}
}

func TestEndpoint_NoProperHello_IsNotConnected(t *testing.T) {
	for name, json := range map[string]string{
		"another message": `{"kind":"Heartbeat","body":{}}`,
		"another group":   `{"kind":"Hello","body":{"identity":"a","group":"default/other"}}`,
		"the own":         `{"kind":"Hello","body":{"identity":"b","group":"` + group + `"}}`,
		"unknown kind":    `{"kind":"Novelty","body":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil)
			c := p.rawClient(t)
			if _, err := c.Write(raw(json)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			if len(p.fromB.connected) > 0 {
				t.Error("b reported a connection")
			}
		})
	}
}

func TestConn_PeerDoesNotRead_SendNeverWaitsAndTheConnectionEnds(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Silence = 2 * time.Second })
	c := p.rawClient(t)
	if _, err := c.Write(raw(rawHello)); err != nil {
		t.Fatal(err)
	}
	b := await(t, p.fromB.connected, "the connection")
	beats := time.NewTicker(interval) // so that only the missing reads are a fault
	defer beats.Stop()
	go func() {
		for range beats.C {
			if _, err := c.Write(raw(`{"kind":"Heartbeat","body":{}}`)); err != nil {
				return
			}
		}
	}()
	sides := map[string]SideKnowledge{"local": {Active: strings.Repeat("x", 60<<10)}}
	refused := false
	for i := 0; len(p.fromB.ended) == 0; i++ {
		started := time.Now()
		b.Send(&Knowledge{Bridge: fmt.Sprint(i % 4), Sides: sides})
		refused = !b.Send(&Query{ID: uint64(i)}) || refused
		if took := time.Since(started); took > time.Second {
			t.Fatalf("Send took %s", took)
		}
		time.Sleep(100 * time.Microsecond) // so that the writer runs
	}
	if !refused {
		t.Error("the queue is not bounded")
	}
	p.fromB.wantEnding(t, Silent)
}

func TestSince_Extremes_AreAccepted(t *testing.T) {
	for _, text := range []string{"-5", "0", "9223372036854775807", "null"} {
		var s Since
		if err := s.UnmarshalJSON([]byte(text)); err != nil || s.After(time.Now()) {
			t.Errorf("%s: %s, %v", text, s, err)
		}
	}
}

func TestNew_SilenceWithinTheInterval_IsRefused(t *testing.T) {
	if _, err := New(Config{Interval: time.Second, Silence: time.Second}, State{}); err == nil {
		t.Error("New accepts it")
	}
}

func FuzzDecode(f *testing.F) {
	for _, json := range []string{rawHello, `{"kind":"Knowledge","body":{"sides":{"local":{"servers":{"a":{"failedForMs":1}}}}}}`, `{}`, `null`} {
		f.Add([]byte(json))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil || m == nil {
			return
		}
		if _, err := appendMessage(nil, m); err != nil && len(data) < maxFrame/8 {
			t.Errorf("%s cannot be encoded again: %v", m.kind(), err)
		}
	})
}
