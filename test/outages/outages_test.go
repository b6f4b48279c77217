// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// all are the faults of the suite.
func all() []fault { return slices.Concat(established, connecting) }

func TestEachLossIsNoticedWithinItsBoundAndNothingIsLost(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for place, f := range all() {
		for i, s := range []side{remote, local} {
			for j, d := range []direction{toward, from} {
				if f.expected(d) == nil {
					continue
				}
				for _, r := range rows(&f, place+i+j) {
					try(t, b, &f, place, r, s, d)
				}
			}
		}
	}
}

// try is a test of a fault.
func try(t *testing.T, b *bench, f *fault, place int, r row, s side, d direction) {
	t.Run(fmt.Sprintf("%s/%s/%s/MQTT %s/QoS %v", f.name, s, words(s, d), r.version, r.qos), func(t *testing.T) {
		t.Parallel()
		w := &world{TB: t, side: s, direction: d, version: r.version, settings: short, bench: b}
		w.outage(f, place, r.qos)
	})
}

// row is a fault with one version, and one or two QoS.
type row struct {
	version v1alpha1.ProtocolVersion
	qos     []byte
}

// rows has both QoS at once, and one version in turn; or where -full is given each alone.
func rows(f *fault, turn int) []row {
	var out []row
	for i, v := range both {
		switch {
		case !f.of(v):
		case *full:
			out = append(out, row{v, []byte{1}}, row{v, []byte{2}})
		case i == turn%len(both) || f.versions != nil:
			out = append(out, row{v, []byte{1, 2}})
		}
	}
	return out
}

// words say the direction as manifests do.
func words(s side, d direction) string {
	if (s == remote) == (d == toward) {
		return "forwards"
	}
	return "subscriptions"
}

// need leaves a test out that needs a network of its own where there is none.
func (w *world) need(isolation bool, name string) {
	w.Helper()
	if isolation && !isolated() {
		results.leave(name)
		w.Skip("left out, for want of a network namespace")
	}
}

// outage loses the server in use, and judges what becomes of it.
func (w *world) outage(f *fault, place int, qos []byte) {
	w.Helper()
	w.need(f.isolated, f.name)
	inject, heal, lost := f.inject, f.heal, "primary"
	switch {
	case f.connecting != nil:
		w.build(false, f.connecting)
		inject, heal, lost = func(w *world) { w.link.enable(false) }, func(w *world) { w.link.enable(true) }, "backup-1"
	case f.next != nil:
		w.build(f.sieved, f.next.connecting)
	default:
		w.build(f.sieved)
	}
	if f.apart {
		w.servers[0].URL = "mqtt://" + net.JoinHostPort(w.link.host(), w.link.name)
	}
	w.connect()
	w.stream(f.size, qos...)
	want := f.expected(w.direction)
	within := want.of(w.settings)
	without := within // a server
	if f.next != nil {
		without += f.next.expected(w.direction).of(w.settings)
	}

	began := time.Now()
	inject(w)
	for _, s := range w.streams {
		must(w, s.switched(began, without+soon))
	}
	end := time.Now()
	margin := w.margin(began, end)
	status := w.waitActive(w.backup.Name, soon)

	n := w.noticed(lost)
	noticed := n.at.Sub(began)
	if f.connecting != nil { // from when it was tried
		noticed = n.at.Sub(w.noticed("primary").at)
	}
	if noticed > within+margin {
		w.Errorf("noticed after %s, want within %s and %s", noticed, within, margin)
	}
	if !slices.Contains(want.reasons, n.reason) {
		w.Errorf("the reason is %s, want one of %v\n%s", n.reason, want.reasons, n.line)
	}
	if got := ptr.Deref(status.Failovers, 0); got != 1 {
		w.Errorf("the bridge has switched %d times, want 1: %+v", got, status.LastFailover)
	}
	if f := status.LastFailover; f == nil || f.From != "primary" || f.To != w.backup.Name {
		w.Errorf("the last failover is %+v, want from primary to %s", f, w.backup.Name)
	}

	w.triedOnce()

	reports := w.settle(began, heal, f.forgets)
	if w.direction == toward {
		w.explained(reports)
	}
	for i, s := range w.streams {
		gap := s.gap(began, end)
		if gap > without+margin {
			w.Errorf("QoS %d: nothing arrived for %s, want at most %s and %s", s.qos, gap, without, margin)
		}
		results.add(result{
			place: place, fault: f.name, version: string(w.version), side: w.side, direction: words(w.side, w.direction), qos: fmt.Sprint(s.qos),
			reason: n.reason, noticed: noticed, bound: within, margin: margin, gap: gap, lost: reports[i].lost, twice: reports[i].twice,
		})
	}
}

// triedOnce checks that the servers between the primary and the backup were tried in vain
// once each.
func (w *world) triedOnce() {
	w.Helper()
	metrics := w.runner.Metrics()
	for i := range w.servers[1 : len(w.servers)-1] {
		name := fmt.Sprintf("backup-%d", i+1)
		if n := metrics.Sum("mqttbridge_connection_failures_total", "side="+string(w.side), "server="+name); n != 1 {
			w.Errorf("%s was tried in vain %v times, want once", name, n)
		}
	}
}

// account is what became of a stream.
type account struct{ lost, twice int }

// settle ends the streams, heals the primary, has the bridge fetch what that one holds,
// unless it forgets, and counts. The backup is in use.
func (w *world) settle(fault time.Time, heal func(*world), forgets bool) []account {
	w.Helper()
	accounts := make([]account, len(w.streams))
	end := func(part func(*stream) *part) {
		for _, s := range w.streams {
			must(w, part(s).publisher.StopAndDrain(wholly))
		}
	}
	count := func(part func(*stream) *part) {
		for i, s := range w.streams {
			r := part(s).judge(w, fault)
			accounts[i].lost += len(r.Lost)
			accounts[i].twice += r.Duplicates
		}
	}
	first := func(s *stream) *part { return s.parts[0] }
	last := func(s *stream) *part { return s.parts[len(s.parts)-1] }
	end(last)
	if w.direction == from { // before the bridge goes back
		count(last)
	}
	if heal != nil {
		heal(w)
	}
	if w.direction == toward {
		count(last)
		return accounts
	}
	if forgets {
		return accounts
	}
	end(first)
	w.backup.Stop()
	count(first)
	return accounts
}

// explained checks that what came twice was sent again by the bridge, and counted.
func (w *world) explained(reports []account) {
	w.Helper()
	twice := 0
	for _, r := range reports {
		twice += r.twice
	}
	if again := int(w.runner.Metrics().Sum("mqttbridge_messages_resent_total")); twice > again {
		w.Errorf("%d messages came twice, and the runner has counted %d as sent again", twice, again)
	}
}

// notice is a line of the runner's log that says that a server is lost, or was tried in vain.
type notice struct {
	line   string
	at     time.Time
	reason string
}

// noticed is when the side first noticed that the server is lost, and why.
func (w *world) noticed(server string) notice {
	w.Helper()
	lines := w.notices(server)
	if len(lines) == 0 {
		w.Fatalf("the runner's log does not say that %s is lost", server)
	}
	return lines[0]
}

func (w *world) notices(server string) []notice {
	w.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`(?m)^time=(\S+) .*msg="connection (?:lost|failed)" side=%s server=%s .*reason=(\S+).*$`, w.side, server))
	var out []notice
	for _, m := range line.FindAllStringSubmatch(w.runner.Log(), -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		must(w, err)
		out = append(out, notice{m[0], at, m[2]})
	}
	return out
}
