// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// kills is how often a test kills the active runner.
const kills = 4

// The standby continues the sessions of a runner that is killed while messages are in flight. It releases
// first the identifiers that the other runner has reported, and uses no identifier before its release.
func TestPair_ActiveKilled_StandbyReleasesBeforeItPublishes(t *testing.T) {
	for _, onRelease := range []bool{false, true} {
		t.Run(fmt.Sprintf("delivered on release %v", onRelease), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version v1alpha1.ProtocolVersion) {
				var releases releaseCount
				w := newWorld(t, settings{version: version, remotes: 1, window: 100, ackTimeout: 10, server: func(c *peer.Config) {
					c.Processes, c.DeliverOnRelease, c.Plan = peer.NewProcesses, onRelease, releases.plan
				}})
				pair := mqtttest.NewPair(t, w.manifest, false)
				pair.Start()
				w.runner = pair.Runners[0]
				if !w.connected(w.remotes[0]) {
					return
				}
				streams := []*stream{w.stream(w.local, "up2", 2), w.stream(w.remotes[0], "down2", 2), w.stream(w.local, "up1", 1)}
				for i := range kills {
					w.publishAll(streams, 300*(i+1)) // so that the identifiers differ
					w.takeOver(pair, i%2)
					w.publishAll(streams, 100)
					if !w.arrived(streams...) {
						return
					}
					pair.Runners[i%2].Start()
					pair.WaitRoles(1 - i%2)
				}
				if n := releases.most.Load(); n == 0 || n > 2000 {
					t.Errorf("a message has waited for %d identifiers", n)
				}
				if n := w.remotes[0].Held(bridgeID) + w.local.Held(bridgeID); n > 0 {
					t.Errorf("the servers still hold %d QoS 2 messages", n)
				}
			})
		})
	}
}

// A hand-over tells the standby which identifiers the server may hold. The annotation makes each next version
// of the bridge pass a request on, and must not replace the knowledge of the drained one. Directly after a
// kill, the new active runner has not released all identifiers of the killed one.
func TestPair_HandedOver_StandbyReleasesFewIdentifiers(t *testing.T) {
	eachVersion(t, func(t *testing.T, version v1alpha1.ProtocolVersion) {
		var releases releaseCount
		w := newWorld(t, settings{version: version, remotes: 1, window: 100, ackTimeout: 10, server: func(c *peer.Config) {
			c.Processes, c.Plan = peer.NewProcesses, releases.plan
		}})
		metav1.SetMetaDataAnnotation(&w.manifest.ObjectMeta, manifest.AnnotationHandOver, "before the start")
		pair := mqtttest.NewPair(t, w.manifest, false)
		pair.Start()
		w.runner = pair.Runners[0]
		if !w.connected(w.remotes[0]) {
			return
		}
		streams := []*stream{w.stream(w.local, "up2", 2), w.stream(w.remotes[0], "down2", 2)}
		handOver := func(from int, most int64) {
			releases.most.Store(0)
			pair.Runners[from].HandOver()
			pair.WaitRoles(1 - from)
			w.runner = pair.Runners[1-from]
			w.publishAll(streams, 100)
			w.arrived(streams...)
			if n := releases.most.Load(); n > most {
				t.Errorf("after a hand-over, a message has waited for %d identifiers, want at most %d", n, most)
			}
		}
		w.publishAll(streams, 300)
		w.arrived(streams...)
		handOver(0, 0)
		handOver(1, 0)

		w.takeOver(pair, 0)
		w.publishAll(streams, 1)
		w.arrived(streams...)
		pair.Runners[0].Start()
		pair.WaitRoles(1)
		handOver(1, 256)
	})
}

// releaseCount counts the PUBRELs before the first QoS 2 message of each connection.
type releaseCount struct{ most atomic.Int64 }

func (r *releaseCount) plan(int, *peer.Connect) peer.Plan {
	var releases int64
	published := false
	return peer.Plan{Cut: func(p *peer.Packet, fromClient bool) *peer.Cut {
		switch {
		case !fromClient || published:
		case p.Type == peer.PUBREL:
			releases++
		case p.Type == peer.PUBLISH && p.QoS == 2:
			published = true
			for most := r.most.Load(); releases > most && !r.most.CompareAndSwap(most, releases); most = r.most.Load() {
			}
		}
		return nil
	}}
}

// publishAll publishes messages of all streams in turn.
func (w *world) publishAll(streams []*stream, n int) {
	for range n {
		for _, s := range streams {
			w.publish(s, 0)
		}
	}
}

// takeOver kills the active runner. It is stopped before, so that each message that the ledger has seen
// before may arrive twice, and no later one.
func (w *world) takeOver(pair *mqtttest.Pair, active int) {
	w.Helper()
	pair.Runners[active].Freeze()
	w.ledger.newEra()
	pair.Runners[active].Kill()
	w.runner = pair.Runners[1-active]
}
