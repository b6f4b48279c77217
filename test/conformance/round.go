// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
)

var versions = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5}

// round is one world with a random schedule. All that is random comes from its seed.
type round struct {
	*world
	seed    uint64
	random  *rand.Rand
	without string
	chaos   []*chaos // of the servers, the local one first
	sizes   []int    // of messages
	most    int      // messages of a stream under way
	faults  []string // what was done, in order
}

// newRound makes a world from a seed.
func newRound(t testing.TB, seed uint64, without string) *round {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	rd := &round{seed: seed, random: r, without: without}
	s := settings{
		version:    versions[r.IntN(2)],
		remotes:    1 + r.IntN(2),
		window:     []int{1, 2, 3, 10, 100, 256}[r.IntN(6)],
		disk:       r.IntN(3) == 0 && !left(without, faultDisk),
		oneWay:     r.IntN(4) == 0,
		ackTimeout: 2,
	}
	rd.sizes = [][]int{{0}, {0, 100, 3000}, {50, 200_000}}[r.IntN(3)]
	rd.most = 20 + r.IntN(200)
	life := []int{5, 20, 100, 400}[r.IntN(4)]
	s.server = func(c *peer.Config) {
		c.DeliverOnRelease, c.LowestID = r.IntN(2) == 0, r.IntN(2) == 0
		c.AnyAckOrder = left(without, faultAckOrder)
		c.RefuseBridgeBit = s.version == v1alpha1.ProtocolVersion311 && r.IntN(4) == 0
		plan := &chaos{
			seed: seed, name: c.Name, v5: s.version == v1alpha1.ProtocolVersion5, without: without, life: life,
			size: largestPacket(slices.Max(rd.sizes)), refused: map[string]int{},
		}
		rd.chaos = append(rd.chaos, plan)
		c.Plan = plan.plan
	}
	rd.world = newWorld(t, s)
	servers := append([]*peer.Server{rd.local}, rd.remotes...)
	for i, from := range servers {
		for qos := byte(0); qos < 3 && (i == 0 || !s.oneWay); qos++ {
			if qos == 2 && left(without, faultQoS2) {
				continue
			}
			rd.stream(from, fmt.Sprintf("%s%d", []string{"l", "p", "b"}[i], qos), qos)
		}
	}
	t.Logf("MQTT %s, %d remote servers, window %d, disk %t, one way %t, sizes %v, %d messages under way, cuts after some %d packets",
		s.version, s.remotes, s.window, s.disk, s.oneWay, rd.sizes, rd.most, life)
	return rd
}

// largestPacket is the size of a PUBLISH of MQTT 5 with QoS 1 or 2 to up/l2 or the like,
// without a topic alias. Messages of streams are of 40 bytes at least.
func largestPacket(payload int) int {
	const topic, id, properties = 2 + 7, 2, 1
	rest := topic + id + properties + max(payload, 60)
	switch {
	case rest < 128:
		return rest + 2
	case rest < 128*128:
		return rest + 3
	}
	return rest + 4
}

// run does random faults for a time, and then checks that everything arrives.
func (r *round) run(length time.Duration) {
	r.Helper()
	defer r.tell()
	r.start()
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	for i, s := range r.streams {
		publishing.Go(func() { r.publishUntil(stop, s, rand.New(rand.NewPCG(r.seed, uint64(100+i)))) })
	}
	for end := time.Now().Add(length); time.Now().Before(end) && !r.broken.Load(); {
		time.Sleep(time.Duration(r.random.IntN(400)) * time.Millisecond)
		r.fault()
	}
	close(stop)
	publishing.Wait()
	r.settle()
}

// publishUntil publishes a stream in bursts while not too much is under way.
func (r *round) publishUntil(stop <-chan struct{}, s *stream, random *rand.Rand) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(1+random.IntN(20)) * time.Millisecond):
		}
		burst := 1 + random.IntN(10)
		for n := r.ledger.waiting(s); n < r.most && burst > 0; n++ {
			burst--
			size := r.sizes[random.IntN(len(r.sizes))]
			if size > 10_000 && random.IntN(10) > 0 {
				size = 0
			}
			if !r.publish(s, size) {
				break
			}
		}
	}
}

// fault does something, besides what happens on the connections.
func (r *round) fault() {
	r.Helper()
	i := r.random.IntN(len(r.chaos))
	server := append([]*peer.Server{r.local}, r.remotes...)[i]
	remote := r.remotes[r.random.IntN(len(r.remotes))]
	kinds := []struct {
		name   string
		weight int
		do     func()
	}{
		{faultKill, 2, r.kill},
		{faultTerminate, 1, r.terminate},
		{faultSwitch, 3, func() { r.request(remote) }},
		{faultRestart, 2, func() { r.restart(server, r.random.IntN(3) == 0) }},
		{faultCut, 6, func() { server.CutAll(r.random.IntN(2) == 0) }},
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := r.random.IntN(total)
	for _, k := range kinds {
		if n -= k.weight; n >= 0 {
			continue
		}
		if !left(r.without, k.name) {
			r.faults = append(r.faults, fmt.Sprintf("%s %s %s", time.Now().Format("15:04:05.000"), k.name, server.Name()))
			k.do()
		}
		return
	}
}

// restart stops a server for a moment. Without sessions it has forgotten them.
func (r *round) restart(s *peer.Server, forget bool) {
	s.Stop(r.random.IntN(2) == 0)
	if forget && !left(r.without, faultForget) {
		s.Forget()
		r.ledger.newEra()
	}
	time.Sleep(time.Duration(r.random.IntN(300)) * time.Millisecond)
	r.listen(s)
}

// settle ends the faults. All that was accepted has to arrive: what a remote server has
// for the bridge, when the bridge uses that server.
func (r *round) settle() {
	r.Helper()
	for _, c := range r.chaos {
		c.calm.Store(true)
	}
	for _, s := range append([]*peer.Server{r.local}, r.remotes...) {
		s.CutAll(false) // connections with limits and silences of before
	}
	for _, remote := range r.remotes {
		if r.broken.Load() {
			return
		}
		var streams []*stream
		for _, s := range r.streams {
			if s.from == r.local || s.from == remote {
				streams = append(streams, s)
			}
		}
		r.request(remote)
		if !r.connected(remote) || !r.arrived(wholly, streams...) {
			return
		}
	}
	r.countDropped()
	r.checkDropped()
}

// legalDrops are the causes for which messages may be dropped: those of QoS 0.
var legalDrops = map[string]bool{"not_connected": true, "queue_full": true, "stopping": true}

func (r *round) checkDropped() {
	for cause, n := range r.dropped {
		if n > 0 && !legalDrops[cause] {
			r.violation(fmt.Sprintf("the bridge dropped %v messages as %s", n, cause))
		}
	}
}

// cuts is how many connections were ended, and processes killed.
func (r *round) cuts() int {
	n := r.local.Cuts()
	for _, s := range r.remotes {
		n += s.Cuts()
	}
	return n + len(r.faults)
}

// tell shows how to do the same again, if something was found.
func (r *round) tell() {
	if !r.broken.Load() {
		return
	}
	const shown = 12
	for _, f := range r.faults[max(0, len(r.faults)-shown):] {
		r.Log(f)
	}
	r.Logf("again: go test ./test/conformance -run Random -worlds=1 -schedule=1s -seed=%d", r.seed)
}
