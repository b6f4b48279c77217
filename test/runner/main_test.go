// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package runner tests the bridge-runner from outside, as the process in a pod, between real
// Mosquitto brokers and clients that share no code with it. Each test checks a guarantee of the
// project.
//
// With -short, outages last 10 seconds instead of a minute.
package runner

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// testsAtOnce is the number of tests that run in parallel. It exceeds the number of processors,
// because most tests wait most of the time.
const testsAtOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	code := 0
	for _, version = range []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5} {
		fmt.Printf("bridges use MQTT %s\n", version)
		code = max(code, m.Run())
	}
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}

// version is the MQTT version of the bridges. All tests run once with each version.
var version v1alpha1.ProtocolVersion

const (
	// eventTimeout is the timeout for events that take milliseconds on an idle machine.
	eventTimeout = 15 * time.Second
	// drainTimeout is the timeout for the rest of a stream to arrive. It is long, because a machine may be busy.
	drainTimeout = 90 * time.Second
)

// manifest returns a bridge that forwards up/# at any QoS from the local server to the remote
// servers.
func manifest(name, local string, remotes ...string) *v1alpha1.MQTTBridge {
	b := &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: local}, ProtocolVersion: &version},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: remotes[0]}, ProtocolVersion: &version},
			LocalToRemote: []v1alpha1.Rule{{Filter: "up/#", QoS: ptr.To[int32](2)}},
		},
	}
	for _, url := range remotes[1:] {
		b.Spec.Remote.Backups = append(b.Spec.Remote.Backups, v1alpha1.Server{URL: url})
	}
	return b
}

// downToo adds a subscription of down/# from the remote side.
func downToo(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge {
	b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "down/#", QoS: ptr.To[int32](2)}}
	return b
}

// timeouts sets timeouts of the remote side, in seconds.
func timeouts(b *v1alpha1.MQTTBridge, connect, ack int32) *v1alpha1.MQTTBridge {
	f := failover(b)
	f.ConnectTimeoutSeconds, f.AckTimeoutSeconds = ptr.To(connect), ptr.To(ack)
	return b
}

// retry sets the delays between attempts of the remote side.
func retry(b *v1alpha1.MQTTBridge, initialMilliseconds, maxSeconds int32) *v1alpha1.MQTTBridge {
	failover(b).Retry = &v1alpha1.Retry{InitialMilliseconds: ptr.To(initialMilliseconds), MaxSeconds: ptr.To(maxSeconds)}
	return b
}

func failover(b *v1alpha1.MQTTBridge) *v1alpha1.Failover {
	if b.Spec.Remote.Failover == nil {
		b.Spec.Remote.Failover = &v1alpha1.Failover{}
	}
	return b.Spec.Remote.Failover
}

// withoutProbes disables probes and failback, so that all connections to the servers are attempts
// of the bridge and can be counted.
func withoutProbes(b *v1alpha1.MQTTBridge) {
	f := failover(b)
	f.Probe = &v1alpha1.Probe{Policy: ptr.To(v1alpha1.ProbeNever)}
	f.Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
}

// line is a bridge between one local broker and two remote brokers, with one stream.
type line struct {
	t                      *testing.T
	local, primary, backup *mqtttest.Broker
	manifest               *v1alpha1.MQTTBridge
	runner                 *mqtttest.Runner
	publisher              *traffic.Publisher
	collector              *traffic.Collector
}

// localInflight is the largest number of messages in flight from a line's local broker to the
// bridge.
const localInflight = 1000

// eachQoS runs a test with a line of its own for QoS 1 and QoS 2, in parallel.
func eachQoS(t *testing.T, test func(t *testing.T, l *line, qos byte)) {
	t.Helper()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			test(t, newLine(t), qos)
		})
	}
}

// newLine starts the brokers. The test changes the manifest and then connects.
func newLine(t *testing.T) *line {
	t.Helper()
	return newLineFrom(t, mqtttest.BrokerOptions{Name: "local", Persistence: true, MaxInflight: localInflight})
}

// newLineFrom is like newLine, with a local broker that has the given options.
func newLineFrom(t *testing.T, local mqtttest.BrokerOptions) *line {
	t.Helper()
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true, MaxInflight: localInflight})
	}
	l := &line{t: t, local: mqtttest.StartBroker(t, local), primary: start("primary"), backup: start("backup-1")}
	l.manifest = manifest("line", l.local.URL(), l.primary.URL(), l.backup.URL())
	// The servers accept more messages in flight than the default of QoS 2, which limits the rate of far lines.
	l.manifest.Spec.Delivery = &v1alpha1.Delivery{InflightWindow: ptr.To(v1alpha1.DefaultInflightWindow)}
	l.collector = mqtttest.StartCollector(t, "up/#", "up", l.primary, l.backup)
	return l
}

// far puts the primary behind a proxy with the given one-way delay, so that messages are always in
// flight.
func (l *line) far(oneWay time.Duration) *mqtttest.Proxy {
	l.t.Helper()
	p := mqtttest.StartProxy(l.t, l.primary.Address(), oneWay)
	l.manifest.Spec.Remote.Primary.URL = p.URL()
	return p
}

// connect starts the runner and waits until it is connected to the primary.
func (l *line) connect() {
	l.t.Helper()
	l.runner = mqtttest.StartRunner(l.t, l.manifest)
	l.runner.WaitActive("primary", eventTimeout)
}

// stream starts a publisher and waits until its messages arrive.
func (l *line) stream(qos byte, rate int) {
	l.t.Helper()
	l.publishOnly(qos, rate)
	l.flow(rate / 2)
}

// stopServers stops both remote brokers. They save acknowledged messages, which a killed Mosquitto
// would lose, and the session of the collector. They therefore keep messages that the runner sends
// before the collector is connected again.
func (l *line) stopServers() {
	l.t.Helper()
	for _, b := range []*mqtttest.Broker{l.primary, l.backup} {
		b.Stop()
	}
}

// flow waits until n more messages have arrived.
func (l *line) flow(n int) {
	l.t.Helper()
	must(l.t, l.collector.WaitCount(l.collector.Count()+n, eventTimeout))
}

// finish ends the stream, waits for all its messages, and returns the report. It fails the test if
// an acknowledged message is lost or out of order.
func (l *line) finish() traffic.Report {
	l.t.Helper()
	must(l.t, l.publisher.StopAndDrain(drainTimeout))
	err := l.collector.WaitAll(l.publisher.Ledger(), drainTimeout)
	return l.judge(err)
}

// finishWithSourceResends is finish for a test in which the local broker may have lost
// acknowledgements: it then resends messages that a remote server already has, behind newer
// messages. They may reach the other server out of order.
func (l *line) finishWithSourceResends() traffic.Report {
	l.t.Helper()
	must(l.t, l.publisher.StopAndDrain(drainTimeout))
	must(l.t, l.collector.WaitAll(l.publisher.Ledger(), drainTimeout))
	r := traffic.Compare(l.publisher.Ledger(), l.collector.Arrivals())
	l.t.Log(r)
	for _, d := range r.Disorder {
		if !d.FromOtherServer {
			l.t.Errorf("message %d arrived after %d", d.Seq, d.After)
		}
	}
	return r
}

func (l *line) judge(arrived error) traffic.Report {
	l.t.Helper()
	return judge(l.t, l.publisher, l.collector, arrived)
}

func judge(t *testing.T, p *traffic.Publisher, c *traffic.Collector, arrived error) traffic.Report {
	t.Helper()
	r := traffic.Compare(p.Ledger(), c.Arrivals())
	t.Log(r)
	if arrived != nil || len(r.Lost) > 0 {
		t.Errorf("%d acknowledged messages are lost (%v)", len(r.Lost), arrived)
	}
	if len(r.Disorder) > 0 {
		t.Errorf("%d messages arrived out of order", len(r.Disorder))
	}
	return r
}

// onceEach fails the test if a message arrived twice.
func onceEach(t *testing.T, r traffic.Report) {
	t.Helper()
	if r.Duplicates > 0 {
		t.Errorf("%d messages arrived twice", r.Duplicates)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outage returns the duration of an outage of all servers.
func outage() time.Duration {
	if testing.Short() {
		return 10 * time.Second
	}
	return time.Minute
}

// publishOnly starts a publisher without waiting for arrivals.
func (l *line) publishOnly(qos byte, rate int) {
	l.publisher = mqtttest.StartPublisher(l.t, l.local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: qos, Rate: rate, Size: 128})
}
