// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// registryOf returns a registry with the metrics of one bridge.
func registryOf(m *Metrics) *prometheus.Registry {
	r := NewRegistry()
	r.Add(m)
	return r.registry
}

// gather returns the values of all series of counters and gauges, by name and labels.
func gather(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	families, err := registryOf(m).Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			out[strings.TrimPrefix(f.GetName(), "mqttbridge_")+" "+labelText(metric)] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return out
}

func labelText(m *dto.Metric) string {
	values := make([]string, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		values = append(values, l.GetValue())
	}
	return strings.Join(values, "/")
}

func TestMetrics_BeforeFirstEvent_CountersAreZero(t *testing.T) {
	m := NewMetrics()
	b := (&v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "plant"}, Spec: v1alpha1.MQTTBridgeSpec{
		Local:  v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}},
		Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtts://p"}, Backups: []v1alpha1.Server{{URL: "mqtt://b"}}},
	}}).WithDefaults()
	NewState(b, v1alpha1.RunnerStatus{Pod: "pod-1"}, m)
	for _, direction := range []string{LocalToRemote, RemoteToLocal} {
		m.Meter(direction, nil, slog.New(slog.DiscardHandler))
	}
	for _, side := range []string{"local", "remote"} {
		m.Faults(side, slog.New(slog.DiscardHandler))
	}
	m.SetCapacity(LocalToRemote, 1000, 5000)
	m.SetCapacity(RemoteToLocal, 1000, 0)

	// The labels of a series are in alphabetical order.
	var want []string
	for _, direction := range []string{LocalToRemote, RemoteToLocal} {
		for _, cause := range delivery.DropCauses {
			want = append(want, "messages_dropped_total "+cause+"/"+direction)
		}
	}
	for _, kind := range packet.FaultLabels {
		want = append(want, "protocol_faults_total "+kind+"/local", "protocol_faults_total "+kind+"/remote")
	}
	for _, reason := range diagnosis.ServerReasons() {
		want = append(want, "switches_total "+reason+"/remote", "connection_failures_total "+reason+"/l/local")
		for _, server := range []string{"p", "b"} {
			want = append(want, "connection_failures_total "+reason+"/"+server+"/remote", "probes_total "+reason+"/"+server+"/remote")
		}
	}
	want = append(want, "switches_total FailedBack/remote", "switches_total SwitchRequested/remote",
		"probes_total passed/p/remote", "probes_total passed/b/remote", "tls_handshakes_total full/p/remote", "tls_handshakes_total resumed/p/remote")

	got := gather(t, m)
	for _, series := range want {
		if value, ok := got[series]; !ok || value != 0 {
			t.Errorf("%s is %v (exists: %t); want 0", series, value, ok)
		}
	}
	for name, prefix := range map[string]string{"a side with one server": "switches_total", "a server without TLS": "tls_handshakes_total"} {
		for series := range got {
			if strings.HasPrefix(series, prefix+" ") && (strings.HasSuffix(series, "/local") || strings.Contains(series, "/b/")) {
				t.Errorf("%s has the series %s", name, series)
			}
		}
	}
	t.Logf("%d series of counters and gauges", len(got))
	if got["buffer_capacity_bytes "+LocalToRemote+"/disk"] != 5000 || got["buffer_capacity_bytes "+RemoteToLocal+"/memory"] != 1000 {
		t.Errorf("the capacity is missing: %q", slices.Sorted(maps.Keys(got)))
	}
	if _, ok := got["buffer_capacity_bytes "+RemoteToLocal+"/disk"]; ok {
		t.Error("a direction without a buffer on disk has a capacity on disk")
	}
}
