// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
)

// maxServers is the largest number of servers that the schema allows.
const maxServers = 16

// ServersChanged implements connector.Observer. Servers that stay keep their state, its time and
// their latest failure, also under another name. The series of removed servers and of earlier names
// disappear.
func (s *Side) ServersChanged(servers []connector.Server, kept []int, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.setServersLocked(servers, kept, metav1.NewTime(at))
	s.state.updateReadyLocked(at)
}

// setServersLocked sets the list of servers. kept[i] is the index that server i had before, or -1 if it
// is new. at is the time of the change.
func (s *Side) setServersLocked(servers []connector.Server, kept []int, at metav1.Time) {
	before, shortfalls := s.status.Servers, s.shortfalls
	next := make([]v1alpha1.ServerStatus, len(servers))
	s.status.Servers, s.shortfalls = next, map[int][]v1alpha1.Shortfall{}
	lost := s.lostServer
	for i, old := range kept {
		name := servers[i].Name
		if old < 0 {
			next[i] = standbyServer(name, servers[i].URL, at)
			continue
		}
		next[i] = before[old]
		next[i].Name = name
		s.shortfalls[i] = shortfalls[old]
		if lost == before[old].Name {
			s.lostServer = name
		}
		if name != before[old].Name {
			s.metrics.remove(before[old].Name)
		}
	}
	if active := s.activeIndexLocked(); active != noServer {
		s.status.Active.Name = next[active].Name
		s.status.Active.Role, s.status.Active.Place = placeOf(active)
	}
	for i := range before {
		if !s.listedLocked(before[i].Name) {
			s.metrics.remove(before[i].Name)
		}
	}
	for i := range next {
		s.metrics.setState(&next[i])
	}
	s.metrics.initCounters(next)
}

// standbyServer returns the status of a server before its first attempt or probe.
func standbyServer(name, publicURL string, since metav1.Time) v1alpha1.ServerStatus {
	return v1alpha1.ServerStatus{Name: name, URL: publicURL, State: v1alpha1.ServerStandby, Since: since}
}

// placeOf returns the role and the place of the server with an index. A removed server in use is
// behind the list, and the schema allows no place behind 16 servers.
func placeOf(server int) (role v1alpha1.ServerRole, place int32) {
	return v1alpha1.RoleAt(server), int32(min(server+1, maxServers)) //nolint:gosec // at most 16
}

// activeIndexLocked returns the index of the server in use, or noServer.
func (s *Side) activeIndexLocked() int {
	return slices.IndexFunc(s.status.Servers, func(e v1alpha1.ServerStatus) bool { return e.State == v1alpha1.ServerActive })
}

// listedLocked reports whether the list has a server with this name.
func (s *Side) listedLocked(name string) bool {
	return slices.ContainsFunc(s.status.Servers, func(e v1alpha1.ServerStatus) bool { return e.Name == name })
}

// statusLocked returns a copy of the status of the side, with no more servers than the schema
// allows.
func (s *Side) statusLocked() *v1alpha1.SideStatus {
	out := s.status.DeepCopy()
	out.Servers = out.Servers[:min(len(out.Servers), maxServers)]
	return out
}
