// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package takeovers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// shortLease is the shortest spec.standby.leaseDurationSeconds.
	shortLease = 3 * time.Second
	// expiredWorst is the limit of the gap if the standby has to wait until the Lease expires.
	expiredWorst = shortLease + 2*time.Second
	// apiServerKillWorst is the limit of the gap if the active process ends while no API server
	// answers.
	apiServerKillWorst = 2 * time.Second
)

// podScenario is a scenario with the two pods of a bridge. Its events need no order.
type podScenario struct {
	name string
	// lease is the duration of the Lease. 0 means the default.
	lease time.Duration
	// recorded puts recorders between the pods and the brokers.
	recorded bool
	events   func(*podWorld) []event
}

var podScenarios = []podScenario{
	{
		name: "pod killed or replaced",
		events: func(w *podWorld) []event {
			return []event{
				{name: "pods: active process killed (SIGKILL)", median: killMedian, limit: killWorst, mayRepeat: true, act: w.killActive},
				handingOver("pods: active pod deleted", w.deleteActive),
				handingOver("pods: active pod evicted", w.evictActive),
				handingOver("pods: Deployment restarted (rollout restart)", w.restartDeployment),
				handingOver("pods: hand-over by hand (annotation)", w.annotate),
				{name: "pods: standby killed (SIGKILL)", limit: inPlaceOnNode, act: w.killStandby},
				{name: fmt.Sprintf("pods: connection between the pods cut for %s", peerSilence), limit: inPlaceOnNode, act: w.cutMembers},
			}
		},
	}, {
		name: "pod frozen", lease: shortLease, recorded: true,
		events: func(w *podWorld) []event {
			return []event{
				{name: "pods: active process frozen (SIGSTOP), Lease of 3 s", limit: expiredWorst, mayRepeat: true, act: w.freezeActive},
				{name: "pods: frozen process continued (SIGCONT)", limit: reconnect, act: w.thawStandby},
			}
		},
	}, {
		name: "pod cut off", lease: shortLease,
		events: func(w *podWorld) []event {
			return []event{
				{name: "pods: active pod loses all its network, Lease of 3 s", limit: expiredWorst, mayRepeat: true, act: w.cutActive},
				{name: "pods: the network of that pod is back", limit: reconnect, act: w.heal},
				{name: "pods: active pod loses the API server only, Lease of 3 s", median: handOverMedian, limit: handOverWorst, mayRepeat: true, act: w.cutAPIServer},
			}
		},
	},
}

func handingOver(name string, act func(*world)) event {
	return event{name: name, median: handOverMedian, limit: handOverWorst, act: act}
}

func TestTakeover_EachEventWithPods_HasBoundedGapAndLosesNothing(t *testing.T) {
	n := openNode(t)
	control := startControl(t)
	for i := range podScenarios {
		s := &podScenarios[i]
		for _, version := range versions(i) {
			t.Run(fmt.Sprintf("%s/MQTT %s", s.name, version), func(t *testing.T) {
				w := newPodWorld(t, n, s, version, control)
				events := s.events(w)
				for range times() {
					for i := range events {
						w.bringAbout(&events[i])
					}
				}
				w.judge()
			})
		}
	}
	t.Run("API server stopped", func(t *testing.T) { stopAPIServer(t, n, control) })
	t.Run("image of the runner changed", func(t *testing.T) { changeImage(t, n, control) })
	results.checkAll(t)
}

// outage is the time for which the API server is stopped.
func outage() time.Duration {
	if *full {
		return 2 * time.Minute
	}
	return 20 * time.Second
}

// stopAPIServer stops the API server twice. Each bridge of a fleet counts as a repetition. The return of
// the API server is an event of its own, because its clients then use all processors: its gap has no limit.
func stopAPIServer(t *testing.T, n *node, control *traffic.Collector) {
	fleet := newPodFleet(t, n, control, times())
	name := fmt.Sprintf("pods: API server stopped (SIGSTOP) for %s", outage())
	nothing := event{name: fmt.Sprintf("pods: no event for %s", outage())}
	stopped := event{name: name, median: inPlace, limit: inPlaceOnNode, baseline: &nothing}
	returned := event{name: name + ", its return"}

	fleet.bringAbout(&nothing, func() { time.Sleep(outage()) })
	fleet.bringAbout(&stopped, func() {
		n.freezeAPIServer(t)
		time.Sleep(outage()) // no event can be awaited: the test shows that nothing happens
	})
	fleet.bringAbout(&returned, func() {
		n.thawAPIServer(t)
		for _, w := range fleet {
			w.checkRoles()
		}
	})

	n.freezeAPIServer(t)
	for _, w := range fleet {
		time.Sleep(outage() / time.Duration(len(fleet)+1)) // distributes the kills
		w.bringAbout(&event{
			name: name + ", active process killed meanwhile", limit: apiServerKillWorst, mayRepeat: true,
			act: func(*world) { w.kill() },
		})
	}
	fleet.bringAbout(&returned, func() {
		n.thawAPIServer(t)
		for _, w := range fleet {
			w.waitKilled()
		}
	})
	fleet.judge()
}

// changeImage changes the image of the runners by an upgrade of the operator, several times.
func changeImage(t *testing.T, n *node, control *traffic.Collector) {
	fleet := newPodFleet(t, n, control, 1)
	changed := handingOver("pods: operator upgraded to another image of the runner", nil)
	other, err := n.LoadOperatorImageAs(t.Context(), "other")
	must(t, err)
	t.Cleanup(func() { must(t, n.release.SetRunnerImage(context.WithoutCancel(t.Context()), "")) })
	for i := range times() {
		image := other
		if i%2 == 1 {
			image = ""
		}
		fleet.bringAbout(&changed, func() {
			must(t, n.release.SetRunnerImage(t.Context(), image))
			for _, w := range fleet {
				w.waitReplaced()
			}
		})
	}
	fleet.judge()
}
