// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"testing"
	"time"
)

// scenario is a sequence of faults with the expected roles. pod-0 is active at the start, and pod-1
// is its standby.
type scenario struct {
	faults []faultAt
	// actives are the processes that become active after the start, in order.
	actives []string
	// within bounds the time from the latest fault until the last of them is active.
	within time.Duration
	// connects is the number of sessions that the servers accept after the start.
	connects int
}

// faultAt is a fault and the time until the next fault.
type faultAt struct {
	fault string
	pod   int
	pause time.Duration
}

const minutes = 2 * time.Minute

var scenarios = map[string]scenario{
	"the active process is killed": {
		faults: []faultAt{{"kill", 0, 0}}, actives: []string{"pod-1/1"}, within: 10 * time.Millisecond, connects: 2,
	},
	"the active process is killed without an API server": {
		faults:  []faultAt{{"stop the API server", 0, minutes}, {"kill", 0, 0}},
		actives: []string{"pod-1/1"}, within: 10 * time.Millisecond, connects: 2,
	},
	"the active process is killed and starts again without an API server": {
		faults:  []faultAt{{"stop the API server", 0, minutes}, {"kill", 0, 0}, {"start", 0, 0}},
		actives: []string{"pod-1/1"}, within: 10 * time.Millisecond, connects: 2,
	},
	"both processes are killed and one starts again": {
		faults:  []faultAt{{"kill", 1, time.Second}, {"kill", 0, time.Second}, {"start", 0, 0}},
		actives: []string{"pod-0/2"}, within: 10 * time.Millisecond, connects: 2,
	},
	"the active process is shut down": {
		faults: []faultAt{{"shut down", 0, 0}}, actives: []string{"pod-1/1"}, within: 15 * time.Millisecond, connects: 2,
	},
	"the active process is shut down, and the standby is not warm": {
		faults:  []faultAt{{"not warm", 1, time.Second}, {"shut down", 0, 0}},
		actives: []string{"pod-1/1"}, within: 20 * time.Millisecond, connects: 2,
	},
	"a user requests a hand-over": {
		faults: []faultAt{{"hand over", 0, 0}}, actives: []string{"pod-1/1"}, within: 15 * time.Millisecond, connects: 2,
	},
	"a user requests a hand-over, and the standby is not warm": {
		faults: []faultAt{{"not warm", 1, time.Second}, {"hand over", 0, time.Minute}},
	},
	"the active process is frozen": {
		faults: []faultAt{{"freeze", 0, 0}}, actives: []string{"pod-1/1"}, within: duration + 2*time.Second, connects: 2,
	},
	"the active process is frozen and continues": {
		faults:  []faultAt{{"freeze", 0, time.Minute}, {"continue", 0, time.Minute}},
		actives: []string{"pod-1/1"}, connects: 2,
	},
	"the active process is frozen for less than the limit": {
		faults: []faultAt{{"freeze", 0, duration/2 - time.Second}, {"continue", 0, time.Minute}},
	},
	"the active process is frozen, and no process takes over": {
		faults:  []faultAt{{"freeze", 0, duration/2 + 2*time.Second}, {"continue", 0, 0}},
		actives: []string{"pod-0/1"}, within: 10 * time.Millisecond, connects: 2,
	},
	"the active process is frozen without an API server": {
		faults:  []faultAt{{"stop the API server", 0, minutes}, {"freeze", 0, time.Minute}, {"continue", 0, 0}},
		actives: []string{"pod-0/1"}, within: 2 * time.Second, connects: 2,
	},
	"the active node is lost": {
		faults: []faultAt{{"lose the node", 0, 0}}, actives: []string{"pod-1/1"}, within: duration + 2*time.Second, connects: 2,
	},
	"the active node is lost and found": {
		faults:  []faultAt{{"lose the node", 0, time.Minute}, {"find the node", 0, time.Minute}},
		actives: []string{"pod-1/1"}, connects: 2,
	},
	"the API server is down": {faults: []faultAt{{"stop the API server", 0, minutes}}},
	"the API server is down and up again": {
		faults: []faultAt{{"stop the API server", 0, minutes}, {"start the API server", 0, minutes}},
	},
	"the API server refuses writes": {faults: []faultAt{{"refuse writes", 0, minutes}}},
	"the API server refuses writes, and accepts them again": {
		faults: []faultAt{{"refuse writes", 0, minutes}, {"accept writes", 0, minutes}},
	},
	"the API server refuses writes, and a user requests two hand-overs": {
		faults:  []faultAt{{"refuse writes", 0, minutes}, {"hand over", 0, minutes}, {"hand over", 1, 0}},
		actives: []string{"pod-1/1", "pod-0/1"}, within: 15 * time.Millisecond, connects: 4,
	},
	"the API server refuses writes, and the active process is killed": {
		faults:  []faultAt{{"refuse writes", 0, minutes}, {"kill", 0, 0}},
		actives: []string{"pod-1/1"}, within: 10 * time.Millisecond, connects: 2,
	},
	"the API server is down, and a server restarts": {
		faults: []faultAt{{"stop the API server", 0, minutes}, {"restart a server", 0, minutes}}, connects: 2,
	},
	"a server restarts": {faults: []faultAt{{"restart a server", 0, time.Minute}}, connects: 1},
	"the active process is cut off from the API server": {
		faults:  []faultAt{{"cut off from the API server", 0, 0}},
		actives: []string{"pod-1/1"}, within: duration + 2*time.Second, connects: 2,
	},
	"the standby is cut off from the API server": {faults: []faultAt{{"cut off from the API server", 1, minutes}}},
	"the Lease is deleted":                       {faults: []faultAt{{"delete the Lease", 0, minutes}}},
	"the Lease is deleted and created again": {
		faults: []faultAt{{"delete the Lease", 0, time.Second}, {"create the Lease", 0, minutes}, {"delete the Lease", 0, minutes}, {"create the Lease", 0, minutes}},
	},
	"the Lease is deleted and created again, and the active process is killed": {
		faults:  []faultAt{{"delete the Lease", 0, minutes}, {"create the Lease", 0, minutes}, {"kill", 0, 0}},
		actives: []string{"pod-1/1"}, within: 10 * time.Millisecond, connects: 2,
	},
	"the links are cut": {faults: []faultAt{{"cut the links", 0, minutes}}},
	"the links are cut and healed": {
		faults: []faultAt{{"cut the links", 0, minutes}, {"heal the links", 0, minutes}},
	},
	"the links are cut, and the API server is down and up again": {
		faults: []faultAt{{"cut the links", 0, time.Minute}, {"stop the API server", 0, minutes}, {"start the API server", 0, minutes}},
	},
	"the connections are reset": {faults: []faultAt{{"reset the connections", 0, minutes}}},
	"the standby is killed repeatedly": {
		faults: []faultAt{{"kill", 1, time.Second}, {"start", 1, time.Second}, {"kill", 1, time.Second}, {"start", 1, time.Minute}},
	},
}

func runScenario(s scenario, logs bool) *world {
	w := newWorld(2, 1, nil)
	w.logs = logs
	for _, p := range w.pods {
		w.start(p)
		w.run(3 * time.Second)
	}
	started, connects, latest := len(w.changes), w.connects, w.now
	for _, f := range s.faults {
		latest = w.now
		w.must(f.fault, w.pods[f.pod])
		w.run(f.pause)
	}
	w.run(max(0, latest+s.within-w.now))
	w.changes = w.changes[started:]
	if got := w.actives(); !slices.Equal(got, s.actives) {
		w.violate("the processes %v become active, want %v", got, s.actives)
	}
	w.run(minutes)
	if got := w.actives(); !slices.Equal(got, s.actives) {
		w.violate("later the processes %v become active, want %v", got, s.actives)
	}
	if got := w.connects - connects; got != s.connects {
		w.violate("the servers accept %d sessions, want %d", got, s.connects)
	}
	return w
}

func TestMachine_Scenarios_HaveTheExpectedRoles(t *testing.T) {
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			if w := runScenario(s, false); w.fault != "" {
				fail(t, name, func() *world { return runScenario(s, true) })
			}
		})
	}
}
