// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestCredentialsCheck_Fingerprints_AreTestedWhenTheyHaveSettled(t *testing.T) {
	for _, c := range []struct {
		name         string
		fingerprints string // at one check after the other; the connection has A
		tests        string // whether each is tested: x or -
	}{
		{"no change", "AAA", "---"},
		{"one change", "ABBB", "--xx"},
		{"a change in two steps", "ABCC", "---x"},
		{"a change that is undone", "ABAB", "----"},
		{"a change that is undone and repeated", "ABABB", "----x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k credentialsCheck
			tests := ""
			for _, now := range strings.Split(c.fingerprints, "") {
				if k.observe("A", now) {
					tests += "x"
				} else {
					tests += "-"
				}
			}
			if tests != c.tests {
				t.Errorf("tests %s, want %s", tests, c.tests)
			}
		})
	}
}

func TestCredentialsCheck_UnusableCredentials_AreTestedOnce(t *testing.T) {
	k := credentialsCheck{seen: "B", unusable: "B"}
	if k.observe("A", "B") {
		t.Error("they are tested again")
	}
	k.observe("A", "C")
	if !k.observe("A", "C") {
		t.Error("the next change is not tested")
	}
}

// secrets are the simulated credentials of a server. A value that ends with ! cannot be used.
type secrets struct{ value atomic.Value }

// newSecretSide returns a running side that is connected to its first server. The test may change
// the credentials of this server at any time.
func newSecretSide(t *testing.T, servers int, reconnect bool) (x *side, s *secrets, a *script.Conn) {
	t.Helper()
	x, s = newSide(t, servers), &secrets{}
	x.ReconnectOnChange = reconnect
	s.value.Store("first")
	target := &x.Servers[0]
	config := target.Config
	target.Credentials = func() (string, error) { return s.value.Load().(string), nil }
	target.Config = func() (session.Config, error) {
		if strings.HasSuffix(s.value.Load().(string), "!") {
			return session.Config{}, errors.New("unusable")
		}
		return config()
	}
	x.run()
	a = x.connect(0)
	x.want("connected 0")
	return x, s, a
}

func TestCredentials_Change_Reconnects(t *testing.T) {
	x, s, a := newSecretSide(t, 2, true)
	s.value.Store("second")
	x.want("paused")
	leave(a)
	_ = x.connect(0)
	x.want("replaced")
	x.wantNone("lost 0")
}

func TestCredentials_ChangeWithoutReconnect_AppliesToNextConnection(t *testing.T) {
	x, s, a := newSecretSide(t, 1, false)
	s.value.Store("second")
	x.change(func(s *Settings) { s.ReconnectOnChange = true }) // the connection still has the first value
	x.want("paused")
	leave(a)
	_ = x.connect(0)
	x.want("replaced")
}

func TestCredentials_Unusable_KeepsConnectionAndReportsOnce(t *testing.T) {
	x, s, a := newSecretSide(t, 1, true)
	s.value.Store("second!")
	x.want("short 0: CredentialsUnusable")
	s.value.Store("third")
	x.want("paused")
	leave(a)
	_ = x.connect(0)
	x.want("replaced")
	x.wantNone("short 0: CredentialsUnusable") // the new connection has no such shortfall
}

func TestCredentials_Refused_FailsOver(t *testing.T) {
	x, s, a := newSecretSide(t, 2, true)
	s.value.Store("second")
	leave(a)
	x.accept(0, bridgeID).Send(script.Packet{Type: v5.CONNACK, Code: 0x87})
	_ = x.connect(1)
	x.want("lost 0", "connected 1")
}
