// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// tries answers the attempts of one Open as given, and returns the error. An attempt is
// "with" or "without" the flag, followed by the server's answer: a CONNACK code, close or
// silence.
func (p *peer) tries(attempts ...string) *Problem {
	p.t.Helper()
	done := make(chan opened, 1)
	cfg := p.cfg
	ctx, cancel := context.WithCancel(p.t.Context())
	if slices.ContainsFunc(attempts, func(a string) bool { return strings.HasSuffix(a, "silence") }) {
		ctx, cancel = context.WithTimeout(p.t.Context(), brief)
	}
	defer cancel()
	go func() {
		s, err := Open(ctx, cfg)
		done <- opened{s, err}
	}()
	for i, want := range attempts {
		conn := p.server.Accept()
		got, answer := "without", strings.Fields(want)[1]
		if conn.Next().Connect.ProtocolVersion&0x80 != 0 {
			got = "with"
		}
		if got += " " + answer; got != want {
			p.t.Errorf("attempt %d: %s, want %s", i+1, got, want)
		}
		switch answer {
		case "close":
			_ = conn.Close()
		case "silence":
		default:
			code, err := strconv.ParseUint(answer, 10, 8)
			if err != nil {
				p.t.Fatal(err)
			}
			conn.Send(script.Packet{Type: v5.CONNACK, Code: byte(code)})
		}
	}
	o := <-done
	if o.err == nil {
		go o.s.Close()
		return nil
	}
	return p.wantError(o)
}

func TestBridgeFlag_ServerAnswers_LeftOutIfRefused(t *testing.T) {
	for name, opens := range map[string][][]string{
		"accepted":                          {{"with 0"}, {"with 0"}},
		"version refused, remembered":       {{"with 1", "without 0"}, {"without 0"}, {"without close"}, {"without 0"}},
		"closed, remembered":                {{"with close", "without 0"}, {"without 0"}},
		"identifier refused, remembered":    {{"with 2", "without 0"}, {"without 0"}},
		"unavailable, remembered":           {{"with 3", "without 0"}, {"without 0"}},
		"not authorised, remembered":        {{"with 5", "without 0"}, {"without 0"}},
		"refused as Mochi does, remembered": {{"with 130", "without 0"}, {"without 0"}},
		"silent, remembered":                {{"with silence"}, {"without 0"}, {"without 0"}},
		"closed, and a wrong password":      {{"with close", "without 4"}, {"without 4"}, {"without 0"}},
		"not authorised, another code":      {{"with 5", "without 4"}, {"without 4"}, {"without 0"}},
		"silent, and a wrong password":      {{"with silence"}, {"without 5"}, {"without 5"}, {"without 0"}, {"without 0"}},
		"closed: once more, then alternate": {{"with close", "without close"}, {"with close"}, {"without close"}, {"with 0"}},
		"a wrong password, sent twice only once": {
			{"with 5", "without 5"}, {"with 5"}, {"without 5"}, {"with 5"}, {"without 0"}, {"with 0"},
		},
		"a wrong password that is refused otherwise": {{"with 4"}, {"with 4"}, {"with 0"}},
		"silent with and without, alternately":       {{"with silence"}, {"without silence"}, {"with silence"}, {"without silence"}, {"with 0"}},
		"accepted once, temporarily closed":          {{"with 0"}, {"with close", "without 0"}, {"with 0"}},
		"accepted once, another server now":          {{"with 0"}, {"with close", "without 0"}, {"with close", "without 0"}, {"without 0"}},
		"accepted once, temporarily silent":          {{"with 0"}, {"with silence"}, {"without 0"}, {"with 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, packet.V311)
			p.cfg.BridgeFlag = true
			for i, attempts := range opens {
				err := p.tries(attempts...)
				if last := attempts[len(attempts)-1]; (err == nil) != strings.HasSuffix(last, " 0") {
					t.Fatalf("Open %d: %v after %s", i+1, err, last)
				}
			}
		})
	}
}

func TestBridgeFlag_MQTT5_IsNotSet(t *testing.T) {
	p := newPeer(t, packet.V5)
	p.cfg.BridgeFlag = true
	conn, _ := p.dial()
	if level := conn.Next().Connect.ProtocolVersion; level != 5 {
		t.Errorf("the protocol level is %d", level)
	}
	_ = conn.Close()
}

// A status is written when its text changes: the text must not depend on whether an attempt
// had the flag.
func TestBridgeFlag_PossibleCause_MessageNamesBridgeModeAndStaysTheSame(t *testing.T) {
	const hint = "; if the server does not support the bridge flag, set bridgeMode: 'Off'"
	p := newPeer(t, packet.V311)
	p.cfg.BridgeFlag = true
	if err := p.tries("with silence"); !strings.HasSuffix(err.Message, hint) {
		t.Error(err)
	}
	if err := p.tries("without silence"); strings.Contains(err.Message, hint) {
		t.Error(err) // without the flag the error is the same
	}
	if err := p.tries("with silence"); strings.Contains(err.Message, hint) {
		t.Error(err)
	}
	p.cfg.State = NewState()
	first := p.tries("with 5", "without 5")
	for _, attempt := range []string{"with 5", "without 5", "with 5"} {
		if err := p.tries(attempt); err.Message != first.Message || strings.Contains(err.Message, hint) {
			t.Errorf("%q, then %q", first.Message, err.Message)
		}
	}
}

func TestBridgeFlag_Refused_IsRemarkedOn(t *testing.T) {
	p := newPeer(t, packet.V311)
	p.cfg.BridgeFlag = true
	if err := p.tries("with close", "without 0"); err != nil {
		t.Fatal(err)
	}
	l := p.new()
	if got := ExplainRemarks(l.s.Remarks()); len(got) != 1 || got[0] != "the server refuses the bridge flag, so the bridge connects without it; set bridgeMode: 'Off' to avoid the attempt with the flag" {
		t.Errorf("remarks: %q", got)
	}
}
