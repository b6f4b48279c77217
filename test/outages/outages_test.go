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

// all returns the faults of the suite.
func all() []fault { return slices.Concat(established, connecting) }

func TestOutage_EachFault_IsDetectedWithinBoundAndLosesNothing(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for place, f := range all() {
		for i, s := range []side{remote, local} {
			for j, d := range []direction{toward, from} {
				if f.expected(d) == nil {
					continue
				}
				for _, r := range rows(&f, place+i+j) {
					runFault(t, b, &f, place, r, s, d)
				}
			}
		}
	}
}

// runFault runs the test of one fault.
func runFault(t *testing.T, b *bench, f *fault, place int, r row, s side, d direction) {
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

// rows returns both QoS together and one version in turn; with -full it returns each separately.
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

// words returns the name of the direction in manifests.
func words(s side, d direction) string {
	if (s == remote) == (d == toward) {
		return "localToRemote"
	}
	return "remoteToLocal"
}

// need skips a test that needs a network namespace if there is none.
func (w *world) need(isolation bool, name string) {
	w.Helper()
	if isolation && !isolated() {
		results.skip(name)
		w.Skip("skipped: the test needs a network namespace")
	}
}

// outage makes the bridge lose its active server, and checks the consequences.
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
	withoutServer := within
	if f.next != nil {
		withoutServer += f.next.expected(w.direction).of(w.settings)
	}

	began := time.Now()
	inject(w)
	for _, s := range w.streams {
		must(w, s.switched(began, withoutServer+eventTimeout))
	}
	end := time.Now()
	status := w.waitActive(w.backup.Name, eventTimeout)

	n := w.noticed(lost)
	since := began
	if f.connecting != nil { // measured from the start of the attempt
		since = w.noticed("primary").at
	}
	noticed := w.took(since, n.at)
	if noticed.own > within+margin {
		w.Errorf("detected after %s, want within %s + %s", noticed, within, margin)
	}
	if !slices.Contains(want.reasons, n.reason) {
		w.Errorf("the reason is %s, want one of %v\n%s", n.reason, want.reasons, n.line)
	}
	if got := ptr.Deref(status.Switches, 0); got != 1 {
		w.Errorf("the bridge has switched %d times, want 1: %+v", got, status.LastFailover)
	}
	if f := status.LastFailover; f == nil || f.From != "primary" || f.To != w.backup.Name {
		w.Errorf("the last failover is %+v, want from primary to %s", f, w.backup.Name)
	}

	w.checkTriedOnce()

	reports := w.settle(began, heal, f.forgets)
	if w.direction == toward {
		w.checkResent(reports)
	}
	for i, s := range w.streams {
		gap := w.gap(s, began, end)
		if gap.own > withoutServer+margin {
			w.Errorf("QoS %d: no message arrived for %s, want at most %s + %s", s.qos, gap, withoutServer, margin)
		}
		results.add(result{
			place: place, fault: f.name, version: string(w.version), side: w.side, direction: words(w.side, w.direction), qos: fmt.Sprint(s.qos),
			reason: n.reason, bound: within, noticed: noticed, gap: gap, lost: reports[i].lost, twice: reports[i].twice,
		})
	}
}

// checkTriedOnce checks that each server between the primary and the backup had exactly one failed
// attempt.
func (w *world) checkTriedOnce() {
	w.Helper()
	metrics := w.runner.Metrics()
	for i := range w.servers[1 : len(w.servers)-1] {
		name := fmt.Sprintf("backup-%d", i+1)
		if n := metrics.Sum("mqttbridge_connection_failures_total", "side="+string(w.side), "server="+name); n != 1 {
			w.Errorf("%s had %v failed attempts, want 1", name, n)
		}
	}
}

// account holds the counts of a stream.
type account struct{ lost, twice int }

// settle ends the streams, heals the primary, makes the bridge receive the messages that the
// primary still holds unless the primary forgets them, and counts. The backup is active.
func (w *world) settle(fault time.Time, heal func(*world), forgets bool) []account {
	w.Helper()
	accounts := make([]account, len(w.streams))
	end := func(part func(*stream) *part) {
		for _, s := range w.streams {
			must(w, part(s).publisher.StopAndDrain(drainTimeout))
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
	if w.direction == from { // before the bridge returns to the primary
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

// checkResent checks that the runner resent and counted the messages that arrived twice.
func (w *world) checkResent(reports []account) {
	w.Helper()
	twice := 0
	for _, r := range reports {
		twice += r.twice
	}
	if again := int(w.runner.Metrics().Sum("mqttbridge_messages_resent_total")); twice > again {
		w.Errorf("%d messages arrived twice, but the runner counted %d resent messages", twice, again)
	}
}

// notice is a line of the runner's log that reports a lost server or a failed attempt.
type notice struct {
	line   string
	at     time.Time
	reason string
}

// noticed returns the first notice of the side about a server.
func (w *world) noticed(server string) notice {
	w.Helper()
	lines := w.notices(server)
	if len(lines) == 0 {
		w.Fatalf("the runner's log does not report the loss of %s", server)
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
