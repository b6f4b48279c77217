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

// often is a probe interval so short that the next probe begins at once.
const often = time.Millisecond

// pass answers a probe that has sent its CONNECT, so that it passes.
func pass(c *script.Conn) {
	c.Send(script.Connack(false, nil))
	c.Want("PINGREQ")
	c.Send(script.Packet{Type: v5.PINGRESP})
	c.Want("DISCONNECT")
	_ = c.Close()
}

func TestRequest_ProbeAlreadyRunning_StartsItsOwnProbe(t *testing.T) {
	x := newSide(t, 2)
	x.Failover.ProbeInterval = often
	x.run()
	x.connect(0)
	earlier := x.accept(1, probeID)
	x.request("b")
	x.want("b: Pending")
	_ = earlier.Close() // the earlier probe fails
	pass(x.accept(1, probeID))
	c := x.servers[1].Accept()
	for c.Next().Connect.ClientID == probeID { // further regular probes
		pass(c)
		c = x.servers[1].Accept()
	}
	c.Send(script.Connack(false, nil))
	x.want("switched 1", "b: Done")
}

// Servers that share their sessions close the older of two connections with the same
// client identifier, even if the connections are to different servers.
func TestProbe_SeveralServers_RunsOneAtATime(t *testing.T) {
	const probes = 50
	x := newSide(t, 4)
	x.Failover.ProbeInterval = often
	begun := make(chan int, probes)
	for i := range x.Servers {
		config := x.Servers[i].Config
		x.Servers[i].Config = func() (session.Config, error) {
			if i > 0 {
				select {
				case begun <- i:
				default: // the test has ended
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
			t.Fatalf("server %d is probed during the probe of another server", i)
		default:
		}
		pass(c)
	}
}

func TestRequest_DuringPauseBetweenRounds_ConnectsAtOnce(t *testing.T) {
	x := newSide(t, 2)
	x.Failover.RetryInitial, x.Failover.RetryMax = time.Hour, time.Hour
	x.run()
	for i := range 2 {
		_ = x.accept(i, bridgeID).Close()
	}
	x.want("failed 0", "failed 1")
	x.request("b")
	x.connect(1)
	x.want("connected 1", "b: Done")
}
