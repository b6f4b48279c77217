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

// Faults of random schedules. Entries marked "setting" are not faults.
const (
	faultCut            = "cut"           // connections end at any packet
	faultDisconnect     = "disconnect"    // MQTT 5 servers send DISCONNECT with codes that do not refer to a message
	faultRefuse         = "refuse"        // servers refuse messages with 0x80, 0x83 or 0x97
	faultRefuseConnect  = "refuseconnect" // servers refuse connections
	faultForget         = "forget"        // servers drop sessions
	faultLimits         = "limits"        // limits change between connections
	faultMaximumQoS     = "maximumqos"    // servers lower the maximum QoS; needs "limits"
	faultDelay          = "delay"         // servers delay their answers
	faultSilence        = "silence"       // servers neither read nor write for some time
	faultRestart        = "restart"       // servers restart
	faultKill           = "kill"          // the runner is killed
	faultTerminate      = "terminate"     // the runner is stopped by SIGTERM
	faultSwitch         = "switch"        // the bridge is switched to another server
	faultDisk           = "disk"          // setting: some bridges have a buffer on disk
	faultLargest        = "largest"       // the maximum packet size equals the size of the largest message
	faultQoS2           = "qos2"          // setting: some messages have QoS 2
	faultAckOrder       = "ackorder"      // setting: servers check the order of the bridge's acknowledgements
	allFaults           = "cut,disconnect,refuse,refuseconnect,forget,limits,maximumqos,delay,silence,restart,kill,terminate,switch,disk,largest,qos2,ackorder"
	transientCodes      = "\x80\x83\x97"
	anonymousDisconnect = "\x80\x82\x89\x8b\x8d\x98\x9c" // codes that do not refer to a message
)

func excluded(list, fault string) bool {
	for _, name := range strings.Split(list, ",") {
		if name == fault {
			return true
		}
	}
	return false
}

// chaos plans the faults on the connections of one server.
type chaos struct {
	seed    uint64
	name    string
	v5      bool
	without string
	calm    atomic.Bool // no further faults
	// life is the average number of packets on a connection.
	life int
	// size is the size of the largest message in bytes. It is 0 if no message is large.
	size int
	// refused counts how many times each message was refused, by payload.
	refused map[string]int
}

func (c *chaos) on(fault string) bool { return !excluded(c.without, fault) }

// random returns the random numbers of one connection, so that a replay causes the same faults if
// connections arrive in the same order.
func (c *chaos) random(n int, client string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.name + "/" + client)) // never fails
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	_, _ = h.Write(b)
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// plan returns the plan of a client's nth connection.
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
	p.DropSession = c.on(faultForget) && r.IntN(25) == 0
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

// cut ends the connection at a random packet: the nth packet of one type, or the nth packet of any
// type.
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

// refuse refuses some messages with transient codes, each message at most twice.
func (c *chaos) refuse(r *rand.Rand) func(p *peer.Packet) byte {
	limit := 1 + r.IntN(2)
	return func(p *peer.Packet) byte {
		if c.calm.Load() || r.IntN(20) > 0 || c.refused[p.Payload] >= limit {
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

// silence lasts for a moment, or longer than the bridge waits for acknowledgements.
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
