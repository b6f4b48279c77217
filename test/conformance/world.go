// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance runs a real runner between servers that follow the MQTT specifications
// exactly (package peer). It checks each packet that the runner sends, and each message:
//   - Every message that a source accepts for the bridge arrives on the other side. At QoS 2
//     it arrives once, unless an event permits a second arrival.
//   - The messages of a stream arrive in order.
//   - No message is acknowledged to its source before the other side or the disk has it.
//
// Random schedules cut connections at any packet, kill the runner, switch between servers, and make
// servers drop sessions, refuse messages and connections, restart and change their limits.
package conformance

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// settings configures a world.
type settings struct {
	version    v1alpha1.ProtocolVersion
	remotes    int // at least 1
	window     int
	disk       bool
	oneWay     bool // no messages from the remote side to the local side
	ackTimeout int32
	server     func(c *peer.Config) // changes the settings of a server; may be nil
}

// world is a bridge between one local server and remote servers, with all its streams.
type world struct {
	testing.TB
	settings
	local    *peer.Server
	remotes  []*peer.Server
	streams  []*stream
	ledger   *ledger
	manifest *v1alpha1.MQTTBridge
	runner   *mqtttest.Runner
	dropped  map[string]float64 // by cause, of processes that have ended

	broken     atomic.Bool
	mu         sync.Mutex
	violations []string
}

func newWorld(t testing.TB, s settings) *world {
	t.Helper()
	w := &world{TB: t, settings: s, dropped: map[string]float64{}}
	w.ledger = newLedger("local", w.violation)
	w.ledger.disk = s.disk
	w.local = w.serve("local")
	for i := range s.remotes {
		name := "primary"
		if i > 0 {
			name = fmt.Sprintf("backup-%d", i)
		}
		w.remotes = append(w.remotes, w.serve(name))
	}
	peer.Group(w.remotes...)
	remotes := make([]string, len(w.remotes))
	for i, r := range w.remotes {
		remotes[i] = r.URL()
	}
	w.manifest = w.bridge(w.local.URL(), remotes...)
	return w
}

func (w *world) serve(name string) *peer.Server {
	w.Helper()
	c := peer.Config{
		Name:         name,
		Address:      net.JoinHostPort("127.0.0.1", fmt.Sprint(mqtttest.FreePort(w.TB))),
		ClientWindow: w.window,
		App:          w.ledger,
		Report:       func(v peer.Violation) { w.violation(v.String()) },
	}
	if w.server != nil {
		w.server(&c)
	}
	s := peer.New(c)
	w.listen(s)
	w.Cleanup(func() { s.Stop(false) })
	return s
}

// listen starts a server. It retries, because another test process may use the port for a moment.
func (w *world) listen(s *peer.Server) {
	w.Helper()
	mqtttest.Eventually(w.TB, eventTimeout, s.Name()+" listens", s.Start)
}

// bridge returns the manifest of a bridge between a local server and remote servers.
func (w *settings) bridge(local string, remotes ...string) *v1alpha1.MQTTBridge {
	side := func(urls ...string) v1alpha1.Side {
		s := v1alpha1.Side{
			Primary:         v1alpha1.Server{URL: urls[0]},
			ProtocolVersion: &w.version,
			ClientID:        bridgeID,
			Failover: &v1alpha1.Failover{
				ConnectTimeoutSeconds: ptr.To[int32](3),
				PingTimeoutSeconds:    ptr.To[int32](3),
				AckTimeoutSeconds:     ptr.To(max(w.ackTimeout, 1)),
				Retry:                 &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](50), MaxSeconds: ptr.To[int32](1)},
				Probe:                 &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1)},
				Failback:              &v1alpha1.Failback{StableSeconds: ptr.To[int32](2)},
			},
		}
		for _, backup := range urls[1:] {
			s.Backups = append(s.Backups, v1alpha1.Server{URL: backup})
		}
		return s
	}
	b := &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: "world", Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         side(local),
			Remote:        side(remotes...),
			LocalToRemote: []v1alpha1.Rule{{Filter: "up/#", QoS: ptr.To[int32](2)}},
			Delivery:      &v1alpha1.Delivery{InflightWindow: ptr.To(int32(w.window))},
		},
	}
	if !w.oneWay {
		b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "down/#", QoS: ptr.To[int32](2)}}
	}
	if w.disk {
		b.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse("64Mi"))}}
	}
	return b
}

// start starts the runner.
func (w *world) start() {
	w.Helper()
	w.runner = mqtttest.StartRunner(w.TB, w.manifest)
}

// stream creates a stream from a server at a QoS.
func (w *world) stream(from *peer.Server, name string, qos byte) *stream {
	topic := "up/" + name
	if from != w.local {
		topic = "down/" + name
	}
	s := &stream{name: name, topic: topic, qos: qos, from: from}
	w.streams = append(w.streams, s)
	return s
}

// publish passes the next message of a stream to its source. It returns false if the source has no
// session of the bridge that accepts the message.
func (w *world) publish(s *stream, size int) bool {
	m, pm := w.ledger.add(s, size)
	if !s.from.Publish(pm) {
		w.ledger.reject(m)
		return false
	}
	return true
}

// publishPoison is like publish, for a message that the destination does not accept.
func (w *world) publishPoison(s *stream) bool {
	m, pm := w.ledger.add(s, 0)
	w.ledger.poison(m)
	return s.from.Publish(pm)
}

// violation records a violated rule. The test fails and logs the first few violations.
func (w *world) violation(text string) {
	const shown = 3
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.violations = append(w.violations, text); len(w.violations) <= shown {
		w.Errorf("%s", text)
	}
	w.broken.Store(true)
}

const (
	// eventTimeout is for events that take milliseconds on an idle machine.
	eventTimeout = 20 * time.Second
	// drainTimeout is longer than all messages in transit need to arrive.
	drainTimeout = 60 * time.Second
)

// eventually waits until ok returns nil. It returns false after a timeout, or if a rule was
// violated.
func (w *world) eventually(timeout time.Duration, what string, ok func() error) bool {
	w.Helper()
	const interval = 5 * time.Millisecond
	deadline := time.Now().Add(timeout)
	for !w.broken.Load() {
		err := ok()
		if err == nil {
			return true
		}
		if time.Now().After(deadline) {
			w.violation(fmt.Sprintf("not within %v: %s: %v%s", timeout, what, err, w.histories()))
			w.showStacks()
			return false
		}
		time.Sleep(interval)
	}
	return false
}

// showStacks ends the runner and logs its goroutines.
func (w *world) showStacks() {
	w.Helper()
	if w.runner == nil || !w.runner.Running() {
		return
	}
	var shown []string
	for _, line := range strings.Split(w.runner.Stacks(), "\n") {
		if strings.HasPrefix(line, "goroutine ") || strings.Contains(line, "/bridge-runner/") && strings.HasPrefix(line, "\t") {
			shown = append(shown, line)
		}
	}
	w.Logf("the runner's goroutines:\n%s", strings.Join(shown, "\n"))
}

// histories returns the latest packets of all servers.
func (w *world) histories() string {
	var b strings.Builder
	for _, s := range append([]*peer.Server{w.local}, w.remotes...) {
		lines := s.History(bridgeID)
		const shown = 24
		fmt.Fprintf(&b, "\n  %s:\n    %s", s.Name(), strings.Join(lines[max(0, len(lines)-shown):], "\n    "))
	}
	return b.String()
}

// connected waits until the bridge is connected and subscribed at the local server and at the given
// remote server.
func (w *world) connected(remote *peer.Server) bool {
	w.Helper()
	return w.eventually(eventTimeout, "the bridge is connected to "+remote.Name(), func() error {
		switch {
		case !w.local.Connected(bridgeID) || !w.local.Subscribed(bridgeID):
			return fmt.Errorf("not connected or not subscribed at the local server")
		case !remote.Connected(bridgeID) || !w.oneWay && !remote.Subscribed(bridgeID):
			return fmt.Errorf("not connected or not subscribed at the remote server")
		}
		return nil
	})
}

// arrived waits until all messages of the streams are over.
func (w *world) arrived(streams ...*stream) bool {
	w.Helper()
	return w.eventually(drainTimeout, "all messages arrive and are acknowledged to their source", func() error {
		for _, s := range streams {
			if w.ledger.waiting(s) > 0 {
				return fmt.Errorf("%s", w.ledger.missing(streams))
			}
		}
		return nil
	})
}

// kill ends the runner with SIGKILL and starts it again.
func (w *world) kill() {
	w.Helper()
	w.countDropped()
	w.runner.Kill()
	w.restarted()
}

// terminate ends the runner with SIGTERM and starts it again.
func (w *world) terminate() {
	w.Helper()
	w.countDropped()
	if code, _ := w.runner.Terminate(); code != 0 {
		w.violation(fmt.Sprintf("the runner ends with %d after SIGTERM", code))
	}
	w.restarted()
}

func (w *world) restarted() {
	w.Helper()
	w.ledger.newEra()
	w.local.ProcessEnded()
	for _, s := range w.remotes {
		s.ProcessEnded()
	}
	w.runner.Start()
}

const droppedMetric = "mqttbridge_messages_dropped_total"

// countDropped adds the runner's count of dropped messages to the counts of earlier processes.
func (w *world) countDropped() {
	w.Helper()
	for _, sample := range w.runner.Metrics() {
		if sample.Name == droppedMetric {
			w.dropped[sample.Labels["cause"]] += sample.Value
		}
	}
}

// requestSwitch requests a switch to a remote server, by a request that differs from the previous
// one: with force, except if the previous request for this server had it.
func (w *world) requestSwitch(remote *peer.Server) {
	w.Helper()
	side := &w.manifest.Spec.Remote
	previous, name := side.PreferredServer, remote.Name()
	force := previous == nil || previous.Name != name || !*previous.Force
	w.runner.Prefer(w.manifest, side, &v1alpha1.PreferredServer{Name: name, Force: &force})
}
