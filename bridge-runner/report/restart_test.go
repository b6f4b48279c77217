// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

func TestRestart_ChangedServers_KeepsCountsAndStateOfTheOthers(t *testing.T) {
	metrics := NewMetrics()
	st := newStateWith(metrics)
	start := st.Status().Runners[0].StartTime
	st.Remote.Connected(1, time.Now())
	st.Remote.Failed(0, refused, time.Now())
	st.Remote.Switched(0, connector.Switch{Reason: v1alpha1.ReasonFailedBack}, time.Now())
	st.Remote.Failed(1, refused, time.Now())
	st.SetDeletion(&v1alpha1.DeletionStatus{State: v1alpha1.DeletionDraining})
	st.WatchBacklog(LocalToRemote, slog.New(slog.DiscardHandler))

	next := (&v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "plant", Generation: 4}, Spec: v1alpha1.MQTTBridgeSpec{
		Local:  v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}},
		Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://new"}, Backups: []v1alpha1.Server{{URL: "mqtt://b"}}, ClientID: "other"},
	}}).WithDefaults()
	st.Restart(next, metrics)

	got := st.Status()
	if r := got.Runners[0]; r.Generation != 4 || !r.StartTime.Equal(&start) || !r.StopTime.IsZero() {
		t.Errorf("%+v", r)
	}
	if got.Deletion != nil || got.Buffer != nil {
		t.Errorf("parts of the previous bridge: %+v, %+v", got.Deletion, got.Buffer)
	}
	if r := got.Remote; *r.Switches != 1 || r.LastFailover == nil || r.Active != nil || r.ClientID != "other" {
		t.Errorf("%+v", r)
	}
	if s := got.Remote.Servers; len(s) != 2 || s[0].Name != "new" || s[0].State != v1alpha1.ServerStandby || s[1].Name != "b" || s[1].State != v1alpha1.ServerFailed {
		t.Errorf("%+v", s)
	}
	series := gather(t, metrics)
	for name := range series {
		if strings.Contains(name, "/p/") || strings.HasSuffix(name, " p/remote") {
			t.Errorf("a series of the removed server: %s", name)
		}
	}
	if series["active_server new/remote"] != 0 || series["switches_total FailedBack/remote"] != 1 {
		t.Errorf("%v", series)
	}
	st.Remote.Connected(0, time.Now()) // the loss of the previous bridge's server is not a failover
	if got := st.Status().Remote; *got.Switches != 1 || got.Active.Name != "new" {
		t.Errorf("%+v", got)
	}
}

// The standby starts its bridges again when the manifest changes, and has probed their servers before.
func TestRestart_RenamedServer_KeepsItsState(t *testing.T) {
	metrics := NewMetrics()
	st := newStateWith(metrics)
	st.Remote.Failed(0, refused, time.Now())
	before := st.Status().Remote.Servers[0]
	st.Restart((&v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "plant"}, Spec: v1alpha1.MQTTBridgeSpec{
		Local:  v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}},
		Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://b"}, Backups: []v1alpha1.Server{{Name: "renamed", URL: "mqtt://p"}}},
	}}).WithDefaults(), metrics)
	if got := states(st); got != "b Standby, renamed Failed" {
		t.Errorf("servers: %s", got)
	}
	if s := st.Status().Remote.Servers[1]; !s.Since.Equal(&before.Since) || s.LastError == nil {
		t.Errorf("%+v, before: %+v", s, before)
	}
	series := gather(t, metrics)
	if up, ok := series["server_up renamed/remote"]; !ok || up != 0 {
		t.Errorf("server_up of the renamed server is %v (exists: %t), want 0", up, ok)
	}
	if _, ok := series["server_up p/remote"]; ok {
		t.Error("the earlier name has a series")
	}
}

func TestRegistry_ManyBridges_SeriesAreLabelledAndDisappear(t *testing.T) {
	r := NewRegistry()
	var remove []func()
	for _, name := range []string{"a", "b"} {
		m := NewSparseMetrics()
		newStateWith(m)
		m.Backlog(LocalToRemote, func() delivery.Backlog { return delivery.Backlog{} })
		remove = append(remove, r.AddBridge("plant", name, m))
	}
	count := func(bridge string) (n int) {
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, metric := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range metric.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if labels["namespace"] == "plant" && labels["bridge"] == bridge {
					n++
				}
			}
		}
		return n
	}
	if count("a") == 0 || count("a") != count("b") {
		t.Errorf("%d and %d series", count("a"), count("b"))
	}
	t.Logf("%d series per bridge", count("a"))
	remove[0]()
	if count("a") != 0 || count("b") == 0 {
		t.Errorf("after the removal of a: %d and %d series", count("a"), count("b"))
	}
	m := NewSparseMetrics()
	newStateWith(m)
	r.AddBridge("plant", "a", m) // a bridge of the same name begins again
	if count("a") == 0 {
		t.Error("the new bridge has no series")
	}
}

func TestSetRefused_LongMessage_IsCutAndRemoved(t *testing.T) {
	st := newState(t)
	changed(st)
	st.SetRefused(&v1alpha1.RefusedManifest{Generation: 9, Message: strings.Repeat("x", 2*maxRefused)})
	if r := st.Status().Runners[0].Refused; !changed(st) || r == nil || r.Generation != 9 || len(r.Message) != maxRefused {
		t.Errorf("%+v", r)
	}
	st.SetRefused(nil)
	if r := st.Status().Runners[0].Refused; !changed(st) || r != nil {
		t.Errorf("%+v", r)
	}
}
