// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"io"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// The bridge flag's record compares the texts of two failures.
func TestError_Text_DiffersWithEachFact(t *testing.T) {
	cause := &transport.Error{Kind: transport.WebSocketClosed, Code: 1008}
	texts := map[string]error{}
	for _, err := range []error{
		&Error{Kind: ConnectRefused},
		&Error{Kind: ConnectRefused, Code: 3},
		&Error{Kind: ConnectRefused, Code: 3, Said: "why"},
		&Error{Kind: ConnectRefused, Code: 3, ServerReference: "other"},
		&Error{Kind: ConnackFailed, Detail: "x"},
		&Error{Kind: ConnackFailed, Detail: "y"},
		&Error{Kind: PublishRefused, Code: 3, Topic: "t"},
		&Error{Kind: SubscribingFailed, Filters: []string{"a"}, Err: cause},
		&Error{Kind: SubscribingFailed, Filters: []string{"b"}, Err: cause},
		&Error{Kind: SubscribingFailed, Filters: []string{"a"}, Err: io.EOF},
		&Error{Kind: SubscriptionsRefused, Refused: []RefusedFilter{{Filter: "a", Code: 0x87}}},
		&Error{Kind: SubscriptionsRefused, Refused: []RefusedFilter{{Filter: "a", Code: 0x80}}},
		&Error{Kind: BridgeFlagSuspected, Err: cause},
	} {
		text := err.Error()
		if other := texts[text]; other != nil {
			t.Errorf("%#v and %#v have the text %q", err, other, text)
		}
		texts[text] = err
	}
}

func TestClassify_EachFailure_HasItsAnswer(t *testing.T) {
	sent := &Session{connectSent: true}
	for _, c := range []struct {
		s    *Session
		err  error
		want connectAnswer
	}{
		{sent, nil, answerAccepted},
		{&Session{}, &transport.Error{Kind: transport.ConnectTimeout}, answerNone},
		{sent, &Error{Kind: ConnectRefused, Code: 1}, answerWrongVersion},
		{sent, &Error{Kind: ConnectRefused, Code: 0x84}, answerWrongVersion},
		{sent, &Error{Kind: VersionNotSupported}, answerWrongVersion},
		{sent, &Error{Kind: ConnectRefused, Code: 4}, answerOther},
		{sent, &Error{Kind: ConnectRefused, Code: 5}, answerOtherCode},
		{sent, &Error{Kind: ConnectRefused, Code: 0x82}, answerOtherCode},
		{sent, &Error{Kind: ConnackClosed}, answerClosed},
		{sent, &Error{Kind: ConnackFailed}, answerClosed},
		{sent, fmt.Errorf("wrapped: %w", &transport.Error{Kind: transport.WebSocketClosed}), answerClosed},
		{sent, &transport.Error{Kind: transport.AlertOther}, answerOther},
		{sent, &Error{Kind: ConnackTimeout}, answerSilence},
		{sent, &Error{Kind: AnswerNotMQTT}, answerOther},
	} {
		if got := c.s.classify(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}
