// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// counted returns the number of counted faults, by kind.
func counted(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for series, value := range gather(t, m) {
		if labels, found := strings.CutPrefix(series, "protocol_faults_total "); found {
			kind, _, _ := strings.Cut(labels, "/")
			out[kind] = value
		}
	}
	return out
}

func TestFaults_ManyOfOneKind_CountsAllAndLogsOnePer10Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := NewMetrics()
		report := m.Faults("local", slog.New(slog.NewTextHandler(&log, nil)))
		logged := func() string {
			defer log.Reset()
			return log.String()
		}
		topic := session.Fault{Packet: packet.PUBLISH, Faults: packet.FaultTopicWildcard | packet.FaultTopicNUL, Topic: "a/#\x00\n\xff" + strings.Repeat("x", 1000), Size: 77}
		for range 100 {
			report(topic)
		}
		got := logged()
		if strings.Count(got, "\n") != 1 || !strings.Contains(got, "dropped and acknowledged") || !strings.Contains(got, `topic="a/#\x00\n\xff`) ||
			!strings.Contains(got, "size=77") || !strings.Contains(got, "contains a wildcard") || !strings.Contains(got, "NUL") || len(got) > 800 {
			t.Errorf("logged %s", got)
		}
		report(session.Fault{Packet: packet.PUBLISH, Faults: packet.FaultTooLarge, Topic: "b", Size: 1e9})
		if got := logged(); !strings.Contains(got, "larger than maximumPacketSize; it is dropped") || !strings.Contains(got, "size=1000000000") {
			t.Errorf("logged %s", got)
		}
		report(session.Fault{Packet: packet.PUBLISH, Faults: 1 << 3, Topic: "c", Size: 9})
		if got := logged(); !strings.Contains(got, "forwarded without") || !strings.Contains(got, "Content Type") {
			t.Errorf("logged %s", got)
		}
		report(session.Fault{Packet: packet.CONNACK, Faults: packet.FaultUnexpected})
		if got := logged(); !strings.Contains(got, "packet=CONNACK") || strings.Contains(got, "message that") {
			t.Errorf("logged %s", got)
		}
		time.Sleep(faultLogInterval)
		report(topic)
		if got := logged(); !strings.Contains(got, "notLogged=99") {
			t.Errorf("logged %s", got)
		}
		if got := fmt.Sprint(counted(t, m)); got != "map[header:0 packet_identifier:0 properties:1 too_large:1 topic:101 topic_alias:0 unexpected:1]" {
			t.Errorf("counted %s", got)
		}
	})
}

func TestFaults_AllKinds_Documented(t *testing.T) {
	data, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 63 {
		if kind := packet.Faults(1 << bit).Label(); !strings.Contains(string(data), "| `"+kind+"` |") {
			t.Errorf("the kind %s is not documented", kind)
		}
	}
}
