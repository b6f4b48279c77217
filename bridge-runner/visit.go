// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
)

// source is a side that messages come from, during a drain. A server that is not in use may
// have queued messages for the bridge since the bridge used it. So the bridge visits each server
// of the side: it switches to it, unsubscribes, and stays until it has delivered the messages.
type source struct {
	connector *connector.Connector
	sessions  *sideSessions
	// status returns the state of the side.
	status func(*v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus
	// unvisited are the indexes in deletion.targets of the servers that may hold messages. Their
	// order is the order of the next visits.
	unvisited []int
	// requestedAt is when the latest visit was requested.
	requestedAt time.Time
}

// visitPause is the shortest time between two requests of visits, so that a server that cannot
// be reached is not tried all the time.
const visitPause = 3 * time.Second

func (d *deletion) newSource(c *connector.Connector, sessions *sideSessions, status func(*v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus) *source {
	s := &source{connector: c, sessions: sessions, status: status}
	for i := range d.targets {
		if t := &d.targets[i]; t.connector == c && t.session.ClientID != "" {
			s.unvisited = append(s.unvisited, i)
		}
	}
	return s
}

// visitServers is called while the servers in use have no more messages. It requests the next
// visit of each source, and returns true if no visit is left, or if it is later than until.
func (d *deletion) visitServers(now, until time.Time) (done bool) {
	status := d.state.Status()
	done = true
	for _, s := range d.sources {
		side := s.status(&status)
		if active := side.ActiveServer(); active != nil {
			s.unvisited = slices.DeleteFunc(s.unvisited, func(i int) bool { return d.targets[i].session.Server == active.Name })
		}
		switch {
		case len(s.unvisited) == 0:
		case now.After(until):
			d.leaveUnread(s, side)
		default:
			done = false
			d.requestVisit(s, side, now)
		}
	}
	return done
}

// requestVisit makes the connector switch to the next server, unless it is switching.
func (d *deletion) requestVisit(s *source, side *v1alpha1.SideStatus, now time.Time) {
	pending := side.RequestedSwitch != nil && side.RequestedSwitch.State == v1alpha1.SwitchPending
	if pending || now.Sub(s.requestedAt) < visitPause && !s.requestedAt.IsZero() && !visited(side, s.requestedAt) {
		return
	}
	next := d.targets[s.unvisited[0]].session.Server
	s.unvisited, s.requestedAt = append(s.unvisited[1:], s.unvisited[0]), now
	d.log.Info("the bridge switches to a server that may have queued messages for it", "server", next)
	_ = s.connector.Request(nil) // so that a repeated request counts as new
	if err := s.connector.Request(&connector.Request{Server: next, Force: true}); err != nil {
		d.log.Error("the server cannot be requested", "server", next, "error", err) // not reached: the servers are the connector's
	}
}

// visited reports whether the latest requested switch has succeeded since a time.
func visited(side *v1alpha1.SideStatus, since time.Time) bool {
	r := side.RequestedSwitch
	return r != nil && r.State == v1alpha1.SwitchDone && !r.Time.Time.Before(since)
}

// leaveUnread records that the sessions on the servers that could not be visited are left as
// they are.
func (d *deletion) leaveUnread(s *source, side *v1alpha1.SideStatus) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range s.unvisited {
		d.unread[i] = true
		r := d.remaining[i]
		for _, server := range side.Servers {
			if server.Name == r.Server {
				r.LastError = server.LastError
			}
		}
		d.log.Warn("the server could not be reached, so that the messages that it may have queued are not delivered, and its session is not ended", "server", r.Server)
	}
	s.unvisited = nil
	d.reportLocked()
}
