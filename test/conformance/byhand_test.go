// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// A user makes the standby active although the other runner lives, and the connection between them is cut.
// The servers end the sessions of the other runner. MQTT 5 gives the reason, so that the other runner
// waits for its peer. MQTT 3.1.1 does not: it connects once more, and then waits. So the runners do not
// end each other's sessions repeatedly.
func TestTwoRunners_TakenOverByHandWhileCut_OtherWaits(t *testing.T) {
	eachVersion(t, func(t *testing.T, version v1alpha1.ProtocolVersion) {
		most := map[v1alpha1.ProtocolVersion]int{v1alpha1.ProtocolVersion5: 1, v1alpha1.ProtocolVersion311: 3}[version]
		r := newPair(t, pairSettings{linked: true}, settings{version: version, window: 20})
		r.twins.startAll()
		r.settled()
		r.twins.cutTo(-1, true)
		// A session that ends before the runner has noticed the cut does not count as one of its ends.
		r.twins.pair.Runners[0].WaitMember(func(m mqtttest.Member) bool { return m.Peer.State == "" })
		r.twins.pair.Runners[1].TakeOver()
		if !r.eventually(eventTimeout, "the second runner forwards", func() error {
			if changes := r.twins.takeovers("primary"); len(changes) == 0 {
				return fmt.Errorf("no takeover")
			}
			return nil
		}) {
			return
		}
		time.Sleep(5 * time.Second) // longer than the pause between attempts to connect
		for _, server := range []string{"local", "primary"} {
			changes := r.twins.takeovers(server)
			if n := len(changes); n > most || n == 0 || changes[n-1].runner() != 1 {
				t.Errorf("%s: %d takeovers, want 1 to %d, the last one by the second runner", server, n, most)
			}
		}
		r.twins.settle()
		r.settled()
	})
}
