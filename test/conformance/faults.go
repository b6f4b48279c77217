// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
)

// Faults of random schedules.
const (
	faultCut            = "cut"           // connections end at any packet
	faultDisconnect     = "disconnect"    // servers of MQTT 5 say why, by codes that name no message
	faultRefuse         = "refuse"        // messages are refused by 0x80, 0x83 or 0x97
	faultRefuseConnect  = "refuseconnect" // connections are refused
	faultForget         = "forget"        // servers forget sessions
	faultLimits         = "limits"        // limits change between connections
	faultMaximumQoS     = "maximumqos"    // also the maximum QoS
	faultDelay          = "delay"         // answers come late
	faultSilence        = "silence"       // servers are silent
	faultRestart        = "restart"       // servers restart
	faultKill           = "kill"          // the runner is killed
	faultTerminate      = "terminate"     // the runner is stopped
	faultSwitch         = "switch"        // the bridge is sent to another server
	faultDisk           = "disk"          // not a fault: some bridges have a disk
	faultLargest        = "largest"       // the maximum packet size is that of the largest message
	faultQoS2           = "qos2"          // not a fault: some messages are of QoS 2
	faultAckOrder       = "ackorder"      // not a fault: the order of the bridge's acknowledgements is checked
	allFaults           = "cut,disconnect,refuse,refuseconnect,forget,limits,maximumqos,delay,silence,restart,kill,terminate,switch,disk,largest,qos2,ackorder"
	transientCodes      = "\x80\x83\x97"
	anonymousDisconnect = "\x80\x82\x89\x8b\x8d\x98\x9c" // codes that name no message
)

func left(out, fault string) bool {
	for _, name := range strings.Split(out, ",") {
		if name == fault {
			return true
		}
	}
	return false
}

// chaos decides what happens on the connections of one server.
type chaos struct {
	seed    uint64
	name    string
	v5      bool
	without string
	calm    atomic.Bool // nothing happens any more
	// life is how many packets a connection carries on average.
	life int
	// size is that of the largest message, 0 if there is none that is large.
	size int
	// refusals are how often each message may be refused.
	refused map[string]int
}

func (c *chaos) on(fault string) bool { return !left(c.without, fault) }

// random returns the random numbers of one connection, so that a replay does the same
// as long as connections come in the same order.
func (c *chaos) random(n int, client string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.name + "/" + client)) // never fails
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	_, _ = h.Write(b)
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// plan returns what happens on a client's nth connection.
func (c *chaos) plan(n int, connect *peer.Connect) peer.Plan {
	r := c.random(n, connect.ClientID)
	var p peer.Plan
	if c.on(faultLimits) {
		p.Limits = c.limits(r)
	}
	if c.calm.Load() {
		return p
	}
	if c.on(faultRefuseConnect) && r.IntN(12) == 0 {
		p.Refuse = 3
		if c.v5 {
			p.Refuse = "\x88\x89\x97\x9f"[r.IntN(4)]
		}
	}
	p.Forget = c.on(faultForget) && r.IntN(25) == 0
	if c.on(faultCut) && r.IntN(8) > 0 {
		p.Cut = c.cut(r)
	}
	if c.on(faultRefuse) && r.IntN(2) == 0 {
		p.RefuseMessage = c.refuse(r)
	}
	if c.on(faultDelay) && r.IntN(3) == 0 {
		p.Delay = c.delay(r)
	}
	if c.on(faultSilence) && r.IntN(8) == 0 {
		p.Silence = c.silence(r)
	}
	return p
}

func (c *chaos) limits(r *rand.Rand) peer.Limits {
	l := peer.Limits{Window: 1 + r.IntN(50)}
	if r.IntN(8) == 0 {
		l.LowGrant, l.GrantedQoS = true, byte(1+r.IntN(2))
	}
	if !c.v5 {
		return l
	}
	if r.IntN(2) == 0 {
		l.ReceiveMaximum = uint16([]int{1, 2, 5, 20, 200}[r.IntN(5)])
	}
	if r.IntN(2) == 0 {
		l.TopicAliasMaximum = uint16(1 + r.IntN(4))
	}
	if r.IntN(4) == 0 {
		l.ServerKeepAlive = uint16(3 + r.IntN(10))
	}
	if c.on(faultMaximumQoS) && r.IntN(15) == 0 {
		l.LowQoS, l.MaximumQoS = true, 1
	}
	l.NoRetain = r.IntN(4) == 0
	l.NoSubscriptionIDs = r.IntN(3) == 0
	if c.on(faultLargest) && r.IntN(3) == 0 {
		l.MaximumPacketSize = uint32(c.size)
	}
	if c.on(faultForget) && r.IntN(20) == 0 {
		l.HasSessionExpiry, l.SessionExpiry = true, 1
	}
	return l
}

// cut ends the connection at a packet: one of those of a type, or the nth of all.
func (c *chaos) cut(r *rand.Rand) func(p *peer.Packet, fromClient bool) *peer.Cut {
	cut := &peer.Cut{When: peer.When(r.IntN(4)), Reset: r.IntN(2) == 0, Bytes: r.IntN(40)}
	if c.v5 && c.on(faultDisconnect) && cut.When != peer.InPacket && r.IntN(4) == 0 {
		cut.Disconnect = anonymousDisconnect[r.IntN(len(anonymousDisconnect))]
	}
	left := 1 + int(r.ExpFloat64()*float64(c.life))
	var ofType byte
	if r.IntN(2) == 0 {
		ofType = []byte{
			peer.CONNECT, peer.CONNACK, peer.PUBLISH, peer.PUBACK, peer.PUBREC, peer.PUBREL, peer.PUBCOMP,
			peer.SUBSCRIBE, peer.SUBACK, peer.PINGREQ, peer.PINGRESP, peer.DISCONNECT,
		}[r.IntN(12)]
		left = 1 + left/4
	}
	return func(p *peer.Packet, fromClient bool) *peer.Cut {
		if fromClient == (cut.When == peer.InPacket) || ofType > 0 && p.Type != ofType || c.calm.Load() {
			return nil
		}
		left--
		if left == 0 {
			return cut
		}
		return nil
	}
}

// refuse refuses some messages, each at most twice, by codes that are transient.
func (c *chaos) refuse(r *rand.Rand) func(p *peer.Packet) byte {
	most := 1 + r.IntN(2)
	return func(p *peer.Packet) byte {
		if c.calm.Load() || r.IntN(20) > 0 || c.refused[p.Payload] >= most {
			return 0
		}
		c.refused[p.Payload]++
		return transientCodes[r.IntN(len(transientCodes))]
	}
}

func (c *chaos) delay(r *rand.Rand) func() time.Duration {
	return func() time.Duration {
		if c.calm.Load() || r.IntN(10) > 0 {
			return 0
		}
		return time.Duration(r.IntN(30)) * time.Millisecond
	}
}

// silence is for a moment, or for longer than the bridge waits for acknowledgements.
func (c *chaos) silence(r *rand.Rand) func() time.Duration {
	left := 1 + r.IntN(20)
	d := time.Duration(r.IntN(500)) * time.Millisecond
	if r.IntN(5) == 0 {
		d = 2500 * time.Millisecond
	}
	return func() time.Duration {
		left--
		if left != 0 || c.calm.Load() {
			return 0
		}
		return d
	}
}
