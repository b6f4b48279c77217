// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// silence calls run for each fault with which a server becomes silent.
func silence(run func(place int, f fault)) {
	names := []string{"frozen", "black-holed", "black-holed towards the server", "black-holed from the server"}
	for place, f := range established {
		if slices.Contains(names, f.name) {
			run(place, f)
		}
	}
}

func TestSilentServer_DefaultSettings_IsDetectedWithin15Seconds(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	if d := silent.of(defaults); d != 15*time.Second {
		t.Errorf("with the defaults, silence is detected within %s, want 15 s", d)
	}
	silence(func(place int, f fault) {
		f.name += ", defaults"
		for _, d := range []direction{toward, from} {
			t.Run(fmt.Sprintf("%s/%s", f.name, words(remote, d)), func(t *testing.T) {
				t.Parallel()
				w := &world{TB: t, side: remote, direction: d, version: v1alpha1.ProtocolVersion311, settings: defaults, bench: b}
				w.outage(&f, place, []byte{1, 2})
			})
		}
	})
}

func TestSilentServer_EachTransport_IsDetected(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	pki := mqtttest.NewPKI(t)
	for name, options := range map[string]mqtttest.BrokerOptions{
		"TLS":                {TLS: pki.Server()},
		"WebSocket":          {WebSocket: true},
		"WebSocket over TLS": {WebSocket: true, TLS: pki.Server()},
	} {
		silence(func(place int, f fault) {
			f.name += ", " + name
			for i, d := range []direction{toward, from} {
				t.Run(fmt.Sprintf("%s/%s", f.name, words(remote, d)), func(t *testing.T) {
					t.Parallel()
					w := &world{TB: t, side: remote, direction: d, version: both[i], settings: short, bench: b, pki: pki, options: options}
					w.outage(&f, place, []byte{1, 2})
				})
			}
		})
	}
}

func TestSilentServer_NoMessages_IsDetected(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	silence(func(place int, f fault) {
		for _, version := range both {
			t.Run(fmt.Sprintf("%s/MQTT %s", f.name, version), func(t *testing.T) {
				t.Parallel()
				w := &world{TB: t, side: remote, version: version, settings: short, bench: b}
				w.need(f.isolated, f.name+", no messages")
				w.build(false)
				w.connect()
				began, within := time.Now(), silent.of(w.settings)
				f.inject(w)
				w.waitActive(w.backup.Name, within+eventTimeout)
				n := w.noticed("primary")
				noticed := w.took(began, n.at)
				if noticed.own > within+margin {
					t.Errorf("detected after %s, want within %s + %s", noticed, within, margin)
				}
				if n.reason != v1alpha1.ReasonPingTimeout && n.reason != v1alpha1.ReasonAckTimeout {
					t.Errorf("the reason is %s\n%s", n.reason, n.line)
				}
				f.heal(w)
				results.add(result{
					place: place, fault: f.name + ", no messages", version: string(version), side: w.side, direction: "-", qos: "-",
					reason: n.reason, bound: within, noticed: noticed,
				})
			})
		}
	})
}
