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
	case <-time.After(script.Patience):
		x.t.Fatal("the connector goes on")
	}
}

// wantNone fails if the connector, which has stopped, told this.
func (x *side) wantNone(event string) {
	x.t.Helper()
	for {
		select {
		case got := <-x.events:
			if got == event {
				x.t.Errorf("told: %s", event)
			}
		default:
			return
		}
	}
}

func TestALinkThatIsStoppedWhileItSwitchesEnds(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	a := x.connect(0)
	x.want("connected 0")
	x.Request("b force")
	x.accept(1, bridgeID) // and is silent
	go func() {           // a server closes after DISCONNECT
		_, _ = a.TryNext()
		_ = a.Close()
	}()
	x.wantStopped()
	x.want("resumed", "down")
}

func TestAServerIsUsedAgainOnlyWhenTheSessionThatWasLeftHasEnded(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	left := x.connect(0)
	x.want("connected 0")
	x.Request("b force")
	b := x.connect(1)
	x.want("switched 1")
	left.Want("DISCONNECT") // and it does not close, but goes on to send
	x.Request("a force")
	a := x.connect(0)
	x.want("switched 0")
	_, _ = a.Close(), b.Close()
}

func TestALinkThatDrainsGivesUpASwitchAndStays(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	a := x.connect(0)
	x.want("connected 0")
	x.Request("b force")
	x.accept(1, bridgeID) // and is silent
	x.want("paused")
	close(x.drain)
	x.want("resumed")
	x.Request("b force again")
	go func() {
		_, _ = a.TryNext()
		_ = a.Close()
	}()
	x.wantStopped()
	x.wantNone("paused") // again
}
