// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/check"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The check of the servers of a running bridge sends nothing but CONNECT, PINGREQ and DISCONNECT, ends no
// connection of the bridge, and leaves no session.
func TestCheck_BridgeRuns_KeepsItsConnections(t *testing.T) {
	t.Parallel()
	const connect, pingreq, disconnect = 1, 12, 14
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	recorders := []*mqtttest.Recorder{mqtttest.StartRecorder(t, local), mqtttest.StartRecorder(t, remote)}
	b := downToo(manifest("checked", recorders[0].URL(), recorders[1].URL()))
	b.Spec.Local.Primary.Name, b.Spec.Remote.Primary.Name = "primary", "primary"
	r := mqtttest.StartRunner(t, b)
	r.WaitActive("primary", eventTimeout)
	for _, recorder := range recorders {
		recorder.Record()
	}
	var report check.Report
	command(t, b, &report, "check", "--connect")
	if report.Result != check.Good || len(report.Bridges[0].Servers) != 2 {
		t.Fatalf("%+v", report)
	}
	for i, s := range report.Bridges[0].Servers {
		var sent []byte
		for _, p := range recorders[i].Packets() {
			switch {
			case p.ClientID == s.ClientID:
				sent = append(sent, p.Type)
			case p.Type == connect:
				t.Errorf("%s: %s has connected again", s.Side, p.ClientID)
			}
		}
		if !slices.Equal(sent, []byte{connect, pingreq, disconnect}) {
			t.Errorf("%s: the check sent packets of the types %d", s.Side, sent)
		}
	}
	for _, broker := range []*mqtttest.Broker{local, remote} {
		for _, s := range report.Bridges[0].Servers {
			if broker.HasSession(s.ClientID) {
				t.Errorf("%s holds a session of the check", broker.Name)
			}
		}
	}
	if err := r.Connected("primary"); err != nil {
		t.Error(err)
	}
}
