// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestRetained_LiveMessage_KeepsFlagIfServerSendsIt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version v1alpha1.ProtocolVersion
		mode    v1alpha1.BridgeMode
		kept    bool
	}{
		{v5, v1alpha1.BridgeModeAuto, true},
		{v311, v1alpha1.BridgeModeAuto, true},
		{v311, v1alpha1.BridgeModeOff, false},
	} {
		t.Run(fmt.Sprintf("%s, bridge mode %s", tc.version, tc.mode), func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			b := speaking(manifest("flag", p.local.URL(), p.remote.URL()), tc.version, v5)
			b.Spec.Local.BridgeMode = &tc.mode
			mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
			p.here.Publish(&paho.Publish{Topic: "up/x", QoS: 1, Retain: true, Payload: []byte("x")})
			if got := p.there.Wait("up/x", 1, eventTimeout)[0]; got.Retain != tc.kept {
				t.Errorf("the retain flag is %t, want %t", got.Retain, tc.kept)
			}
		})
	}
}

func TestRetainHandling_EachValue_SelectsRetainedMessages(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	topics := map[v1alpha1.RetainHandling]string{
		v1alpha1.RetainHandlingSend: "send", v1alpha1.RetainHandlingSendIfNew: "new", v1alpha1.RetainHandlingDoNotSend: "not",
	}
	b := speaking(manifest("retained", p.local.URL(), p.remote.URL()), v5, v5)
	b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "mark"}, {Filter: "default/#"}}
	for handling, topic := range topics {
		b.Spec.LocalToRemote = append(b.Spec.LocalToRemote, v1alpha1.Rule{Filter: topic + "/#", RetainHandling: &handling})
	}
	for _, rule := range b.Spec.LocalToRemote[1:] {
		p.here.Publish(&paho.Publish{Topic: strings.Replace(rule.Filter, "#", "x", 1), QoS: 1, Retain: true, Payload: []byte("x")})
	}
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	check := func(when string, want map[string]int) {
		t.Helper()
		p.mark()
		for topic, n := range want {
			if got := len(p.there.Received(topic)); got != n {
				t.Errorf("%s: %s arrived %d times, want %d", when, topic, got, n)
			}
		}
	}
	check("at the first subscription", map[string]int{"send/x": 1, "new/x": 1, "default/x": 1, "not/x": 0})
	r.Terminate()
	r.Start()
	r.WaitActive("primary", eventTimeout)
	check("when the runner has started again", map[string]int{"send/x": 2, "new/x": 1, "default/x": 1, "not/x": 0})
	p.here.Publish(&paho.Publish{Topic: "not/x", QoS: 1, Retain: true, Payload: []byte("live")})
	p.there.Wait("not/x", 1, eventTimeout)
}
