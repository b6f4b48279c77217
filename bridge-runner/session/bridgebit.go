// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// bridgeBit is what is known of a server and the bridge bit: whether it accepts MQTT
// 3.1.1 connections with it, see [packet.Connect].
//
// Servers that do not know the bit refuse the version, as they should, or answer with
// another code, close the connection, or say nothing. All but the first have other
// causes, too. So an attempt that ends in one of these ways is followed by one without
// the bit: at once, but only once until a connection is accepted, since a wrong password
// must not count twice each time; after that, and if the server was silent for as long as
// the first attempt may take, with the next attempt. If that succeeds, the server is
// remembered as one that refuses the bit.
type bridgeBit struct {
	accepted bool   // the server has accepted a connection with the bit
	refused  bool   // the server refuses the bit: it is left out
	leaveOut bool   // leave it out in the next attempt
	spent    bool   // a second attempt was made at once since a connection was accepted
	silent   bool   // the latest attempt with the bit was not answered
	with     string // how the latest attempt with the bit failed, if the bit may be why
	without  string // how the latest attempt without it failed, likewise
}

// answer is what an attempt says about the bridge bit.
type answer int

const (
	noAnswer     answer = iota // the server was not asked
	accepted                   // CONNACK 0
	wrongVersion               // CONNACK 1: the server has no such protocol level
	doubtful                   // CONNACK with another code, but 4: a wrong password
	closed                     // the connection was closed
	silence                    // nothing
	otherAnswer                // CONNACK 4, or what is not MQTT
)

// classify returns what the end of an attempt to open s says.
func (s *Session) classify(err error) answer {
	var failed *Error
	if err != nil && !errors.As(err, &failed) {
		return noAnswer // not reached while connect keeps its promise
	}
	switch {
	case err == nil:
		return accepted
	case !s.asked:
		return noAnswer
	case failed.Reason == v1alpha1.ReasonProtocolVersionRefused:
		return wrongVersion
	case failed.Reason == v1alpha1.ReasonConnectionClosed:
		return closed
	case failed.Reason == v1alpha1.ReasonConnectTimeout:
		return silence
	}
	if code := s.server.Code; code > 0 && code != 4 { // from 6 on codes of MQTT 5: Mochi says 0x82
		return doubtful
	}
	return otherAnswer
}

// openAsBridge connects with the bridge bit if the server might accept it, and at most
// once more the other way.
func openAsBridge(ctx context.Context, cfg Config) (*Session, error) {
	s, again, err := tryBit(ctx, cfg, cfg.State.wantsBit(), false)
	if again {
		s, _, err = tryBit(ctx, cfg, !s.cfg.BridgeBit, true)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func tryBit(ctx context.Context, cfg Config, bit, second bool) (s *Session, again bool, err error) {
	s = newSession(cfg, bit)
	err = s.connect(ctx)
	text := ""
	if err != nil {
		text = err.Error()
	}
	said := s.classify(err)
	if errors.Is(ctx.Err(), context.Canceled) { // nobody waits for the server any more
		said = noAnswer
	}
	again, hint := cfg.State.tried(bit, second, said, text)
	var failed *Error
	if hint && errors.As(err, &failed) {
		failed.Message += "; if the server does not know bridges, set bridgeMode: Off"
	}
	return s, again && ctx.Err() == nil, err
}

// wantsBit returns whether to set the bridge bit in the next attempt.
func (s *State) wantsBit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.bit.leaveOut
}

// tried notes how an attempt ended. second says that another one the other way was made
// just before. again says to try the other way at once, and hint that the bit may be why
// the attempt failed. The hint is the same for as long as the outcomes are.
func (s *State) tried(bit, second bool, a answer, text string) (again, hint bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.bit
	if bit {
		return b.triedWith(second, a, text)
	}
	return false, b.triedWithout(second, a, text)
}

func (b *bridgeBit) triedWith(second bool, a answer, text string) (again, hint bool) {
	switch a {
	case noAnswer:
	case accepted:
		*b = bridgeBit{accepted: true}
	case wrongVersion:
		again = !second
		b.refused, b.leaveOut = true, true
	case doubtful, closed, silence:
		again = a != silence && !second && !b.spent
		b.spent = b.spent || again
		b.leaveOut, b.silent, b.with = true, a == silence, text
		hint = !b.accepted && b.without != text
	case otherAnswer:
		b.leaveOut, b.silent, b.with = false, false, ""
	}
	return again, hint
}

func (b *bridgeBit) triedWithout(second bool, a answer, text string) (hint bool) {
	// The server answers without the bit, and in another way or not at all with it.
	differs := b.with != "" && b.with != text && (second || b.silent && b.without == "")
	switch a {
	case noAnswer:
	case accepted:
		b.blame(differs)
		b.spent, b.silent, b.with, b.without = false, false, "", ""
	case otherAnswer, wrongVersion:
		b.blame(differs)
		b.without = ""
	case doubtful:
		b.blame(differs)
		b.without = text
	case closed, silence:
		b.leaveOut, b.without = b.refused, text
	}
	return b.without != "" && !b.refused && !b.accepted && b.with != "" && b.with != text
}

// blame decides whether the server refuses the bit. A server that has accepted it may
// have had a bad moment: it gets another chance.
func (b *bridgeBit) blame(differs bool) {
	if differs && !b.accepted {
		b.refused = true
	}
	if differs {
		b.accepted = false
	}
	b.leaveOut = b.refused
}

// refusesBit reports whether the server is known to refuse the bit.
func (s *State) refusesBit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bit.refused
}
