// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/explain"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// command runs a command of the runner with the manifest of a bridge, and decodes its report.
func command(t *testing.T, b *v1alpha1.MQTTBridge, report any, name string, args ...string) {
	t.Helper()
	data, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), mqtttest.RunnerBinary(t), append([]string{name, "-f", file, "-o", "json"}, args...)...)
	var fault bytes.Buffer
	cmd.Stderr = &fault
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, &fault)
	}
	if err := json.Unmarshal(out, report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// arrived is a message as a client of a side receives it.
type arrived struct {
	side, topic string
	qos         byte
}

// explained returns the messages that explain expects, in alphabetical order, if a client publishes a message on
// a side: the messages on the other side, and the messages that come back.
func explained(t *testing.T, b *v1alpha1.MQTTBridge, side, topic string, qos byte) []string {
	t.Helper()
	var report explain.Report
	command(t, b, &report, "explain", "--qos", fmt.Sprint(qos), topic)
	var out []string
	for _, d := range report.Bridges[0].Messages[0].Directions {
		if d.Source != side {
			continue
		}
		for _, r := range d.Rules {
			if !r.Forwarded {
				continue
			}
			out = append(out, fmt.Sprint(arrived{d.Destination, r.Published.Topic, r.Published.QoS}))
			for _, back := range r.Returns {
				if back.PreventedBy == explain.PreventedByNothing {
					out = append(out, fmt.Sprint(arrived{d.Source, back.Topic, back.QoS}))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// Explain agrees with a runner between two brokers: each message arrives as explain says, and no other message does.
func TestExplain_MessagesThroughRunner_ArriveAsExplained(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*v1alpha1.MQTTBridge){
		"no change": func(*v1alpha1.MQTTBridge) {},
		"servers send messages back": func(b *v1alpha1.MQTTBridge) {
			b.Spec.Remote.ProtocolVersion, b.Spec.Remote.BridgeMode = ptr.To(v1alpha1.ProtocolVersion311), ptr.To(v1alpha1.BridgeModeOff)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
			b := manifest("explained", local.URL(), remote.URL())
			b.Spec.Local.Primary.Name, b.Spec.Remote.Primary.Name = "primary", "primary"
			b.Spec.LocalToRemote = []v1alpha1.Rule{
				{Filter: "a/#", Topic: "plant/${1}", QoS: ptr.To[int32](2), Exclude: []string{"a/secret/#"}},
				{Filter: "a/+", Topic: "copy/${1}", QoS: ptr.To[int32](0)},
				{Filter: "up/#", Topic: "${1}"},
				{Filter: "mark/local"},
			}
			b.Spec.RemoteToLocal = []v1alpha1.Rule{
				{Filter: "plant/#", Topic: "back/${1}", Exclude: []string{"plant/quiet"}},
				{Filter: "down/+/x", Topic: "${1}/down"},
				{Filter: "mark/remote"},
			}
			change(b)
			mqtttest.StartRunner(t, b).WaitActive("primary", eventTimeout)
			clients := map[string]*mqtttest.Client5{"local": mqtttest.StartClient5(t, local, "observer"), "remote": mqtttest.StartClient5(t, remote, "observer")}
			for _, c := range clients {
				c.Subscribe("#")
			}
			n := 0
			for _, m := range []arrived{
				{"local", "a/x", 2},
				{"local", "a/x", 1},
				{"local", "a/x", 0},
				{"local", "a/x/y", 1},
				{"local", "a", 1},
				{"local", "a/quiet", 1},
				{"local", "a/secret", 1},
				{"local", "up/$SYS/x", 1},
				{"local", "up/b", 2},
				{"local", "other", 1},
				{"local", "down/b/x", 1},
				{"remote", "down/b/x", 2},
				{"remote", "down/b/y", 1},
				{"remote", "plant/z", 2},
				{"remote", "plant", 0},
				{"remote", "plant/quiet", 1},
				{"remote", "a/x", 1},
			} {
				n++
				payload := fmt.Sprint("m", n)
				want := explained(t, b, m.side, m.topic, m.qos)
				clients[m.side].Publish(&paho.Publish{Topic: m.topic, QoS: m.qos, Payload: []byte(payload)})
				if got := arrivals(t, clients, m, payload); !slices.Equal(got, want) {
					t.Errorf("%v: arrived %q, explained %q", m, got, want)
				}
			}
		})
	}
}

// arrivals returns the messages with a payload that have arrived, in alphabetical order, without the published
// message itself. It returns when the marks that follow the message in both directions have passed.
func arrivals(t *testing.T, clients map[string]*mqtttest.Client5, published arrived, payload string) []string {
	t.Helper()
	mark := func(side, at string) {
		topic := "mark/" + side
		before := len(clients[at].Received(topic))
		clients[side].Publish(&paho.Publish{Topic: topic, QoS: 1, Payload: []byte("mark")})
		clients[at].Wait(topic, before+1, eventTimeout)
	}
	// A message may come back: the marks follow it there and back.
	for _, side := range []string{"local", "remote", "local", "remote"} {
		mark(side, map[string]string{"local": "remote", "remote": "local"}[side])
	}
	var out []string
	for side, c := range clients {
		own := false
		for _, p := range c.Received("") {
			if string(p.Payload) != payload {
				continue
			}
			if side == published.side && p.Topic == published.topic && !own {
				own = true
				continue
			}
			out = append(out, fmt.Sprint(arrived{side, p.Topic, p.QoS}))
		}
	}
	slices.Sort(out)
	return out
}
