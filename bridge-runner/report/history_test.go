// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// twoServers returns a bridge whose remote side has two servers.
func twoServers() *v1alpha1.MQTTBridge {
	return &v1alpha1.MQTTBridge{Spec: v1alpha1.MQTTBridgeSpec{
		Local: v1alpha1.Side{Primary: v1alpha1.Server{Name: "local", URL: "mqtt://local.example"}},
		Remote: v1alpha1.Side{
			Primary: v1alpha1.Server{Name: "a", URL: "mqtt://a.example"},
			Backups: []v1alpha1.Server{{Name: "b", URL: "mqtt://b.example"}},
		},
	}}
}

func TestSwitches_ManyOnOneSide_KeepsTheLatestOfEachSide(t *testing.T) {
	st := NewState(twoServers(), v1alpha1.RunnerStatus{}, NewMetrics())
	at := time.Now()
	lose := func(from, to int) {
		at = at.Add(time.Second)
		st.Remote.Lost(from, &diagnosis.Problem{Reason: fmt.Sprint("Reason", at.Unix())}, 0, at)
		st.Remote.Connected(to, at.Add(100*time.Millisecond))
	}
	st.Remote.Connected(0, at)
	if got := st.Switches(); len(got) != 0 {
		t.Fatalf("there are switches before the first loss: %v", got)
	}
	const switches = 2*maxHistory + 1
	for i := range switches {
		lose(i%2, 1-i%2)
	}
	got := st.Switches()
	if len(got) != maxHistory {
		t.Fatalf("%d switches, want %d", len(got), maxHistory)
	}
	for i, s := range got {
		want := at.Add(time.Duration(-i)*time.Second + 100*time.Millisecond)
		if !s.Time.Time.Equal(want) || s.Side != "remote" || *s.DurationMilliseconds != 100 {
			t.Errorf("switch %d: %+v, want the time %s", i, s, want)
		}
	}
	if latest := st.Status().Remote.LastFailover; !latest.Time.Time.Equal(got[0].Time.Time) {
		t.Errorf("the first switch is %v, and the status has %v", got[0], latest)
	}
	st.Restart(twoServers(), NewMetrics())
	if got := st.Switches(); len(got) != maxHistory {
		t.Errorf("%d switches after a restart of the bridge", len(got))
	}
}

func TestTraffic_Direction_HasTheValuesOfTheMetrics(t *testing.T) {
	m := NewSparseMetrics()
	NewState(twoServers(), v1alpha1.RunnerStatus{}, m)
	if got := m.Traffic(LocalToRemote); got != (Traffic{}) {
		t.Errorf("without a pipe: %+v", got)
	}
	if n := len(m.forwarded.series); n != 0 {
		t.Errorf("reading has created %d series", n)
	}
	d := m.Meter(LocalToRemote, []manifest.Rule{{Name: "r"}}, slog.New(slog.DiscardHandler))
	other := m.Meter(RemoteToLocal, []manifest.Rule{{Name: "r"}}, slog.New(slog.DiscardHandler))
	d.Forwarded(100, time.Millisecond)
	d.Forwarded(50, time.Millisecond)
	d.Dropped(delivery.DropNoRule)
	d.Dropped(delivery.DropInvalidTopic)
	d.Resent(7)
	d.SetHeld(5, 3)
	other.Forwarded(1000, time.Millisecond)
	m.SetCapacity(LocalToRemote, 1<<20, 1<<30)
	m.Backlog(LocalToRemote, func() delivery.Backlog { return delivery.Backlog{Messages: 9, Bytes: 900} })
	want := Traffic{
		Forwarded: 2, Bytes: 150, Resent: 7, Dropped: 2, Held: 5, InFlight: 3,
		Backlog: delivery.Backlog{Messages: 9, Bytes: 900}, MemoryBytes: 1 << 20, DiskBytes: 1 << 30,
	}
	if got := m.Traffic(LocalToRemote); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
