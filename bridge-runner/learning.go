// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
)

// learning is an observer that also records the knowledge about the servers of a side.
type learning struct {
	connector.Observer
	know *knowledge
	side string

	mu sync.Mutex
	// servers are the servers, by index. No other lock is taken while mu is held.
	servers []namedServer
}

// namedServer is the name and the URL of a server.
type namedServer struct{ name, url string }

// observer returns an observer that records the knowledge, if the process is a member of a group.
func (k *knowledge) observer(o connector.Observer, side string, servers []namedServer) connector.Observer {
	if k == nil {
		return o
	}
	k.setURLs(side, servers)
	return &learning{Observer: o, know: k, side: side, servers: servers}
}

// namedServers returns the servers of a side.
func namedServers(s *config.Side) []namedServer {
	out := make([]namedServer, len(s.Servers))
	for i := range s.Servers {
		out[i] = namedServer{s.Servers[i].Name, s.Servers[i].URL}
	}
	return out
}

func (l *learning) name(server int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.servers[server].name
}

func (l *learning) ServersChanged(servers []connector.Server, kept []int, at time.Time) {
	named := make([]namedServer, len(servers))
	for i := range servers {
		named[i] = namedServer{servers[i].Name, servers[i].URL}
	}
	l.mu.Lock()
	l.servers = named
	l.mu.Unlock()
	l.know.setURLs(l.side, named)
	l.Observer.ServersChanged(servers, kept, at)
}

func (l *learning) ClientIDUsed(clientID string) {
	l.Observer.ClientIDUsed(clientID)
	l.know.mu.Lock()
	defer l.know.mu.Unlock()
	if l.know.clientIDs[l.side] != clientID {
		l.know.clientIDs[l.side] = clientID
		delete(l.know.unnamed, l.side)
		l.know.sendLocked()
	}
}

func (l *learning) Connected(server int, at time.Time) {
	l.Observer.Connected(server, at)
	l.know.change(l.side, l.name(server), func(k *failover.Knowledge) { *k = failover.Knowledge{Active: true} })
}

func (l *learning) Switched(server int, how connector.Switch, at time.Time) {
	l.Observer.Switched(server, how, at)
	l.know.change(l.side, l.name(server), func(k *failover.Knowledge) { *k = failover.Knowledge{Active: true} })
}

func (l *learning) Lost(server int, why *diagnosis.Problem, silent time.Duration, at time.Time) {
	l.Observer.Lost(server, why, silent, at)
	l.know.change(l.side, l.name(server), func(k *failover.Knowledge) { k.Active, k.FailedAt = false, at })
}

func (l *learning) Failed(server int, why *diagnosis.Problem, at time.Time) {
	l.Observer.Failed(server, why, at)
	l.know.change(l.side, l.name(server), func(k *failover.Knowledge) {
		if k.FailedAt, k.RefusedAt = at, (time.Time{}); why.Permanent() {
			k.RefusedAt = at
		}
	})
}

func (l *learning) Probed(server int, why *diagnosis.Problem, at time.Time) {
	l.Observer.Probed(server, why, at)
	l.know.change(l.side, l.name(server), func(k *failover.Knowledge) {
		if why == nil {
			k.FailedAt, k.RefusedAt = time.Time{}, time.Time{}
		} else {
			k.FailedAt = at
		}
	})
}
