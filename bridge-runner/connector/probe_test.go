// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// often is an interval of probes that makes them come at once.
const often = time.Millisecond

// pass lets a probe pass that has sent its CONNECT.
func pass(c *script.Conn) {
	c.Send(script.Connack(false, nil))
	c.Want("PINGREQ")
	c.Send(script.Packet{Type: v5.PINGRESP})
	c.Want("DISCONNECT")
	_ = c.Close()
}

func TestAProbeUnderWayDoesNotAnswerARequest(t *testing.T) {
	x := newSide(t, 2)
	x.Policy.ProbeInterval = often
	x.run()
	x.connect(0)
	earlier := x.accept(1, probeID)
	x.Request("b")
	x.want("b: Pending")
	_ = earlier.Close() // it fails
	pass(x.accept(1, probeID))
	c := x.servers[1].Accept()
	for c.Next().Connect.ClientID == probeID { // the machine's own
		pass(c)
		c = x.servers[1].Accept()
	}
	c.Send(script.Connack(false, nil))
	x.want("switched 1", "b: Done")
}

// Servers that share their sessions end the older of two connections with one client
// identifier, whichever of them it is with.
func TestTwoServersAreNotProbedAtATime(t *testing.T) {
	const probes = 50
	x := newSide(t, 4)
	x.Policy.ProbeInterval = often
	begun := make(chan int, probes)
	for i := range x.Servers {
		config := x.Servers[i].Config
		x.Servers[i].Config = func() (session.Config, error) {
			if i > 0 {
				select {
				case begun <- i:
				default: // the test is over
				}
			}
			return config()
		}
	}
	x.run()
	x.connect(0)
	for range probes {
		c := x.accept(<-begun, probeID)
		select {
		case i := <-begun:
			t.Fatalf("server %d is probed beside another one", i)
		default:
		}
		pass(c)
	}
}

func TestARequestEndsThePauseBetweenRounds(t *testing.T) {
	x := newSide(t, 2)
	x.Policy.RetryInitial, x.Policy.RetryMax = time.Hour, time.Hour
	x.run()
	for i := range 2 {
		_ = x.accept(i, bridgeID).Close()
	}
	x.want("failed 0", "failed 1")
	x.Request("b")
	x.connect(1)
	x.want("connected 1", "b: Done")
}
