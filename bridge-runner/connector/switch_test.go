// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// wantStopped fails if Run does not return.
func (x *side) wantStopped() {
	x.t.Helper()
	x.stop()
	select {
	case <-x.stopped:
	case <-time.After(script.Timeout):
		x.t.Fatal("the connector does not stop")
	}
}

// wantNone fails if the stopped connector has recorded the event.
func (x *side) wantNone(event string) {
	x.t.Helper()
	for {
		select {
		case got := <-x.events:
			if got == event {
				x.t.Errorf("unexpected event: %s", event)
			}
		default:
			return
		}
	}
}

func TestSwitch_ContextEnds_ConnectorStops(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	a := x.connect(0)
	x.want("connected 0")
	x.force("b")
	x.accept(1, bridgeID) // it never answers
	go func() {           // a server closes the connection after DISCONNECT
		_, _ = a.TryNext()
		_ = a.Close()
	}()
	x.wantStopped()
	x.want("resumed", "down")
}

func TestSwitch_BackToPreviousServer_WaitsForEndOfItsSession(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	previous := x.connect(0)
	x.want("connected 0")
	x.force("b")
	b := x.connect(1)
	x.want("switched 1")
	previous.Want("DISCONNECT") // the server does not close the connection, and could still send
	x.force("a")
	a := x.connect(0)
	x.want("switched 0")
	_, _ = a.Close(), b.Close()
}

func TestSwitch_DrainStarts_IsCancelledAndServerKept(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	a := x.connect(0)
	x.want("connected 0")
	x.force("b")
	x.accept(1, bridgeID) // it never answers
	x.want("paused")
	close(x.drain)
	x.want("resumed")
	x.mustRequest(nil)
	x.force("b")
	go func() {
		_, _ = a.TryNext()
		_ = a.Close()
	}()
	x.wantStopped()
	x.wantNone("paused") // the second request is not carried out
}
