// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// Two servers share their sessions, and others do not. The second server of the cluster fails while it holds a
// QoS 2 message, another server receives the message, and the bridge returns to the first one, perhaps by way of a third
// server. The cluster would treat a new message under the same identifier as the message that it holds, and drop it.
func TestUp_ReturnsToAClusterByWayOfOtherServers_HeldMessageIsReleasedFirst(t *testing.T) {
	for _, others := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d other servers", others), func(t *testing.T) {
			versions(t, func(t *testing.T, v packet.Version) {
				t.Parallel()
				w := newWorld(t, v, everything)
				first, second, other := newSide(w, v), newSide(w, v), newSide(w, v)
				w.source.connect(false, nil)
				first.up(false)
				first.down()
				second.up(false)
				w.source.Send(script.Publish(1, 2, "t", "x"))
				second.Want("PUBLISH 1 qos2 t=x")
				second.Send(script.Ack(v5.PUBREC, 1, 0))
				second.Want("PUBREL 1")
				second.down()
				other.up(false)
				other.Want("PUBLISH 1 qos2 t=x")
				other.Send(script.Ack(v5.PUBREC, 1, 0))
				other.Want("PUBREL 1")
				other.Send(script.Ack(v5.PUBCOMP, 1, 0))
				w.source.Want("PUBREC 1")
				other.down()
				for range others - 1 {
					third := newSide(w, v)
					third.up(false)
					third.down()
				}
				first.up(true)
				w.source.Send(script.Publish(2, 2, "t", "y"))
				first.Want("PUBREL 1")
				first.Send(script.Ack(v5.PUBCOMP, 1, 0))
				first.Want("PUBLISH 1 qos2 t=y")
			})
		})
	}
}
