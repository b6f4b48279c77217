// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var record = flag.Bool("record", false, "write the scrapes of TestMetrics_RealRunners_MatchTheList to test/monitoring/testdata; use it with -run")

// recordings has the scrapes on which test/monitoring tests the rules and dashboards.
const recordings = "../monitoring/testdata"

// recorder compares the scrapes of runners with the list of metrics, and writes them with -record.
type recorder struct {
	t      *testing.T
	hosted bool
	seen   map[string]bool
}

// scrape takes a scrape of a runner. name is the name of the recording.
func (r *recorder) scrape(name string, runner *mqtttest.Runner) {
	r.t.Helper()
	text := runner.Scrape()
	families := mqtttest.Families(r.t, text)
	for _, difference := range mqtttest.CompareMetrics(families, r.hosted, r.seen) {
		r.t.Errorf("%s: %s", name, difference)
	}
	for _, other := range metriclist.Others {
		if other.Source == metriclist.FromGo && families[other.Name] == nil {
			r.t.Errorf("%s: the runner does not serve %s", name, other.Name)
		}
	}
	if !*record || version != v1alpha1.ProtocolVersion5 {
		return
	}
	series := regexp.MustCompile(`(?m)^(?:mqttbridge_|process_(?:cpu|resident|start)).*\n`).FindAllString(text, -1)
	file := filepath.Join(recordings, name+".prom")
	must(r.t, os.MkdirAll(filepath.Dir(file), 0o750))
	must(r.t, os.WriteFile(file, []byte(strings.Join(series, "")), 0o600))
}

// wantAll fails the test if no scrape had a metric of the sets.
func (r *recorder) wantAll(sets ...metriclist.Set) {
	r.t.Helper()
	for _, set := range sets {
		for _, m := range metriclist.Of(set) {
			if !r.seen[m.Name] {
				r.t.Errorf("internal/metriclist has %s, and no runner serves it", m.Name)
			}
		}
	}
}

// publish publishes n messages with payloads of the given size.
func publish(from *mqtttest.Client5, n, size int, qos byte, topic string) {
	for range n {
		from.Publish(&paho.Publish{Topic: topic, QoS: qos, Payload: make([]byte, size)})
	}
}

// waitSum waits until the sum of the series has at least a value.
func waitSum(t *testing.T, r *mqtttest.Runner, atLeast float64, name string, labels ...string) {
	t.Helper()
	mqtttest.Eventually(t, drainTimeout, fmt.Sprintf("%s %v is at least %v", name, labels, atLeast), func() error {
		if got := r.Metrics().Sum(name, labels...); got < atLeast {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// The scrapes of this test are an outage of both remote servers of a bridge with a buffer on disk.
func TestMetrics_RealRunners_MatchTheList(t *testing.T) {
	t.Parallel()
	const forwarded, direction = "mqttbridge_messages_forwarded_total", "direction=localToRemote"
	pki := mqtttest.NewPKI(t)
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, TLS: pki.LongLived(), ClientCA: pki.CA, Persistence: true})
	}
	local, primary, backup := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), start("primary"), start("backup")
	b := retry(onDisk(downToo(manifest("recorded", local.URL(), primary.URL(), backup.URL())), "16Mi", v1alpha1.WhenFullBlock), 100, 1)
	b.Spec.Buffer.QoS0WhenDown = ptr.To(v1alpha1.QoS0WhenDownDrop)
	b.Spec.LocalToRemote[0].Exclude = []string{"up/private/#"}
	b.Spec.Remote.TLS = mqtttest.ShowCertificate(mqtttest.TrustSecret("ca"), "client")
	b.Spec.Remote.Failover.Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1)}
	b.Spec.Remote.Failover.Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
	client := pki.Client("bridge")
	runner := mqtttest.NewRunner(t, b)
	runner.SetFile("ca", "ca.crt", string(pki.CA))
	runner.SetFile("client", "tls.crt", string(client.Cert))
	runner.SetFile("client", "tls.key", string(client.Key))
	near := mqtttest.StartClient5(t, local, "near")
	r := &recorder{t: t, seen: map[string]bool{}}

	runner.Start()
	runner.WaitActive("primary", eventTimeout)
	waitSum(t, runner, 1, "mqttbridge_probes_total", "side=remote", "result=passed")
	r.scrape("outage/1-connected", runner)
	publish(near, 200, 100, 1, "up/x")
	publish(near, 3, 100, 1, "up/private/x")
	waitSum(t, runner, 200, forwarded, direction)
	r.scrape("outage/2-forwarding", runner)
	primary.Kill()
	runner.WaitActive("backup-1", eventTimeout)
	publish(near, 100, 100, 1, "up/x")
	waitSum(t, runner, 300, forwarded, direction)
	waitSum(t, runner, 1, "mqttbridge_probes_total", "side=remote", "server=primary", "result=ConnectionRefused")
	r.scrape("outage/3-on-the-backup", runner)
	backup.Kill()
	waitSum(t, runner, 1, "mqttbridge_connection_failures_total", "side=remote", "server=backup-1")
	publish(near, 300, 100, 1, "up/x")
	publish(near, 20, 100, 0, "up/x")
	waitSum(t, runner, 300, "mqttbridge_backlog_messages", direction)
	waitSum(t, runner, 20, "mqttbridge_messages_dropped_total", direction, "cause=not_connected")
	r.scrape("outage/4-no-server", runner)
	publish(near, 320, 20_000, 1, "up/x")
	waitSum(t, runner, 620, "mqttbridge_backlog_messages", direction)
	r.scrape("outage/5-backlog", runner)
	primary.Start()
	runner.WaitActive("primary", eventTimeout)
	waitSum(t, runner, 920, forwarded, direction)
	r.scrape("outage/6-recovered", runner)
	r.wantAll(metriclist.Bridge, metriclist.Runner)
}

// The scrapes of this test are the end of one of two runners.
func TestMetrics_TwoRealRunners_MatchTheList(t *testing.T) {
	t.Parallel()
	local, remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"}), mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	pair := mqtttest.NewPair(t, manifest("recorded", local.URL(), remote.URL()), false)
	r := &recorder{t: t, seen: map[string]bool{}}
	pair.Start()
	pair.Runners[0].WaitActive("primary", eventTimeout)
	r.scrape("pair/1-first", pair.Runners[0])
	r.scrape("pair/1-second", pair.Runners[1])
	pair.Runners[0].Kill()
	pair.Runners[1].WaitActive("primary", eventTimeout)
	waitSum(t, pair.Runners[1], 1, "mqttbridge_member_gap_seconds_count")
	r.scrape("pair/2-second", pair.Runners[1])
	r.wantAll(metriclist.Runner, metriclist.Member)
}

func TestMetrics_RealHost_MatchTheList(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := mqtttest.StartHost(t, s.bridge("one"), s.bridge("two"))
	h.WaitConnected("one.yaml", eventTimeout)
	h.WaitConnected("two.yaml", eventTimeout)
	s.send("one/x")
	r := &recorder{t: t, hosted: true, seen: map[string]bool{}}
	r.scrape("host/1-connected", h.Runner)
	r.wantAll(metriclist.Runner, metriclist.Host)
}
