// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

var (
	events = flag.Int("events", 100, "how many random events happen to a pipe with a disk")
	seed   = flag.Uint64("seed", 0, "of the random events; 0: another one each time")
)

// history is what both sides' servers saw, over all the processes that there were.
type history struct {
	mu     sync.Mutex
	live   *diskWorld
	sent   int          // messages 0 to sent-1 were sent by the source
	qos    []byte       // of each
	acked  map[int]bool // by the runner, to the source
	came   map[int]bool // to the destination
	next   int          // the first that has not come
	wrong  []string
	random *rand.Rand

	ids  map[uint16]int // of the source's messages, in this process
	last int            // the latest of them that was acknowledged
	id   uint16
	busy sync.WaitGroup
}

func (h *history) fail(format string, args ...any) {
	h.failures = append(h.failures, fmt.Sprintf(format, args...))
}

// publish has the source send messages under new identifiers.
func (h *history) publish(numbers ...int) {
	h.mu.Lock()
	packets := make([]script.Packet, 0, len(numbers))
	for _, n := range numbers {
		h.lastID++
		h.ids[h.lastID] = n
		size := h.random.IntN(2000)
		if h.random.IntN(20) == 0 {
			size = h.random.IntN(100_000)
		}
		packets = append(packets, script.Publish(h.lastID, h.qos[n], "t", fmt.Sprintf("%d %s", n, strings.Repeat("x", size))))
		if h.random.IntN(4) == 0 {
			packets = append(packets, script.Publish(0, 0, "t", "zero"))
		}
	}
	w := h.live
	h.mu.Unlock()
	w.source.Send(packets...)
}

// source reads what the source's server gets from w's runner.
func (h *history) source(w *diskWorld) {
	w.source.connect(false, nil)
	c := w.source.Conn
	h.busy.Go(func() {
		for {
			p, err := c.TryNext()
			if errors.Is(err, os.ErrDeadlineExceeded) { // there was nothing
				continue
			}
			if err != nil {
				return
			}
			h.mu.Lock()
			if n, ok := h.ids[p.ID]; ok && w == h.live && (p.Type == v5.PUBACK || p.Type == v5.PUBREC) {
				if n <= h.lastAcked {
					h.fail("%d is acknowledged to the source behind %d", n, h.lastAcked)
				}
				h.acked[n], h.lastAcked = true, n
			}
			h.mu.Unlock()
		}
	})
}

// destination has the server of x answer: slowly, or what comes last not at all.
func (h *history) destination(w *diskWorld, x *side, silent int) {
	c := x.Conn
	h.busy.Go(func() {
		for {
			p, err := c.TryNext()
			if errors.Is(err, os.ErrDeadlineExceeded) { // there was nothing
				continue
			}
			if err != nil {
				return
			}
			h.mu.Lock()
			silent--
			mute := silent == 0
			if n, err := strconv.Atoi(first(p.Payload)); p.Type == v5.PUBLISH && p.QoS > 0 && err == nil && w == h.live && !mute {
				if n > h.next {
					h.fail("%d comes before %d", n, h.next)
				}
				h.arrived[n] = true
				for h.arrived[h.next] {
					h.next++
				}
			}
			h.mu.Unlock()
			if mute {
				for err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // until it is cut
					_, err = c.TryNext()
				}
				return
			}
			var answer script.Packet
			switch {
			case p.Type == v5.PUBLISH && p.QoS == 1:
				answer = script.Ack(v5.PUBACK, p.ID, 0)
			case p.Type == v5.PUBLISH && p.QoS == 2:
				answer = script.Ack(v5.PUBREC, p.ID, 0)
			case p.Type == v5.PUBREL:
				answer = script.Ack(v5.PUBCOMP, p.ID, 0)
			case p.Type == v5.PINGREQ:
				answer = script.Packet{Type: v5.PINGRESP}
			default:
				continue
			}
			if _, err := c.Write([]byte(c.Encode(answer))); err != nil {
				return
			}
		}
	})
}

// first is what a payload begins with.
func first(payload string) string {
	word, _, _ := strings.Cut(payload, " ")
	return word
}

// kill ends the process and starts another one, which finds the disk as it is.
func (h *history) kill() {
	w := h.live
	w.pipe.mu.Lock() // so that nothing is acknowledged meanwhile
	h.mu.Lock()
	dir := w.t.TempDir()
	for os.CopyFS(dir, os.DirFS(w.dir)) != nil { // a segment has gone meanwhile
		_ = os.RemoveAll(dir) // the next copy tells
	}
	h.live = nil
	h.ids, h.lastAcked, h.lastID = map[uint16]int{}, -1, 0
	var again []int
	for n := range h.sent {
		if !h.acked[n] {
			again = append(again, n)
		}
	}
	h.mu.Unlock()
	w.pipe.mu.Unlock()
	w.source.cut()
	if w.destination.Conn != nil {
		w.destination.down()
	}
	w.stop()
	next := newDiskWorld(w.t, packet.V311, dir, h.options)
	h.mu.Lock()
	h.live = next
	h.mu.Unlock()
	h.source(next)
	h.publish(again...)
}

// renew connects the source anew, if the runner has asked for it, and has it send again the
// messages that were not acknowledged.
func (h *history) renew() {
	w := h.live
	select {
	case <-w.source.s.Renewal():
	default:
		return
	}
	w.source.cut()
	h.mu.Lock()
	h.ids = map[uint16]int{}
	var again []int
	for n := range h.sent {
		if !h.acked[n] {
			again = append(again, n)
		}
	}
	h.mu.Unlock()
	h.source(w)
	h.publish(again...)
}

func (h *history) options(o *Options) {
	o.Disk.Bytes, o.BufferQoS0, o.MemoryBytes = 4<<20, true, 50_000
	if h.random.IntN(3) == 0 {
		o.Disk.Bytes = 1 << 20
	}
}

// inTheWay has the disk fail when the next segment begins: where it would be there is a
// directory.
func blockSegments(w *diskWorld, there bool) {
	if !there {
		paths, _ := filepath.Glob(filepath.Join(w.dir, "*.log")) // the pattern is right
		for _, p := range paths {
			if info, err := os.Stat(p); err == nil && info.IsDir() {
				_ = os.Remove(p) // the next start tells
			}
		}
		return
	}
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	next := uint64(1)
	if paths, _ := filepath.Glob(filepath.Join(w.dir, "*.log")); len(paths) > 0 { // the pattern is right
		last := filepath.Base(paths[len(paths)-1])
		next, _ = strconv.ParseUint(strings.TrimSuffix(last, ".log"), 10, 64)
	}
	for n := next + 1; n < next+2000; n++ {
		_ = os.Mkdir(filepath.Join(w.dir, fmt.Sprintf("%020d.log", n)), 0o700) // a segment may be there
	}
}

func TestSpool_RandomEvents_NothingIsLostReorderedOrAcknowledgedEarly(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed=%d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	h := &history{random: rand.New(rand.NewPCG(*seed, 1)), acked: map[int]bool{}, arrived: map[int]bool{}, ids: map[uint16]int{}, lastAcked: -1}
	h.live = newDiskWorld(t, packet.V311, t.TempDir(), h.options)
	h.source(h.live)
	isUp, paused, failing := false, false, false
	what := map[string]int{}
	up := func(x *side, resumed bool, silent int) {
		x.connect(resumed, nil)
		h.destination(h.live, x, silent)
		h.live.destination = x
		h.live.pipe.Up(x.s)
		isUp, paused = true, false
	}
	for range *events {
		w := h.live
		did := ""
		switch n := random.IntN(22); {
		case n < 6:
			did = "publish"
			h.mu.Lock()
			var numbers []int
			for burst := 1 + random.IntN(300); burst > 0 && h.sent-len(h.acked) < 400; burst-- {
				numbers = append(numbers, h.sent)
				h.qos = append(h.qos, byte(1+random.IntN(2)))
				h.sent++
			}
			h.mu.Unlock()
			h.publish(numbers...)
		case n < 10:
			did = "wait"
			most := 30
			if random.IntN(5) == 0 {
				most = 1500
			}
			time.Sleep(time.Duration(random.IntN(most)) * time.Millisecond) // any time
		case n < 14 && !isUp:
			did = "up"
			up(w.destination, random.IntN(2) == 0, random.IntN(100))
		case n < 14:
			did = "down"
			w.destination.down()
			isUp, paused = false, false
		case n < 16 && isUp && !paused:
			did = "pause"
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			w.pipe.Pause(ctx, w.destination.s)
			cancel()
			paused = true
		case n < 17 && paused:
			did = "resume"
			w.pipe.Resume(w.destination.s)
			paused = false
		case n < 19 && isUp:
			did = "switch"
			old := w.destination
			up(newSide(w.world, packet.V311), false, random.IntN(100))
			old.cut()
			w.pipe.Down(old.s)
		case n < 20 && (failing || random.IntN(6) == 0): // it takes long until it is used again
			did = "disk"
			failing = !failing
			blockSegments(w, failing)
		case n >= 20:
			did = "kill"
			blockSegments(w, false)
			failing = false
			h.kill()
			isUp, paused = false, false
		}
		h.renew()
		if did != "" {
			what[did]++
		}
	}
	blockSegments(h.live, false)
	if isUp {
		h.live.destination.down()
	}
	up(newSide(h.live.world, packet.V311), false, 0)
	end := time.Now().Add(60 * time.Second)
	done := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.next == h.sent && len(h.acked) == h.sent || len(h.failures) > 0
	}
	for !done() && time.Now().Before(end) {
		h.renew()
		time.Sleep(time.Millisecond)
	}
	eventually(t, func() error {
		h.live.pipe.mu.Lock()
		defer h.live.pipe.mu.Unlock()
		p := h.live.pipe
		if p.queue.len() > 0 || p.disk.pending.len() > 0 || p.qos0Bytes != 0 || p.inflight != 0 || p.disk.queuedFromDisk != 0 || p.disk.queuedFromDiskBytes != 0 || p.disk.alsoQueued != 0 || p.disk.bypassing != 0 {
			return fmt.Errorf("held: %d, pending %d, %d bytes of QoS 0, %d in flight, %d loaded of %d bytes, %d copies, %d ahead", p.queue.len(), p.disk.pending.len(), p.qos0Bytes, p.inflight, p.disk.queuedFromDisk, p.disk.queuedFromDiskBytes, p.disk.alsoQueued, p.disk.bypassing)
		}
		return nil
	})
	h.mu.Lock()
	if h.next < h.sent || len(h.acked) < h.sent {
		h.fail("%d messages were sent, %d acknowledged, %d came; the first missing is %d", h.sent, len(h.acked), len(h.arrived), h.next)
	}
	wrong := slices.Clone(h.failures)
	t.Logf("%d messages, %v", h.sent, what)
	h.mu.Unlock()
	for _, x := range wrong[:min(len(wrong), 10)] {
		t.Error(x)
	}
	if n := h.live.meter.droppedFor(DropDamaged); n > 0 {
		t.Errorf("%d are said to be lost", n)
	}
	h.live.source.cut()
	h.live.destination.cut()
	h.busy.Wait()
}
