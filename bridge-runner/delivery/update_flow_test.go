// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// variants is the number of variants that everyVariant returns.
const variants = 4

// everyVariant returns rules that differ in their number, their order and their topics. The rules
// of each variant forward each message once, at its QoS, if its topic has one level.
func everyVariant(t testing.TB) [][]manifest.Rule {
	t.Helper()
	rule := func(filter, topic string, exclude ...string) v1alpha1.Rule {
		return v1alpha1.Rule{Filter: filter, Topic: topic, Exclude: exclude, QoS: ptr.To[int32](2)}
	}
	return [][]manifest.Rule{
		rules(t, rule("#", "")),
		rules(t, rule("t", "b/t"), rule("+", "b/${1}", "t")),
		rules(t, rule("+", "c/${1}", "t"), rule("none", "x"), rule("t", "c/t")),
		rules(t, rule("#", "d/${topic}")),
	}
}

// flow is a stream of numbered messages from the server of one side to the server of the other.
type flow struct {
	t        *testing.T
	pipe     *Pipe
	from, to *side
	stop     chan struct{}
	// room has a token for each message that the source may send without an acknowledgement.
	room chan struct{}
	// sent, acked and arrived are numbers of messages.
	sent, acked, arrived atomic.Int64
	topics               sync.Map // the topics of the messages that have arrived
	busy                 sync.WaitGroup
}

func newFlow(t *testing.T, p *Pipe, from, to *side) *flow {
	const unacked = 100
	return &flow{t: t, pipe: p, from: from, to: to, stop: make(chan struct{}), room: make(chan struct{}, unacked)}
}

// publish sends messages until stop is closed.
func (f *flow) publish() {
	for n := f.sent.Load(); ; n++ {
		select {
		case <-f.stop:
			return
		case f.room <- struct{}{}:
		}
		f.sent.Add(1)
		id := uint16(1 + n%60_000)
		reply(f.from.Conn, script.Publish(id, 1, []string{"t", "u"}[n%2], strconv.FormatInt(n, 10)))
	}
}

// arrive checks and acknowledges a message.
func (f *flow) arrive(p script.Packet) {
	if n := f.arrived.Add(1) - 1; p.Payload != strconv.FormatInt(n, 10) || p.QoS != 1 {
		f.t.Errorf("%s arrives as message %d", p, n)
	}
	f.topics.Store(p.Topic, true)
	reply(f.to.Conn, script.Ack(v5.PUBACK, p.ID, 0))
}

// update replaces the rules and the options n times. There is at least one message between two
// updates.
func (f *flow) update(all [][]manifest.Rule, n int) {
	for i := range n {
		f.pipe.Update(all[i%variants], f.pipe.meter, Options{
			MemoryBytes:   []int{64 << 10, 1 << 20}[i%2], // each has room for all messages that the source sends
			BufferQoS0:    i%3 == 0,
			Drain:         DrainRate{Messages: 1000 * (i % 2)},
			Unforwardable: Unforwardable{Block: i%2 == 0, DeadLetter: []string{"dead", ""}[i%2]},
		})
		before, end := f.arrived.Load(), time.Now().Add(script.Timeout)
		for f.arrived.Load() == before {
			time.Sleep(10 * time.Microsecond)
			if time.Now().After(end) {
				f.t.Errorf("no message arrives after %d updates", i+1)
				return
			}
		}
	}
}

// serve reads the packets of a side's server, which is the destination of in and the source of out.
func serve(x *side, in, out *flow) {
	for {
		p, err := x.TryNext()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // nothing has arrived
		case err != nil:
			return
		case p.Type == v5.PUBLISH:
			in.arrive(p)
		case p.Type == v5.PUBACK:
			out.acked.Add(1)
			<-out.room
		case p.Type == v5.PINGREQ:
			reply(x.Conn, script.Packet{Type: v5.PINGRESP})
		}
	}
}

func TestUpdate_ThousandTimesWhileMessagesFlowBothWays_NothingIsLostDoubledOrReordered(t *testing.T) {
	const updates = 1000
	w := newWorld(t, packet.V5, everything)
	w.addReverse()
	all := everyVariant(t)
	w.reverse.Update(all[0], w.reverse.meter, Options{})
	w.destination.out = w.reverse
	w.source.connect(false, nil)
	w.destination.connect(false, nil)
	flows := []*flow{newFlow(t, w.pipe, w.source, w.destination), newFlow(t, w.reverse, w.destination, w.source)}
	var serving sync.WaitGroup
	serving.Go(func() { serve(w.destination, flows[0], flows[1]) })
	serving.Go(func() { serve(w.source, flows[1], flows[0]) })
	w.pipe.Up(w.destination.s)
	w.reverse.Up(w.source.s)
	var updating sync.WaitGroup
	for _, f := range flows {
		f.busy.Go(f.publish)
		updating.Go(func() {
			defer close(f.stop)
			f.update(all, updates)
		})
	}
	updating.Wait()
	for _, f := range flows {
		f.busy.Wait()
		eventually(t, func() error {
			if sent := f.sent.Load(); f.arrived.Load() != sent || f.acked.Load() != sent {
				return fmt.Errorf("%d messages were sent, %d arrived, %d are acknowledged", sent, f.arrived.Load(), f.acked.Load())
			}
			return nil
		})
		for _, topic := range []string{"t", "u", "b/t", "b/u", "c/t", "c/u", "d/t", "d/u"} {
			if _, ok := f.topics.Load(topic); !ok {
				t.Errorf("no message of %d arrives under %s", f.sent.Load(), topic)
			}
		}
	}
	_ = w.source.Close() // ends serve
	_ = w.destination.Close()
	serving.Wait()
}
