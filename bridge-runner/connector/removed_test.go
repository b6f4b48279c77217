// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The bridge returns to a server that was not in the list during the change.
func TestApply_RemovedServerIsBackLater_ItsSessionIsKnown(t *testing.T) {
	x := newSide(t, 2)
	list := x.Servers
	a := x.runSubscribed("f")
	x.change(keep(list, 1))
	b := x.connect(1)
	subscribed(t, b, []byte{0}, "f")
	leave(a)
	x.want("switched 0", "servers b [0]")
	x.change(filters("g"))
	subscribed(t, b, []byte{0}, "g")
	wantUnsubscribe(t, b, "f")
	list[0].Name = "c" // also under another name
	x.change(keep(list, 0))
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	subscribed(t, a, []byte{0}, "g")
	wantUnsubscribe(t, a, "f")
	x.want("servers cb [-1 0]", "switched 0", "servers c [0]")
}
