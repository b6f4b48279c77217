// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// bridgeFlag records whether a server accepts MQTT 3.1.1 connections with the bridge flag,
// see [packet.Connect].
//
// Servers that do not support the flag refuse the protocol version, as they should, or
// answer with another code, close the connection, or do not answer. All of these except the
// first may have other causes. So after an attempt that ends in one of these ways the
// bridge tries again without the flag. The second attempt follows at once, but only once
// until a connection is accepted, because a wrong password must not count twice each time.
// Later, and if the server did not answer (the first attempt then has used all of its
// time), the next attempt leaves the flag out. If an attempt without the flag succeeds,
// the bridge remembers that the server refuses the flag.
type bridgeFlag struct {
	// accepted is whether the server has accepted a connection with the flag.
	accepted bool
	// refused is whether the server refuses the flag. If so, leaveOut is set, too.
	refused bool
	// leaveOut is whether the next attempt leaves the flag out.
	leaveOut bool
	// retriedAtOnce is whether a second attempt was made at once since a connection was
	// accepted.
	retriedAtOnce bool
	// silent is whether the latest attempt with the flag was not answered.
	silent bool
	// failureWith is the error of the latest attempt with the flag, if the flag may be the
	// cause; otherwise it is empty. failureWithout is the same for the latest attempt without
	// the flag.
	failureWith, failureWithout string
}

// connectAnswer classifies how a server answers an attempt.
type connectAnswer int

const (
	answerNone         connectAnswer = iota // CONNECT was not sent
	answerAccepted                          // CONNACK 0
	answerWrongVersion                      // CONNACK 1: the server does not support the protocol level
	answerOtherCode                         // CONNACK with another code, except 4: a wrong password
	answerClosed                            // the server closed the connection
	answerSilence                           // no answer
	answerOther                             // CONNACK 4, or an answer that is not MQTT
)

// classify returns how the server answered an attempt to open s that ended with err.
func (s *Session) classify(err error) connectAnswer {
	switch {
	case err == nil:
		return answerAccepted
	case !s.connectSent:
		return answerNone
	}
	var below *transport.Error
	if errors.As(err, &below) && below.Kind == transport.WebSocketClosed {
		return answerClosed
	}
	var failed *Error
	if !errors.As(err, &failed) {
		return answerOther
	}
	switch failed.Kind {
	case NotPermitted:
		return answerNone
	case ConnackClosed, ConnackFailed:
		return answerClosed
	case ConnackTimeout:
		return answerSilence
	case VersionNotSupported:
		return answerWrongVersion
	case ConnectRefused:
		switch failed.Code {
		case codeWrongVersion311, codeWrongVersion:
			return answerWrongVersion
		case codeWrongPassword311:
			return answerOther
		}
		return answerOtherCode // codes from 6 are of MQTT 5: Mochi sends 0x82
	default:
		return answerOther
	}
}

// openWithBridgeFlag connects with the bridge flag if the server might accept it. It makes
// at most one further attempt: without the flag, if the first had it.
func openWithBridgeFlag(ctx context.Context, cfg Config) (*Session, error) {
	s, again, err := connectOnce(ctx, cfg, cfg.State.usesBridgeFlag(), false)
	if again {
		s, _, err = connectOnce(ctx, cfg, !s.cfg.BridgeFlag, true)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// connectOnce makes one attempt and records how it ended. again is whether to make a second
// attempt at once, with withFlag inverted. The session is returned also if the attempt failed.
func connectOnce(ctx context.Context, cfg Config, withFlag, second bool) (s *Session, again bool, err error) {
	s = newSession(cfg, withFlag)
	err = s.connect(ctx)
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	answer := s.classify(err)
	if errors.Is(ctx.Err(), context.Canceled) { // the caller has canceled the attempt
		answer = answerNone
	}
	again, hint := cfg.State.recordBridgeFlagAttempt(withFlag, second, answer, failure)
	if hint {
		err = &Error{Kind: BridgeFlagSuspected, Err: err}
	}
	return s, again && ctx.Err() == nil, err
}

// usesBridgeFlag returns whether the next attempt sets the bridge flag.
func (s *State) usesBridgeFlag() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.bridgeFlag.leaveOut
}

// recordBridgeFlagAttempt records how an attempt ended. failure is the text of its error.
// second is whether the attempt directly follows another one with withFlag inverted. again
// is whether to make such an attempt at once. hint is whether the flag may be the cause of
// the failure; it stays the same while the outcomes of the attempts stay the same.
func (s *State) recordBridgeFlagAttempt(withFlag, second bool, a connectAnswer, failure string) (again, hint bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.bridgeFlag
	if withFlag {
		return b.recordWithFlag(second, a, failure)
	}
	return false, b.recordWithoutFlag(second, a, failure)
}

func (b *bridgeFlag) recordWithFlag(second bool, a connectAnswer, failure string) (again, hint bool) {
	switch a {
	case answerNone:
	case answerAccepted:
		*b = bridgeFlag{accepted: true}
	case answerWrongVersion:
		again = !second
		b.refused, b.leaveOut = true, true
	case answerOtherCode, answerClosed, answerSilence:
		again = a != answerSilence && !second && !b.retriedAtOnce
		b.retriedAtOnce = b.retriedAtOnce || again
		b.leaveOut, b.silent, b.failureWith = true, a == answerSilence, failure
		hint = !b.accepted && b.failureWithout != failure
	case answerOther:
		b.leaveOut, b.silent, b.failureWith = false, false, ""
	}
	return again, hint
}

func (b *bridgeFlag) recordWithoutFlag(second bool, a connectAnswer, failure string) (hint bool) {
	// The server's answer without the flag differs from its answer with the flag.
	differs := b.failureWith != "" && b.failureWith != failure && (second || b.silent && b.failureWithout == "")
	switch a {
	case answerNone:
	case answerAccepted:
		b.decideRefused(differs)
		b.retriedAtOnce, b.silent, b.failureWith, b.failureWithout = false, false, "", ""
	case answerOther, answerWrongVersion:
		b.decideRefused(differs)
		b.failureWithout = ""
	case answerOtherCode:
		b.decideRefused(differs)
		b.failureWithout = failure
	case answerClosed, answerSilence:
		b.leaveOut, b.failureWithout = b.refused, failure
	}
	return b.failureWithout != "" && !b.refused && !b.accepted && b.failureWith != "" && b.failureWith != failure
}

// decideRefused records whether the server refuses the flag. A server that accepted the
// flag before may have had a temporary fault: the flag is tried once more.
func (b *bridgeFlag) decideRefused(differs bool) {
	if differs && !b.accepted {
		b.refused = true
	}
	if differs {
		b.accepted = false
	}
	b.leaveOut = b.refused
}

// refusesBridgeFlag reports whether the server is known to refuse the bridge flag.
func (s *State) refusesBridgeFlag() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bridgeFlag.refused
}
