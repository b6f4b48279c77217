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

// round is one world with a random schedule. All random choices depend on its seed.
type round struct {
	*world
	seed    uint64
	random  *rand.Rand
	without string
	chaos   []*chaos // chaos of each server, the local server first
	sizes   []int    // payload sizes in bytes
	limit   int      // largest number of messages of a stream that are not over
	faults  []string // the faults so far, in order
}

// newRound creates a world from a seed.
func newRound(t testing.TB, seed uint64, without string) *round {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	rd := &round{seed: seed, random: r, without: without}
	s := settings{
		version:    versions[r.IntN(2)],
		remotes:    1 + r.IntN(2),
		window:     []int{1, 2, 3, 10, 100, 256}[r.IntN(6)],
		disk:       r.IntN(3) == 0 && !excluded(without, faultDisk),
		oneWay:     r.IntN(4) == 0,
		ackTimeout: 2,
	}
	rd.sizes = [][]int{{0}, {0, 100, 3000}, {50, 20_000, 200_000}}[r.IntN(3)]
	rd.limit = 20 + r.IntN(200)
	life := []int{5, 20, 100, 400}[r.IntN(4)]
	s.server = func(c *peer.Config) {
		c.DeliverOnRelease, c.LowestID = r.IntN(2) == 0, r.IntN(2) == 0
		c.AnyAckOrder = excluded(without, faultAckOrder)
		c.RefuseBridgeFlag = s.version == v1alpha1.ProtocolVersion311 && r.IntN(4) == 0
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
			if qos == 2 && excluded(without, faultQoS2) {
				continue
			}
			rd.stream(from, fmt.Sprintf("%s%d", []string{"l", "p", "b"}[i], qos), qos)
		}
	}
	t.Logf("MQTT %s, %d remote servers, window %d, disk %t, one way %t, sizes %v, at most %d messages in transit per stream, cuts after some %d packets",
		s.version, s.remotes, s.window, s.disk, s.oneWay, rd.sizes, rd.limit, life)
	return rd
}

// largestPacket returns the size of an MQTT 5 PUBLISH with QoS 1 or 2, with a topic such as up/l2
// and without a topic alias. Payloads of streams have at least 40 bytes.
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

// run causes random faults for a time, and then checks that everything arrives.
func (r *round) run(length time.Duration) {
	r.Helper()
	defer r.logReplay()
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

// publishUntil publishes a stream in bursts. It pauses at r.limit messages in transit.
func (r *round) publishUntil(stop <-chan struct{}, s *stream, random *rand.Rand) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(1+random.IntN(20)) * time.Millisecond):
		}
		burst := 1 + random.IntN(10)
		for n := r.ledger.waiting(s); n < r.limit && burst > 0; n++ {
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

// fault causes a random fault other than the faults on connections.
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
		{faultSwitch, 3, func() { r.requestSwitch(remote) }},
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
		if !excluded(r.without, k.name) {
			r.faults = append(r.faults, fmt.Sprintf("%s %s %s", time.Now().Format("15:04:05.000"), k.name, server.Name()))
			k.do()
		}
		return
	}
}

// restart stops a server for a moment. With forget, the server also drops its sessions.
func (r *round) restart(s *peer.Server, forget bool) {
	s.Stop(r.random.IntN(2) == 0)
	if forget && !excluded(r.without, faultForget) {
		s.Forget()
		r.ledger.newEra()
	}
	time.Sleep(time.Duration(r.random.IntN(300)) * time.Millisecond)
	r.listen(s)
}

// settle ends the faults. All accepted messages must arrive; the messages of a remote server, when
// the bridge uses that server.
func (r *round) settle() {
	r.Helper()
	for _, c := range r.chaos {
		c.calm.Store(true)
	}
	for _, s := range append([]*peer.Server{r.local}, r.remotes...) {
		s.CutAll(false) // end connections that still have earlier limits and silences
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
		r.requestSwitch(remote)
		if !r.connected(remote) || !r.arrived(streams...) {
			return
		}
	}
	r.countDropped()
	r.checkDropped()
}

// legalDrops lists the causes with which messages may be dropped. They apply to QoS 0 only.
var legalDrops = map[string]bool{"not_connected": true, "queue_full": true, "stopping": true}

func (r *round) checkDropped() {
	for cause, n := range r.dropped {
		if n > 0 && !legalDrops[cause] {
			r.violation(fmt.Sprintf("the bridge dropped %v messages as %s", n, cause))
		}
	}
}

// cuts returns the number of ended connections and of other faults.
func (r *round) cuts() int {
	n := r.local.Cuts()
	for _, s := range r.remotes {
		n += s.Cuts()
	}
	return n + len(r.faults)
}

// logReplay logs the latest faults and the command that repeats the round, if a rule was violated.
func (r *round) logReplay() {
	if !r.broken.Load() {
		return
	}
	const shown = 12
	for _, f := range r.faults[max(0, len(r.faults)-shown):] {
		r.Log(f)
	}
	r.Logf("repeat with: go test ./test/conformance -run TestRandomSchedule -worlds=1 -schedule=1s -seed=%d", r.seed)
}
