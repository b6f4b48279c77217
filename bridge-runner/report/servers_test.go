// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// listed returns servers with these names.
func listed(names ...string) []connector.Server {
	out := make([]connector.Server, len(names))
	for i, name := range names {
		out[i] = connector.Server{Name: name, URL: "mqtt://" + name}
	}
	return out
}

// states returns the servers of the remote side with their states.
func states(st *State) string {
	var all []string
	for _, server := range st.Status().Remote.Servers {
		all = append(all, fmt.Sprintf("%s %s", server.Name, server.State))
	}
	return strings.Join(all, ", ")
}

func TestServersChanged_Reordered_KeepsStatesAndUpdatesPlace(t *testing.T) {
	st := newState(t)
	start := time.Now()
	st.Remote.Failed(0, refused, start)
	st.Remote.Connected(1, start)
	before := st.Status().Remote
	changed(st)
	st.Remote.ServersChanged(listed("b", "new", "p"), []int{1, noServer, 0}, start.Add(time.Hour))
	after := st.Status().Remote
	if !changed(st) {
		t.Error("the change is not signalled")
	}
	if got := states(st); got != "b Active, new Standby, p Failed" {
		t.Errorf("servers: %s", got)
	}
	if p, was := after.Servers[2], before.Servers[0]; !p.Since.Equal(&was.Since) || p.LastError.Message != was.LastError.Message {
		t.Errorf("%+v, before: %+v", p, was)
	}
	if a := after.Active; a.Role != v1alpha1.RolePrimary || a.Place != 1 || !a.Since.Equal(&before.Active.Since) {
		t.Errorf("active: %+v", a)
	}
	if since := after.Servers[1].Since; !since.After(start) {
		t.Errorf("the new server is on standby since %v", since)
	}
}

func TestServersChanged_NamesExchanged_StatesFollowTheServers(t *testing.T) {
	m := NewMetrics()
	st := newStateWith(m)
	now := time.Now()
	st.Remote.Connected(0, now)
	st.Remote.ServersChanged(listed("b", "p"), []int{0, 1}, now)
	st.Remote.Failed(1, refused, now)
	st.Remote.Lost(0, closed, 0, now)
	st.Remote.ServersChanged(listed("c", "p"), []int{0, 1}, now)
	st.Remote.Connected(0, now)
	if got := st.Status().Remote; states(st) != "c Active, p Failed" || got.Active.Name != "c" || got.LastFailover != nil {
		t.Errorf("%s, active: %+v, failover: %+v", states(st), got.Active, got.LastFailover)
	}
	st.Remote.ServersChanged(listed("p", "c"), []int{0, 1}, now)
	if got := st.Status().Remote; states(st) != "p Active, c Failed" || got.Active.Name != "p" {
		t.Errorf("%s, active: %+v", states(st), got.Active)
	}
	got := gather(t, m)
	for series, want := range map[string]float64{
		"active_server p/remote": 1, "active_server c/remote": 0, "server_up p/remote": 1, "server_up c/remote": 0,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s is %v (exists: %t); want %v", series, value, ok, want)
		}
	}
	if _, ok := got["active_server b/remote"]; ok {
		t.Error("an earlier name has a series")
	}
}

func TestServersChanged_ServerInUseRemoved_IsLastUntilSwitch(t *testing.T) {
	st := newState(t)
	start := time.Now()
	st.Remote.Connected(0, start)
	st.Remote.ServersChanged(listed("b", "p"), []int{1, 0}, start) // p is not in the settings
	if a := st.Status().Remote.Active; a.Name != "p" || a.Role != v1alpha1.RoleBackup || a.Place != 2 {
		t.Errorf("active: %+v", a)
	}
	st.Remote.Switched(0, connector.Switch{Reason: v1alpha1.ReasonServerRemoved}, start)
	st.Remote.ServersChanged(listed("b"), []int{0}, start)
	got := st.Status().Remote
	if f := got.LastFailover; states(st) != "b Active" || f.From != "p" || f.To != "b" || f.Reason != v1alpha1.ReasonServerRemoved || *got.Switches != 1 {
		t.Errorf("%s; failover: %+v", states(st), f)
	}
}

func TestServersChanged_LostServerRemoved_FailoverNamesIt(t *testing.T) {
	st := newState(t)
	start := time.Now()
	st.Remote.Connected(0, start)
	st.Remote.Lost(0, closed, 0, start)
	st.Remote.ServersChanged(listed("new", "b"), []int{noServer, 1}, start)
	st.Remote.Connected(0, start)
	if f := st.Status().Remote.LastFailover; f == nil || f.From != "p" || f.To != "new" {
		t.Errorf("failover: %+v", f)
	}
}

func TestServersChanged_FullListAndRemovedServer_StatusKeepsLimitsOfSchema(t *testing.T) {
	st := newState(t)
	st.Remote.Connected(0, time.Now())
	var names []string
	var kept []int
	for i := range maxServers {
		names, kept = append(names, fmt.Sprint("s", i)), append(kept, noServer)
	}
	st.Remote.ServersChanged(listed(append(names, "p")...), append(kept, 0), time.Now())
	if got := st.Status().Remote; len(got.Servers) != maxServers || got.Active.Name != "p" || got.Active.Place != maxServers {
		t.Errorf("%d servers, active: %+v", len(got.Servers), got.Active)
	}
}

func TestServersChanged_Shortfalls_FollowTheirServer(t *testing.T) {
	st := newState(t)
	st.Remote.ShortfallsFound(1, []diagnosis.Problem{{Reason: v1alpha1.ReasonQoSLowered}})
	st.Remote.ServersChanged(listed("b", "p"), []int{1, 0}, time.Now())
	st.Remote.Connected(0, time.Now())
	if got := st.Status().Remote.Shortfalls; len(got) != 1 {
		t.Errorf("shortfalls: %+v", got)
	}
	st.Remote.ShortfallsFound(0, []diagnosis.Problem{{Reason: v1alpha1.ReasonCredentialsUnusable}})
	if got := st.Status().Remote.Shortfalls; len(got) != 1 || got[0].Reason != v1alpha1.ReasonCredentialsUnusable {
		t.Errorf("shortfalls of the active server: %+v", got)
	}
}

func TestServersChanged_Metrics_FollowTheList(t *testing.T) {
	m := NewMetrics()
	st := newStateWith(m)
	now := time.Now()
	st.Remote.Failed(1, refused, now)
	st.Remote.Connected(0, now)
	st.Local.Connected(0, now)
	st.Local.ServersChanged(listed("p"), []int{noServer}, now) // the same name as on the remote side
	st.Remote.ServersChanged(listed("p", "new"), []int{0, noServer}, now)
	st.Remote.Handshake("b", transport.Handshake{}) // of a probe that began earlier
	st.Local.ServersChanged(listed("l"), []int{noServer}, now)
	got := gather(t, m)
	for series, want := range map[string]float64{
		"active_server p/remote": 1, "active_server new/remote": 0, "active_server l/local": 0, "server_up p/remote": 1,
		"connection_failures_total " + refused.Reason + "/new/remote": 0, "probes_total passed/new/remote": 0,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s is %v (exists: %t); want %v", series, value, ok, want)
		}
	}
	for series := range got {
		if strings.Contains(series+"/", "/b/") || strings.Contains(series, " b/") || strings.Contains(series, "p/local") {
			t.Errorf("the removed server has the series %s", series)
		}
	}
}
