// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package slowlinks sends large messages over slow links, and checks the guarantees of
// docs/failure-modes.md: with the default timeouts, no link of at least 20 kB/s is too slow for
// messages of 1 to 30 MB, mixed with small ones, in either direction; and a server that is lost
// meanwhile is detected within the documented bound.
//
// By default the tests use the links and sizes that take less than a minute. With -full they use
// all, which takes 25 minutes.
package slowlinks

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

var full = flag.Bool("full", false, "test all rates with all sizes, some 25 minutes")

// testsAtOnce is the number of bridges that run in parallel. They wait most of the time.
const testsAtOnce = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	kB, mB = 1000, 1000 * 1000
	// eventTimeout is for events that take milliseconds on an idle machine.
	eventTimeout = 20 * time.Second
	// smallBuffer is the buffer size, in bytes, of a link that buffers little data.
	smallBuffer = 32 << 10
)

// direction is the direction of the messages over the slow link.
type direction string

const (
	up   direction = "to the server"
	down direction = "from the server"
)

// load describes the messages over a link.
type load struct {
	rate   int // rate of the link, in bytes per second
	size   int // size of the large messages, in bytes
	count  int // number of large messages
	dir    direction
	queued bool // the messages are queued before the bridge connects
	buffer int  // buffer size of the link in bytes; 0 is the system's default
}

func (l load) String() string {
	how, buffers := "live", "the system's buffers"
	if l.queued {
		how = "queued"
	}
	if l.buffer > 0 {
		buffers = "small buffers"
	}
	return fmt.Sprintf("%d x %d kB at %d kB a second %s, %s, %s", l.count, l.size/kB, l.rate/kB, l.dir, how, buffers)
}

// time returns the time that the large messages take at the link's rate.
func (l load) time() time.Duration {
	return time.Duration(l.count) * time.Duration(l.size) * time.Second / time.Duration(l.rate)
}

// loads returns the loads that take less than a minute, and with -full all loads.
func loads() []load {
	short := []load{
		{rate: 20 * kB, size: 700 * kB, count: 1, dir: up},
		{rate: 20 * kB, size: 350 * kB, count: 2, dir: up, buffer: smallBuffer},
		{rate: 20 * kB, size: 700 * kB, count: 1, dir: down},
		{rate: 50 * kB, size: 700 * kB, count: 2, dir: up, queued: true},
		{rate: 50 * kB, size: 700 * kB, count: 2, dir: down, queued: true},
		{rate: 300 * kB, size: 12 * mB, count: 1, dir: up},
		{rate: 300 * kB, size: 3500 * kB, count: 3, dir: up, buffer: smallBuffer},
		{rate: 300 * kB, size: 5 * mB, count: 2, dir: down, buffer: smallBuffer},
		{rate: 1 * mB, size: 30 * mB, count: 1, dir: up},
		{rate: 1 * mB, size: 30 * mB, count: 1, dir: down},
	}
	if !*full {
		return short
	}
	var all []load
	for _, rate := range []int{20 * kB, 50 * kB, 100 * kB, 300 * kB, 1 * mB} {
		for _, size := range []int{1 * mB, 5 * mB, 12 * mB, 30 * mB} {
			if size/rate > 1500 {
				continue
			}
			for i, dir := range []direction{up, down} {
				buffer := []int{0, smallBuffer}[(i+size/mB+rate/kB/10)%2]
				all = append(all,
					load{rate: rate, size: size, count: 1, dir: dir, buffer: buffer},
					load{rate: rate, size: size, count: 1, dir: dir, buffer: smallBuffer - buffer, queued: true})
			}
		}
	}
	return append(short, all...)
}

// world is a bridge whose remote server is behind a slow link.
type world struct {
	testing.TB
	local, remote, backup *mqtttest.Broker
	link                  *mqtttest.Throttle
	runner                *mqtttest.Runner
}

func newWorld(t testing.TB, l load) *world {
	t.Helper()
	w := &world{TB: t}
	w.local = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	w.remote = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	w.backup = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "backup"})
	o := mqtttest.ThrottleOptions{Up: l.rate, Buffer: l.buffer}
	if l.dir == down {
		o = mqtttest.ThrottleOptions{Down: l.rate, Buffer: l.buffer}
	}
	w.link = mqtttest.StartThrottle(t, w.remote.Address(), o)
	w.runner = mqtttest.NewRunner(t, &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: "slow", Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: w.local.URL()}, ClientID: "bridge"},
			Remote: v1alpha1.Side{
				Primary:  v1alpha1.Server{URL: w.link.URL()},
				Backups:  []v1alpha1.Server{{URL: w.backup.URL()}},
				ClientID: "bridge",
				Failover: &v1alpha1.Failover{Failback: &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}},
			},
			LocalToRemote: []v1alpha1.Rule{{Filter: "up/#", QoS: ptr.To[int32](2)}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: "down/#", QoS: ptr.To[int32](2)}},
		},
	})
	w.runner.Start()
	w.runner.WaitActive("primary", eventTimeout)
	return w
}

// stream is a series of messages from one side to the other.
type stream struct {
	name string
	from *mqtttest.Broker
	c    *traffic.Collector
	p    *traffic.Publisher
}

func (w *world) stream(name, topic string, from, to *mqtttest.Broker) *stream {
	w.Helper()
	return &stream{name: topic + name, from: from, c: mqtttest.StartCollector(w, topic+name, topic+name, to)}
}

func (s *stream) publish(t testing.TB, cfg traffic.PublisherConfig) {
	t.Helper()
	cfg.Topic, cfg.Stream, cfg.QoS = s.name, s.name, 1
	s.p = mqtttest.StartPublisher(t, s.from, cfg)
}

// arrive waits until the whole stream has arrived, and checks that each message arrived once and in
// order.
func (s *stream) arrive(t testing.TB, within time.Duration) {
	t.Helper()
	must(t, s.p.StopAndDrain(eventTimeout))
	err := s.c.WaitAll(s.p.Ledger(), within)
	if r := traffic.Compare(s.p.Ledger(), s.c.Arrivals()); err != nil || len(r.Lost)+len(r.Disorder)+r.Duplicates > 0 {
		t.Errorf("%s: %s: %v", s.name, r, err)
	}
}

func TestSlowLink_LargeAndSmallMessages_ArriveWithoutLoss(t *testing.T) {
	t.Parallel()
	for _, l := range loads() {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, l)
			loaded, other := w.stream("large", "up/", w.local, w.remote), w.stream("back", "down/", w.remote, w.local)
			if l.dir == down {
				loaded, other = w.stream("large", "down/", w.remote, w.local), w.stream("back", "up/", w.local, w.remote)
			}
			if l.queued {
				w.runner.Terminate()
			}
			loaded.publish(t, traffic.PublisherConfig{Size: l.size, Count: uint64(l.count)})
			must(t, loaded.p.WaitDone(eventTimeout))
			small := &stream{name: loaded.name[:len(loaded.name)-len("large")] + "small", from: loaded.from}
			to := w.remote
			if l.dir == down {
				to = w.local
			}
			small.c = mqtttest.StartCollector(t, small.name, small.name, to)
			small.publish(t, traffic.PublisherConfig{Size: 100, Count: 20})
			must(t, small.p.WaitDone(eventTimeout))
			if l.queued {
				w.runner.Start()
			}
			other.publish(t, traffic.PublisherConfig{Size: 100, Rate: 2})
			within := l.time() + l.time()/2 + eventTimeout
			must(t, loaded.c.WaitAll(loaded.p.Ledger(), within))
			loaded.arrive(t, eventTimeout)
			small.arrive(t, eventTimeout)
			other.arrive(t, eventTimeout)
			w.noLoss()
		})
	}
}

func TestSlowLink_ServerLostDuringLargeMessage_IsDetectedWithinBound(t *testing.T) {
	t.Parallel()
	for _, l := range []load{ // with small buffers, because data in the link's buffers is not the bridge's
		{rate: 50 * kB, size: 12 * mB, count: 1, dir: up, buffer: smallBuffer},
		{rate: 300 * kB, size: 30 * mB, count: 1, dir: up, buffer: smallBuffer},
	} {
		for name, lose := range map[string]func(*world){
			"frozen":      func(w *world) { w.remote.Freeze() },
			"black-holed": func(w *world) { w.link.BlackHole() },
		} {
			t.Run(name+"/"+l.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, l)
				s := w.stream("large", "up/", w.local, w.remote)
				s.publish(t, traffic.PublisherConfig{Size: l.size, Count: 1})
				must(t, s.p.WaitDone(eventTimeout))
				time.Sleep(5 * time.Second) // reach the middle of the message
				w.noLoss()
				lose(w)
				w.runner.WaitStatus(bound+eventTimeout, "the backup is active", func(s v1alpha1.MQTTBridgeStatus) error {
					if s.Remote == nil || s.Remote.Active == nil || s.Remote.Active.Name != "backup-1" {
						return fmt.Errorf("the remote side is %+v", s.Remote)
					}
					return nil
				})
				// The buffers of the link and of the server's TCP accept data for a short time.
				if took := time.Since(w.link.Forwarded()); took > bound+margin {
					t.Errorf("the switch took %s after the last data, want at most %s and %s", took, bound, margin)
				}
				w.remote.Thaw()
			})
		}
	}
}

const (
	// bound is ackTimeoutSeconds, within which the bridge detects a server that accepts no data.
	bound = time.Duration(v1alpha1.DefaultAckTimeoutSeconds) * time.Second
	// margin is a reserve for a busy machine.
	margin = 3 * time.Second
)

// noLoss checks that no server was lost and that no attempt failed.
func (w *world) noLoss() {
	w.Helper()
	s, err := w.runner.Status()
	must(w, err)
	if n := ptr.Deref(s.Remote.Switches, 0) + ptr.Deref(s.Local.Switches, 0); n != 0 {
		w.Errorf("%d switches", n)
	}
	log := w.runner.Log()
	failed := w.runner.Metrics().Sum("mqttbridge_connection_failures_total")
	if lost := strings.Count(log, `msg="connection lost"`); lost > 0 || failed > 0 {
		w.Errorf("%d connections were lost, and %v attempts failed:\n%s", lost, failed, log)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
