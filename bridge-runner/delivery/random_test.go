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
	events = flag.Int("events", 100, "number of random events for a pipe with a disk")
	seed   = flag.Uint64("seed", 0, "seed of the random events; 0 chooses a random one")
)

// history records the packets that the servers of both sides have seen, over all processes.
type history struct {
	mu   sync.Mutex
	live *diskWorld
	// sent is the number of messages that the source has sent: 0 to sent-1.
	sent int
	// qos holds the QoS of each message.
	qos []byte
	// acked holds the messages that the runner has acknowledged to the source.
	acked map[int]bool
	// arrived holds the messages that have arrived at the destination.
	arrived map[int]bool
	// next is the first message that has not arrived.
	next     int
	failures []string
	random   *rand.Rand

	// ids maps the packet identifiers of the source, in the present process, to messages.
	ids map[uint16]int
	// lastAcked is the latest of these messages that was acknowledged.
	lastAcked int
	// lastID is the latest packet identifier.
	lastID uint16
	busy   sync.WaitGroup
}

func (h *history) fail(format string, args ...any) {
	h.failures = append(h.failures, fmt.Sprintf(format, args...))
}

// publish makes the source send messages under new identifiers.
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

// source reads the acknowledgements that the source's server receives from w's runner.
func (h *history) source(w *diskWorld) {
	w.source.connect(false, nil)
	c := w.source.Conn
	h.busy.Go(func() {
		for {
			p, err := c.TryNext()
			if errors.Is(err, os.ErrDeadlineExceeded) { // nothing has arrived
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

// destination makes the server of x answer. From the packet with the number silent on,
// counted from 1, it answers nothing; 0 means that it answers everything.
func (h *history) destination(w *diskWorld, x *side, silent int) {
	c := x.Conn
	h.busy.Go(func() {
		for {
			p, err := c.TryNext()
			if errors.Is(err, os.ErrDeadlineExceeded) { // nothing has arrived
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
					h.fail("%d arrives before %d", n, h.next)
				}
				h.arrived[n] = true
				for h.arrived[h.next] {
					h.next++
				}
			}
			h.mu.Unlock()
			if mute {
				for err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // until the connection is cut
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

// first returns the first word of a payload.
func first(payload string) string {
	word, _, _ := strings.Cut(payload, " ")
	return word
}

// kill ends the process, and starts another process with a copy of the disk.
func (h *history) kill() {
	w := h.live
	w.pipe.mu.Lock() // so that nothing is acknowledged meanwhile
	h.mu.Lock()
	dir := w.t.TempDir()
	for os.CopyFS(dir, os.DirFS(w.dir)) != nil { // a segment was removed meanwhile
		_ = os.RemoveAll(dir) // if it fails, the next copy fails, too
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

// renew reconnects the source if the runner has asked for it, and makes it send again the
// messages that were not acknowledged.
func (h *history) renew() {
	w := h.live
	select {
	case <-w.source.s.ReconnectRequested():
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

// blockSegments makes the disk fail when the next segment begins: there is a directory in
// its place. If there is false, it removes these directories.
func blockSegments(w *diskWorld, there bool) {
	if !there {
		paths, _ := filepath.Glob(filepath.Join(w.dir, "*.log")) // the pattern is valid
		for _, p := range paths {
			if info, err := os.Stat(p); err == nil && info.IsDir() {
				_ = os.Remove(p) // if it fails, the next start fails, too
			}
		}
		return
	}
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	next := uint64(1)
	if paths, _ := filepath.Glob(filepath.Join(w.dir, "*.log")); len(paths) > 0 { // the pattern is valid
		last := filepath.Base(paths[len(paths)-1])
		next, _ = strconv.ParseUint(strings.TrimSuffix(last, ".log"), 10, 64)
	}
	for n := next + 1; n < next+2000; n++ {
		_ = os.Mkdir(filepath.Join(w.dir, fmt.Sprintf("%020d.log", n)), 0o700) // a segment may have that name
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
	allRules := everyVariant(t)
	isUp, paused, failing := false, false, false
	happened := map[string]int{}
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
		switch n := random.IntN(24); {
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
		case n < 20 && (failing || random.IntN(6) == 0): // rarely, because a failed disk is not used again for a long time
			did = "disk"
			failing = !failing
			blockSegments(w, failing)
		case n >= 22:
			did = "update"
			w.pipe.Update(allRules[random.IntN(variants)], w.meter, Options{BufferQoS0: true, MemoryBytes: 30_000 + random.IntN(40_000)})
		case n >= 20:
			did = "kill"
			blockSegments(w, false)
			failing = false
			h.kill()
			isUp, paused = false, false
		}
		h.renew()
		h.live.checkInvariants()
		if did != "" {
			happened[did]++
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
		if p.queue.len() > 0 || p.spool.pending.len() > 0 || p.qos0Bytes != 0 || p.inflight != 0 || p.spool.queuedFromDisk != 0 || p.spool.queuedFromDiskBytes != 0 || p.spool.alsoQueued != 0 {
			return fmt.Errorf("held: %d, pending %d, %d bytes of QoS 0, %d in flight, %d from disk of %d bytes, %d also queued", p.queue.len(), p.spool.pending.len(), p.qos0Bytes, p.inflight, p.spool.queuedFromDisk, p.spool.queuedFromDiskBytes, p.spool.alsoQueued)
		}
		return nil
	})
	h.mu.Lock()
	if h.next < h.sent || len(h.acked) < h.sent {
		h.fail("%d messages were sent, %d acknowledged, %d arrived; the first missing is %d", h.sent, len(h.acked), len(h.arrived), h.next)
	}
	failures := slices.Clone(h.failures)
	t.Logf("%d messages, %v", h.sent, happened)
	h.mu.Unlock()
	for _, x := range failures[:min(len(failures), 10)] {
		t.Error(x)
	}
	if n := h.live.meter.droppedFor(DropDamaged); n > 0 {
		t.Errorf("%d messages are counted as damaged", n)
	}
	h.live.source.cut()
	h.live.destination.cut()
	h.busy.Wait()
}
